"""What operations on Dify keep in the warehouse: fills the protocols that `management` declares."""
