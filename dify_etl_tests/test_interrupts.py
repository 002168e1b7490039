"""Ctrl-C ends a run also when a library swallowed it."""

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from dify_etl.interrupts import check_interrupt, noted_interrupts
from dify_etl.sync.fetching import FetchLimits, attempt, fetch
from dify_etl.warehouse.database import open_database


@pytest.fixture
def swallowed() -> Iterator[None]:
    """Ctrl-C was pressed, and somebody dropped the KeyboardInterrupt."""
    with noted_interrupts():
        with suppress(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
        yield


@pytest.mark.usefixtures("swallowed")
def test_no_error_is_booked_after_ctrl_c() -> None:
    """What a library made of it is no bug of a task."""
    with pytest.raises(KeyboardInterrupt):
        attempt(0, lambda: 1 // 0)


@pytest.mark.usefixtures("swallowed")
def test_nothing_is_fetched_after_ctrl_c() -> None:
    """The loop over outcomes ends with the next task."""
    with pytest.raises(KeyboardInterrupt):
        list(fetch(range(5), str, FetchLimits(2)))


def test_nothing_is_written_after_ctrl_c(tmp_path: Path) -> None:
    """The next statement raises it, and the transaction is rolled back."""

    def write_on() -> None:
        with noted_interrupts(), database.transaction():
            database.execute("INSERT INTO raw.one VALUES (2)")
            with suppress(KeyboardInterrupt):
                os.kill(os.getpid(), signal.SIGINT)
            database.execute("INSERT INTO raw.one VALUES (3)")

    with open_database(tmp_path / "live.duckdb") as database:
        database.execute("CREATE TABLE raw.one AS SELECT 1 AS a")
        with pytest.raises(KeyboardInterrupt):
            write_on()
        assert database.rows("FROM raw.one") == [(1,)]


@pytest.mark.usefixtures("swallowed")
def test_next_block_knows_nothing_of_it() -> None:
    """Each run begins without the Ctrl-C of another, whose handler is back."""
    handler = signal.getsignal(signal.SIGINT)
    with noted_interrupts():
        assert signal.getsignal(signal.SIGINT) is handler
    with pytest.raises(KeyboardInterrupt):
        check_interrupt()
