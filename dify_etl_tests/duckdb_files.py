"""DuckDB files of the tests, opened to be read: tests look into them thousands of times."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from dify_etl.warehouse.tables import quoted

# DuckDB without a file: to start it takes five times as long as to open a file in one that runs.
# Whoever takes one out has it alone.
_IDLE: list[duckdb.DuckDBPyConnection] = []


@contextmanager
def opened_to_read(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection to a file that nobody writes meanwhile, in UTC; closed after the block."""
    instance = _IDLE.pop() if _IDLE else duckdb.connect(config={"threads": 1})
    try:
        with instance.cursor() as connection:
            connection.execute(f"ATTACH {quoted(str(path))} AS {path.stem} (READ_ONLY)")
            connection.execute(f"USE {path.stem}")
            connection.execute("SET TimeZone = 'UTC'")
            yield connection
            connection.execute("USE memory")
            connection.execute(f"DETACH {path.stem}")
    except BaseException:
        instance.close()
        raise
    _IDLE.append(instance)
