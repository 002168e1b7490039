"""Programs that run in the peers' own environment; they import nothing of ours."""
