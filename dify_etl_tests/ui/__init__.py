"""The gate before Dagster's web application, and the process tree that it is part of."""
