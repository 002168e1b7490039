"""The DuckDB files. Knows nothing of Dify, HTTP or Dagster."""
