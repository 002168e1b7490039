"""Apps from a folder of DSL files to a workspace: what differs, how it is made alike."""
