"""What is done to Dify: plans that were agreed to, each step looked at, written and read back."""
