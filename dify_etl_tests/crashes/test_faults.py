"""A Dify that fails in every way we know: nothing is lost, nothing is twice, and it heals."""

import os
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from threading import Thread

import pytest

from dify_etl_tests.conftest import Tell
from dify_etl_tests.crashes.short_runs import ShortRun
from dify_etl_tests.crashes.stages import Stage, doubled, dump, lost
from dify_simulated import SimulatedDify
from dify_simulated.server.faults import Faults

RUNS = int(os.environ.get("SOAK_FAULTS", "0")) or 1


RATES = {
    "10 % of answers 500, 502 or 503": Faults(server_errors=0.1),
    "10 % 429 with Retry-After": Faults(rate_limited=0.1, retry_after=1),
    "10 % 429 without Retry-After": Faults(rate_limited=0.1, retry_after=None),
    "10 % connections reset": Faults(resets=0.1),
    "10 % JSON cut off": Faults(truncated=0.1),
    "10 % HTML instead of JSON": Faults(html=0.1),
    "3 % answers that hang": Faults(slow=0.03, slow_seconds=1.0),
    "all of these, 3 % each": Faults(
        server_errors=0.03,
        rate_limited=0.03,
        resets=0.03,
        truncated=0.03,
        html=0.03,
        slow=0.01,
        slow_seconds=1.0,
    ),
}


@dataclass
class Line:
    """A line of the table: runs that went through, and that a later one had to complete."""

    fault: str
    runs: int = 0
    through: int = 0
    recovered: int = 0
    lost: int = 0
    doubled: int = 0

    def judge(self, stage: Stage, run: ShortRun, code: int) -> None:
        """A run has ended: read again without the fault where needed, and compare."""
        self.runs += 1
        if code == 0:
            self.through += 1
        else:
            assert run.said.strip(), "the run failed without a word"
            with stage.served():
                code = run.finish()
            assert code == 0, run.said
            self.recovered += 1
        assert stage.wanted is not None
        found = dump(run.home)
        self.lost += lost(stage.wanted, found)
        self.doubled += doubled(stage.wanted, found)

    def __str__(self) -> str:
        return (
            f"{self.fault:34} | {self.runs:4} runs | {self.through:4} went through | "
            f"{self.recovered:4} recovered | {self.lost} lost | {self.doubled} doubled"
        )


def show(line: Line, tell: Tell) -> None:
    """Tell a line of the table, and hold it to its promise."""
    tell(str(line))
    assert (line.lost, line.doubled) == (0, 0)
    assert line.through + line.recovered == line.runs


@pytest.mark.parametrize("fault", RATES)
def test_answers_that_fail(fault: str, stage: Stage, name: str, tell: Tell) -> None:
    """The run goes through, or says what failed and the next one completes it.

    Every other run gives up at the second failure already.
    """
    line = Line(fault)
    for seed in range(RUNS):
        run = stage.run(f"{name}{seed}", attempts=6 if seed % 2 else 2)
        with stage.served(replace(RATES[fault], seed=seed)):
            code = run.finish()
        line.judge(stage, run, code)
    show(line, tell)


def test_sessions_that_expire_in_the_middle(stage: Stage, name: str, tell: Tell) -> None:
    """Every tenth request finds its access token expired: it is renewed, and nobody notices."""
    line = Line("sessions expire in the middle")
    servers: list[SimulatedDify] = []

    def expire(number: int, method: str, path: str) -> None:
        if number % 10 == 9:
            servers[0].expire_access_tokens()

    run = stage.run(name)
    with stage.served(Faults(before_request=expire)) as server:
        servers.append(server)
        code = run.finish()
    assert code == 0, run.said
    line.judge(stage, run, code)
    show(line, tell)


def test_answer_of_four_megabytes(stage: Stage, name: str) -> None:
    """A message as long as a book is one row like any other."""
    world = stage.world
    message_id = next(reversed(world.messages))
    before = world.messages[message_id].answer
    run = stage.run(name)
    try:
        world.messages[message_id].answer = "长" * 700_000
        with stage.served():
            assert run.finish() == 0, run.said
        (row,) = [one for one in dump(run.home)["messages"] if message_id in one]
        assert max(len(value) for value in row if isinstance(value, str)) == 700_000
    finally:
        world.messages[message_id].answer = before


def gone_after(
    stage: Stage, requests: int, back_after: float | None
) -> AbstractContextManager[None]:
    """A server that goes away after some requests, and may come back with all sessions lost."""

    @contextmanager
    def serving() -> Iterator[None]:
        servers: list[AbstractContextManager[SimulatedDify]] = []
        helpers: list[Thread] = []

        def restart() -> None:
            servers.pop().__exit__(None, None, None)
            if back_after is not None:
                time.sleep(back_after)
                servers.append(stage.served())
                servers[0].__enter__()

        def go(number: int, method: str, path: str) -> None:
            if number == requests:
                helpers.append(Thread(target=restart))
                helpers[0].start()
            if number >= requests:
                raise ConnectionResetError("the server goes away")

        servers.append(stage.served(Faults(before_request=go)))
        servers[0].__enter__()
        try:
            yield
        finally:
            for helper in helpers:
                helper.join()
            for server in servers:
                server.__exit__(None, None, None)

    return serving()


@pytest.mark.parametrize("back_after", [0.02, None], ids=["restarts", "is gone for good"])
def test_server_that_goes_away(
    back_after: float | None, stage: Stage, name: str, tell: Tell
) -> None:
    """What was committed stays; the run says what it could not read, and the next one reads it."""
    line = Line("server restarts" if back_after else "server is gone for good")
    for number in range(RUNS):
        run = stage.run(f"{name}{number}")
        requests = stage.requests * (number + 1) // (RUNS + 1)
        with gone_after(stage, requests, back_after):
            code = run.finish()
        assert back_after or code == 1, "a run without a server cannot go through"
        line.judge(stage, run, code)
    show(line, tell)


def test_full_disk(stage: Stage, name: str, tell: Tell) -> None:
    """The disk is full while loading: what was committed stays, and the next run has room."""
    line = Line("disk full while loading")
    size = (stage.folder / "before" / "live.duckdb").stat().st_size
    for number in range(RUNS):
        run = stage.run(f"{name}{number}")
        with stage.served():
            tight = stage.run(f"{name}{number}", most_bytes=max(size // 8, 65_536) * (number + 1))
            code = tight.finish()
        assert code != 0, "the disk was not full"
        line.judge(stage, run, code)
    show(line, tell)
