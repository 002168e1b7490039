"""FLOOR 2d: reads feeds into the warehouse by the rules that lose no row. No Dagster here."""
