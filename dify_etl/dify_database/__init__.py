"""Dify's own PostgreSQL, read only: what the console API shows of it, and what that leaves out."""
