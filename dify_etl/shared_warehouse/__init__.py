"""The shared warehouse: the published copies of many homes in one DuckDB file or DuckLake.

A home stays the place where rows are read, proven and mended. Here they are only appended and
replaced, partition by partition of one workspace, so that the whole can be written anew.
"""
