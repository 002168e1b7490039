"""Many processes write at once, are killed and cut off: no row is lost or doubled, and whoever asks
meanwhile sees each workspace as one of its homes published it.
"""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import duckdb
import pytest

from dify_etl.shared_warehouse.comparing import compare_shared
from dify_etl.shared_warehouse.engines import opened_to_read
from dify_etl.shared_warehouse.errors import SharedWarehouseError
from dify_etl.shared_warehouse.place import SharedPlace
from dify_etl.shared_warehouse.publication import publish_shared
from dify_etl_tests.conftest import Tell
from dify_etl_tests.postgres import Postgres
from dify_etl_tests.shared_warehouse.conftest import HAS_LAKE, SOAK, MakePlace
from dify_etl_tests.shared_warehouse.small_copies import messages_of, small_copy

WRITERS = ("a", "b", "c", "d")
SECONDS = 120.0 + SOAK * 4
SEED = int(os.environ.get("SOAK_SEED", "1"))


@dataclass
class Writer:
    """A process that writes versions of one workspace, and is started again when it is killed."""

    place: SharedPlace
    folder: Path
    workspace: str
    last: int
    written: int = -1
    kills: int = 0
    away: int = 0
    lines: list[str] = field(default_factory=list)

    def run(self, chance: Callable[[], float | None]) -> None:
        """Write all versions; `chance` tells how many seconds after the first one that it wrote it
        is killed, None: not.
        """
        while self.written < self.last - 1:
            process = self._start()
            said, seconds = "", chance()
            if seconds is not None and process.stdout is not None:
                said = process.stdout.readline()
                time.sleep(seconds)
                self.kills += process.poll() is None
                process.kill()
            more, _ = process.communicate(timeout=SECONDS)
            assert process.returncode in (0, -signal.SIGKILL), said + more
            self._note(said + more)

    def _start(self) -> "subprocess.Popen[str]":
        words = (
            self.place.target.get_secret_value(),
            self.place.data_path or "",
            str(self.folder),
            self.workspace,
            str(self.written + 1),
            str(self.last),
        )
        return subprocess.Popen(
            [sys.executable, "-m", "dify_etl_tests.shared_warehouse.writing", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def _note(self, said: str) -> None:
        self.lines = said.splitlines()
        self.away += sum(line.startswith("away") for line in self.lines)
        self.written = max([self.written, *(int(one) for one in self.lines if one.isdecimal())])


def seen(place: SharedPlace) -> dict[str, int]:
    """The version of each workspace that is there, asked as an analyst does: in one snapshot, of
    which all tables must be of one version, with as many rows as that has.
    """
    with opened_to_read(place) as warehouse:
        versions = dict(
            warehouse.rows("SELECT workspace_id, max(version) FROM shared.ops.published GROUP BY 1")
        )
        found = warehouse.rows(
            """SELECT workspace_id, count(*), count(DISTINCT message_id), list(DISTINCT query),
                (SELECT list(DISTINCT a.name) FROM shared.raw.apps a
                    WHERE a.workspace_id = m.workspace_id),
                (SELECT sum(u.messages)::BIGINT FROM shared.marts.app_daily_usage u
                    WHERE u.workspace_id = m.workspace_id)
            FROM shared.raw.messages m GROUP BY ALL ORDER BY ALL"""
        )
    for workspace, rows, ids, texts, apps, counted in found:
        version = versions[workspace]
        wanted = messages_of(version)
        assert (rows, ids, counted) == (wanted, wanted, wanted), workspace
        assert (texts, apps) == ([f"asked of {version}"], [f"App of {version}"]), workspace
    assert {one[0] for one in found} == {*versions}
    return versions


@contextmanager
def asking(place: SharedPlace) -> Iterator[list[dict[str, int]]]:
    """Ask again and again while the block runs; what was seen, in this order."""
    answers: list[dict[str, int]] = []
    is_over = False

    def ask() -> None:
        while not is_over:
            with suppress(duckdb.Error, SharedWarehouseError):  # a session that was cut off
                answers.append(seen(place))
            time.sleep(0.2)

    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(ask)
        try:
            yield answers
        finally:
            is_over = True
            asked.result()


def write_all(
    place: SharedPlace,
    folder: Path,
    versions: int,
    kills: int,
    trouble: AbstractContextManager[object] | None = None,
) -> Sequence[Writer]:
    """Let all writers write so many versions at once; each is killed so many times amid its work.
    What was there is seen by an analyst meanwhile, and never goes back.
    """
    dice = random.Random(SEED)
    publish_shared(place, small_copy(folder / "a.duckdb", "a"), run_id="first")
    writers = [Writer(place, folder, one, versions) for one in WRITERS]

    def chance(writer: Writer) -> Callable[[], float | None]:
        is_spared = writer.workspace in WRITERS[2:] and not SOAK
        return lambda: dice.uniform(0.0, 0.8) if writer.kills < kills and not is_spared else None

    with (
        asking(place) as answers,
        trouble or nullcontext(),
        ThreadPoolExecutor(len(writers)) as pool,
    ):
        for done in [pool.submit(one.run, chance(one)) for one in writers]:
            done.result()
    assert len(answers) > 1
    for before, after in pairwise(answers):
        assert all(after[workspace] >= version for workspace, version in before.items())
    assert seen(place) == dict.fromkeys(WRITERS, versions - 1)
    for one in writers:
        copy = small_copy(folder / f"{one.workspace}.duckdb", one.workspace, versions - 1)
        differs = [table for table in compare_shared(place, copy) if not table.is_equal]
        assert [one.table for one in differs] in ([], ["ops.published"])  # its time is another one
    return writers


@contextmanager
def cutting_off(postgres: Postgres, cut: list[int]) -> Iterator[None]:
    """End a session of the catalog now and then while the block runs, whosever it is; counts."""
    dice, is_over = random.Random(SEED), threading.Event()

    def cut_off() -> None:
        while not is_over.wait(dice.uniform(3.0, 10.0)):
            ended = postgres.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname LIKE 'lake%' "
                "ORDER BY random() LIMIT 1"
            )
            cut[0] += len(ended)

    with ThreadPoolExecutor(1) as pool:
        cutting = pool.submit(cut_off)
        try:
            yield
        finally:
            is_over.set()
            cutting.result()


def told(kind: str, writers: Sequence[Writer], began: float) -> str:
    """A line for the end of the run."""
    versions = sum(one.written + 1 for one in writers)
    kills, away = sum(one.kills for one in writers), sum(one.away for one in writers)
    return (
        f"{kind}: {len(writers)} processes, {versions} publications, {kills} kills, {away} cut off "
        f"and tried again, 0 rows lost or doubled, {time.monotonic() - began:.0f} s"
    )


@pytest.mark.skipif(HAS_LAKE, reason="a file needs no lake")
def test_processes_take_turns_at_a_file(make_place: MakePlace, tmp_path: Path, tell: Tell) -> None:
    """Each swaps the file under its lock; a killed one leaves the file as it was."""
    began = time.monotonic()
    writers = write_all(make_place("file"), tmp_path, versions=2, kills=1)
    tell(told("a file", writers, began))


@pytest.mark.skipif(not HAS_LAKE, reason="it needs the extensions of a lake")
def test_processes_write_a_lake_at_once(
    make_place: MakePlace, postgres: Postgres, tmp_path: Path, tell: Tell
) -> None:
    """With kills, and with sessions of the catalog's PostgreSQL cut off."""
    place = make_place("postgres")
    began, cut = time.monotonic(), [0]
    trouble = cutting_off(postgres, cut) if SOAK else None
    versions, kills = max(2, SOAK // len(WRITERS)), 1 + SOAK // 50
    writers = write_all(place, tmp_path, versions, kills, trouble)
    tell(f"{told('a lake in PostgreSQL', writers, began)}; {cut[0]} sessions cut off")
