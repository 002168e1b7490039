"""Extensions of DuckDB that are loaded without a look at who signed them.

DuckDB hashes the whole file, of 40 MB, in each connection that loads it: an eighth of a second for
a lake and a quarter for one whose catalog is in PostgreSQL, which is more than most tests do in
it. Tests open hundreds. The processes of `test_whole_workspaces` check as users' do.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import duckdb


@contextmanager
def unchecked_extensions() -> Iterator[None]:
    """Within the block, connections to no file check no signature."""
    connect = duckdb.connect

    def unchecked(*words: Any, **how: Any) -> duckdb.DuckDBPyConnection:
        if words or how:
            return connect(*words, **how)
        return connect(config={"allow_unsigned_extensions": True})

    duckdb.connect = unchecked
    try:
        yield
    finally:
        duckdb.connect = connect
