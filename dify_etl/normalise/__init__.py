"""FLOOR 2a: records become typed Polars frames and table specifications. No HTTP, no database."""
