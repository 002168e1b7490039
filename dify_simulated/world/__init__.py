"""What the simulated workspace holds: rows as in Dify's tables, how they are made and changed."""
