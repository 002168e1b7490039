"""Alerts of the command line: a bad night is heard of once, and so is the good one after it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from werkzeug.wrappers import Response

from dify_etl.home import LIVE
from dify_etl.sync.lock import home_lock
from dify_etl_tests.alerts.receivers import SECRET, Received, webhook
from dify_etl_tests.cli.command_line import ServedDify, Shell
from dify_etl_tests.cli.small_servers import small_world, some_days_ago
from dify_simulated import SimulatedDify, serve


@dataclass
class RefusingDify:
    """The simulated Dify; what has `refused` in its path is answered with 400."""

    server: SimulatedDify
    refused: str

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if self.refused in environ["PATH_INFO"]:
            return Response("{}", status=400, mimetype="application/json")(environ, start_response)
        return self.server(environ, start_response)


FAILED, WENT_THROUGH = "The nightly sync failed", "A nightly sync went through again"


@pytest.fixture(scope="module")
def received() -> Iterator[Received]:
    with webhook() as hook:
        yield hook


@pytest.fixture
def told(dify: ServedDify, tmp_path: Path, received: Received) -> Shell:
    """A folder whose alerts go to the webhook."""
    received.take()
    variables = dify.variables(some_days_ago(3)) | {"DIFY_ETL_NOTIFY": received.url}
    return Shell(tmp_path, variables)


def test_bad_nights_are_heard_of_once_and_good_ones_too(tmp_path: Path, received: Received) -> None:
    """One that cannot log in, one of which an app refuses, none by `notify`, and a good one."""
    world = small_world()
    app = next(one for one in world.apps.values() if one.mode == "chat")
    dify = RefusingDify(SimulatedDify(world), f"/apps/{app.id}/chat-conversations")
    with serve(dify) as running:
        variables = ServedDify(world, dify.server, running.base_url).variables(some_days_ago(3))
        shell = Shell(tmp_path, variables | {"DIFY_ETL_NOTIFY": received.url})
        answers = [shell.run("sync", DIFY_PASSWORD="wrong-password-9")]
        ((title, failed),) = received.take()
        answers.append(shell.run("sync"))
        red = received.take()
        answers.append(shell.run("notify"))
        assert received.take() == []
        dify.refused = "nothing"
        answers.append(shell.run("sync"))
        good = received.titles()
    assert [one.code for one in answers] == [3, 1, 0, 0]
    assert title.endswith(FAILED)
    assert "LoginRefused" in failed
    assert any(title.endswith(WENT_THROUGH) for title, _ in red)
    assert "of the chat app: failed" in next(text for title, text in red if "Not read" in title)
    assert any(title.startswith("Read whole again") for title in good)
    said = " ".join([failed, *(one.text for one in answers)])
    assert SECRET not in said
    assert "wrong-password-9" not in said


def test_targets_are_tried(told: Shell, received: Received) -> None:
    """One that does not take it ends the command with 1; the other is told all the same."""
    with webhook() as broken:
        broken.status = 403
        both = f"{received.url} {broken.url}"
        answer = told.run("notify", "--test", DIFY_ETL_NOTIFY=both)
    assert answer.code == 1
    assert "target 1 (json): delivered" in answer.out
    assert "target 2 (json): not delivered: the service answered 403" in answer.out
    assert received.titles() == ["test"]
    assert SECRET not in answer.text


def test_wrong_target_is_refused(told: Shell) -> None:
    """Before anything is read, without the URL."""
    wrong = told.run("sync", DIFY_ETL_NOTIFY=f"nothing://{SECRET}")
    none = told.run("notify", DIFY_ETL_NOTIFY="")
    assert (wrong.code, none.code) == (2, 2)
    assert "Apprise does not understand target 1 (nothing)" in wrong.text
    assert "DIFY_ETL_NOTIFY is not set" in none.text
    assert SECRET not in wrong.text


def test_wrong_schedule_is_refused(told: Shell, received: Received) -> None:
    """Before Dify is asked: by it alerts know which night is missing."""
    answer = told.run("sync", DIFY_ETL_SCHEDULE="99 1 * * *")
    assert answer.code == 2
    assert "DIFY_ETL_SCHEDULE is wrong: '99 1 * * *' is no cron expression" in answer.text
    assert not told.home.exists()
    assert received.take() == []


def test_look_that_cannot_be_taken_is_no_good_news(told: Shell) -> None:
    """A folder without a home, and a live file that cannot be opened, end a dry run with 1; the
    latter a real one too.
    """
    nowhere = told.run("notify", "--dry-run")
    assert nowhere.code == 1
    assert "there is nothing to look at" in nowhere.text
    assert "Nothing would be sent" not in nowhere.text
    assert not told.home.exists()
    told.home.mkdir()
    (told.home / LIVE).write_bytes(b"no database")
    for arguments in (["--dry-run"], ["--dry-run", "--json"], []):
        answer = told.run("notify", *arguments)
        assert answer.code == 1, arguments
        assert "the data were not looked at" in answer.err
    assert (
        "Nothing would be sent of what could be looked at." in told.run("notify", "--dry-run").out
    )
    with home_lock(told.home, wait_seconds=0.0):  # a sync looks at its end
        assert told.run("notify", "--dry-run").code == 0
