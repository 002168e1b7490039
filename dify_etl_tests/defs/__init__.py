"""Dagster over a small simulated Dify: definitions, runs, checks, and a real server."""
