"""The command as a user starts it, Dagster with it, killed at any moment: nothing is lost."""

import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import duckdb

from dify_etl.home import COPY
from dify_etl_tests.cli.command_line import COMMAND, ServedDify, Shell
from dify_etl_tests.cli.small_servers import served, some_days_ago
from dify_etl_tests.conftest import Tell
from dify_etl_tests.crashes.stages import go_on, small_past
from dify_etl_tests.sync.comparison import differences
from dify_etl_tests.sync.workplace import RULES, Workplace
from dify_simulated import Faults, World

KILLS = int(os.environ.get("SOAK_KILLS", "0")) or 3
SEED = int(os.environ.get("SOAK_SEED", "0")) or (
    random.SystemRandom().randrange(2**32) if "SOAK_KILLS" in os.environ else 11
)
# So many kills in a row hit one home, each after more has happened in Dify; then it is completed.
IN_A_ROW = 3
# Of a run on this world: about so many requests, and so many seconds after the last one of them.
MOST_REQUESTS = 90
AFTER = 2.0
# Not compared: fingerprints of keys are of the home alone, and the ids of ratings come once a week.
TABLES = (
    *("apps", "annotations", "conversations", "messages"),
    *("message_citations", "workflow_runs", "node_executions"),
)


def killed(shell: Shell, server: ServedDify, chance: random.Random) -> str:
    """Start `dify-etl sync` and kill it before some request, or some time after many of them;
    answers what became of it.
    """
    number, wait = chance.randrange(1, MOST_REQUESTS), chance.random() < 1 / 3
    process: list[subprocess.Popen[str]] = []
    began = len(server.server.requests)
    hit: list[float] = []

    def strike(asked: int, method: str, path: str) -> None:
        if asked - began >= number and not hit:
            hit.append(time.monotonic())
            if not wait:
                process[0].kill()

    server.server.faults = Faults(before_request=strike)
    process.append(start(shell))
    with process[0] as running:
        while wait and not hit and running.poll() is None:
            time.sleep(0.02)
        if wait and running.poll() is None:
            time.sleep(chance.uniform(0, AFTER))
            running.kill()
        running.communicate(timeout=120)
    server.server.faults = Faults()
    is_killed = process[0].returncode == -signal.SIGKILL
    return ("later" if wait else "at a request") if is_killed else "ended before"


def start(shell: Shell) -> "subprocess.Popen[str]":
    """The command in an interpreter of its own, which a signal reaches."""
    return subprocess.Popen(
        [*COMMAND, "sync"],
        cwd=shell.folder,
        env=shell.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def unlike(world: World, home: Path) -> list[str]:
    """How the home differs from the world."""
    return differences(Workplace(world, home, rules=RULES), TABLES)


def copy_opens(home: Path) -> bool:
    """Whether what analysts read is whole, or not there yet."""
    if not (home / COPY).exists():
        return True
    with duckdb.connect(home / COPY, read_only=True) as connection:
        return bool(connection.execute("SELECT count(*) FROM ops.published").fetchall())


def happens(world: World, chance: random.Random) -> None:
    """More talks and runs, and a conversation and a run less. A run of a chatflow keeps the name of
    its conversation in the warehouse, and loses it in Dify: so none of these goes.
    """
    go_on(world, world.now() - timedelta(hours=chance.randrange(2, 40)), talks=1)
    deletions: tuple[tuple[dict[str, object], Callable[[str], None]], ...] = (
        (
            {key: row for key, row in world.conversations.items() if row.mode != "advanced-chat"},
            world.delete_conversation,
        ),
        (dict(world.workflow_runs), world.delete_run),
    )
    for rows, delete in deletions:
        delete(chance.choice([*rows]))


def test_killed_command_is_completed_by_the_next(tmp_path: Path, tell: Tell) -> None:
    """Killed again and again while Dify changes; one run to its end, and the home is the world."""
    told = Counter[str]()
    for home in range(-(-KILLS // IN_A_ROW)):
        chance = random.Random(f"{SEED}/{home}")
        with served(small_past()) as server:
            shell = Shell(tmp_path / str(home), server.variables(some_days_ago(5)))
            shell.folder.mkdir()
            for _ in range(IN_A_ROW):
                told[killed(shell, server, chance)] += 1
                assert copy_opens(shell.home), f"seed {SEED}, home {home}"
                happens(server.world, chance)
            answer = shell.run("sync")
            assert answer.code == 0, f"seed {SEED}, home {home}: {answer.text}"
            assert unlike(server.world, shell.home) == [], f"seed {SEED}, home {home}"
    tell(f"{told.total()} kills of dify-etl sync (seed {SEED}): {dict(told)}")
    assert told.total() - told["ended before"] >= told.total() // 2
