"""What Dagster loads: assets, checks, jobs and schedules."""
