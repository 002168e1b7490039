"""Imported where processes are forked: they have the models of sql/ parsed already.

DuckDB takes a quarter of a second for that, in each of hundreds of commands that build them.
"""

from dify_etl.warehouse.sql_files import sql_files

sql_files()
