"""A run that is killed at any moment loses nothing: the next one brings what was wanted."""

import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from dify_etl.home import COPY
from dify_etl_tests.conftest import Tell
from dify_etl_tests.crashes.stages import Stage, doubled, dump, lost
from dify_simulated.server.faults import Faults

# Two thirds of the kills come after some time, a third before some request.
KILLS = int(os.environ.get("SOAK_KILLS", "0")) or 4
SEED = int(os.environ.get("SOAK_SEED", "0")) or (
    random.SystemRandom().randrange(2**32) if "SOAK_KILLS" in os.environ else 7
)
CONSISTENT = """
    SELECT count(*) FROM ops.conversation_reads r WHERE r.state = 'proven' AND r.held_count <>
        (SELECT count(*) FROM raw.messages m WHERE m.conversation_id = r.conversation_id)"""


@dataclass
class Reader:
    """An analyst who opens the published copy again and again."""

    copy: Path
    looks: int = 0
    wrong: list[str] = field(default_factory=list)
    runs_seen: set[str] = field(default_factory=set)

    @contextmanager
    def reading(self) -> Iterator["Reader"]:
        """Look while the block runs."""
        ended = threading.Event()
        thread = threading.Thread(target=self._read, args=(ended,))
        thread.start()
        try:
            yield self
        finally:
            ended.set()
            thread.join()

    def _read(self, ended: threading.Event) -> None:
        while not ended.is_set():
            self.looks += 1
            try:
                with duckdb.connect(self.copy, read_only=True) as connection:
                    (count,) = connection.execute(CONSISTENT).fetchall()[0]
                    (run,) = connection.execute(
                        "SELECT arg_max(run_id, published_at) FROM ops.published"
                    ).fetchall()[0]
            except duckdb.Error as error:
                self.wrong.append(str(error))
            else:
                self.runs_seen.add(run)
                if count:
                    self.wrong.append(f"{count} conversations and their messages disagree")
            ended.wait(0.1)


def kill_at_request(stage: Stage, name: str, number: int) -> str:
    """Kill a run before its n-th request."""
    victims: list[int] = []

    def kill(asked: int, method: str, path: str) -> None:
        if asked == number and victims:
            os.kill(victims[0], signal.SIGKILL)

    with stage.served(Faults(before_request=kill)):
        process = stage.run(name).start()
        assert process.pid is not None
        victims.append(process.pid)
        process.join(60)
    return "killed" if process.exitcode == -signal.SIGKILL else "ended before"


def kill_after(stage: Stage, name: str, seconds: float) -> str:
    """Kill a run after some time."""
    with stage.served():
        process = stage.run(name).start()
        time.sleep(seconds)
        process.kill()
        process.join(60)
    return "killed" if process.exitcode == -signal.SIGKILL else "ended before"


def test_killed_run_is_completed_by_the_next(stage: Stage, name: str, tell: Tell) -> None:
    """Rows and ledger equal those of an undisturbed run; the copy always opens, whole."""
    chance, told, looks = random.Random(SEED), Counter[str](), 0
    for number in range(KILLS):
        home = f"{name}{number}"
        reader = Reader(stage.run(home).home / COPY)
        with reader.reading():
            if number % 3 == 0:
                at = chance.randrange(1, stage.requests)
                told[kill_at_request(stage, home, at)] += 1
            else:
                told[kill_after(stage, home, chance.uniform(0.05, 1.1) * stage.seconds)] += 1
            with stage.served():
                again = stage.run(home)
                assert again.finish() == 0, f"seed {SEED}, kill {number}: {again.said}"
        found = dump(again.home)
        assert stage.wanted is not None
        assert (lost(stage.wanted, found), doubled(stage.wanted, found)) == (0, 0), (
            f"seed {SEED}, kill {number}"
        )
        assert reader.wrong == [], f"seed {SEED}, kill {number}"
        assert reader.runs_seen, "the reader never looked"
        looks += reader.looks
    tell(f"{KILLS} kills (seed {SEED}): {dict(told)}; the copy was opened {looks} times")
    assert told["killed"] >= KILLS // 4
