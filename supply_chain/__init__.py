"""What stands behind dify-etl: the list of what it installs, and what is known against it."""
