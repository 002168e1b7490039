"""Reads a whole Dify workspace into DuckDB."""
