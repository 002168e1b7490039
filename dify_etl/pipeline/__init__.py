"""FLOOR 3: assets, checks, schedules. The only floor that knows Dagster."""
