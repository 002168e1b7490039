"""Dagster's web application, daemon and code location as one process tree, behind a gate."""
