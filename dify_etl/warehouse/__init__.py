"""FLOOR 2b: the DuckDB files. Knows nothing of Dify, HTTP or Dagster."""
