"""Two syncs, or a sync and an analyst, on one home: everybody waits or is told who holds what."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

import duckdb

from dify_etl.home import COPY, LIVE
from dify_etl_tests.crashes.stages import Stage, doubled, dump, lost
from dify_etl_tests.forks import FORKS


def assert_whole(stage: Stage, home: Path) -> None:
    """The home holds what an undisturbed run brings."""
    assert stage.wanted is not None
    found = dump(home)
    assert (lost(stage.wanted, found), doubled(stage.wanted, found)) == (0, 0)


def hold(path: Path, ready: Connection) -> None:
    """In a child: an analyst who opens a file and keeps it until told to go."""
    with duckdb.connect(path, read_only=True) as connection:
        ready.send(connection.execute("SELECT count(*) FROM raw.conversations").fetchall())
        ready.recv()


@contextmanager
def analyst(path: Path) -> Iterator[tuple[int, Connection]]:
    """An analyst in another process with the file open: its PID, and how to send it home."""
    ours, theirs = multiprocessing.Pipe()
    process = FORKS.Process(target=hold, args=(path, theirs))
    process.start()
    assert process.pid is not None
    ours.recv()
    try:
        yield process.pid, ours
    finally:
        if process.is_alive():
            ours.send("go")
        process.join(10)


def test_two_syncs_at_once_both_go_through(stage: Stage, name: str) -> None:
    """The second waits for the first; rows are there once."""
    with stage.served():
        run = stage.run(name)
        processes = [run.start(), run.start()]
        for process in processes:
            process.join(60)
    assert [process.exitcode for process in processes] == [0, 0]
    assert_whole(stage, run.home)


def test_sync_that_cannot_wait_is_told_who_holds_the_home(stage: Stage, name: str) -> None:
    """The message names the process of the first sync, which goes on undisturbed."""
    run = stage.run(name)
    with stage.served() as server:
        first = run.start()
        while not server.requests:
            first.join(0.01)
        said_by_second = stage.run(name, wait_seconds=0.05)
        second = said_by_second.start()
        second.join(60)
        assert second.exitcode == 1
        assert f"AnotherSync another sync runs in this home: PID {first.pid}" in run.said
        first.join(60)
    assert first.exitcode == 0
    assert_whole(stage, run.home)


def test_analyst_with_the_copy_open_is_not_disturbed(stage: Stage, name: str) -> None:
    """The sync publishes meanwhile; who opens the copy then sees the new one."""
    run = stage.run(name)
    with stage.served(), analyst(run.home / COPY):
        assert run.finish() == 0, run.said
    assert_whole(stage, run.home)
    with duckdb.connect(run.home / COPY, read_only=True) as connection:
        published = connection.execute("SELECT count(*) FROM ops.published").fetchall()
    assert published == [(2,)]


def test_analyst_with_the_live_file_open_is_named(stage: Stage, name: str) -> None:
    """The sync gives up after its deadline, and says which process holds the file."""
    run = stage.run(name, wait_seconds=0.2)
    with stage.served(), analyst(run.home / LIVE) as (pid, _):
        assert run.finish() == 1
        assert "WarehouseBusy live.duckdb is held by" in run.said
        assert f"PID {pid}" in run.said
    with stage.served():
        assert run.finish() == 0, run.said
    assert_whole(stage, run.home)


def test_sync_waits_for_an_analyst_who_leaves_in_time(stage: Stage, name: str) -> None:
    """Within the deadline the file comes free, and the run goes through."""
    run = stage.run(name)
    with stage.served() as server, analyst(run.home / LIVE) as (_, door):
        process = run.start()
        process.join(0.3)
        assert process.exitcode is None
        assert server.requests == []
        door.send("go")
        process.join(60)
    assert process.exitcode == 0, run.said
    assert_whole(stage, run.home)
