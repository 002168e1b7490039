"""Tokens that ticks write into the home: for one run of one job, and its retries."""

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dify_etl.defs.schedule_tokens import LIFETIME, ScheduleTokens
from dify_etl.home import Home
from dify_etl.operations.errors import InputWrong
from dify_etl.warehouse.errors import WarehouseUnwritable

NOW = datetime(2026, 3, 12, 4, 30, tzinfo=UTC)


@pytest.fixture
def tokens(tmp_path: Path) -> ScheduleTokens:
    return ScheduleTokens(tmp_path, now=lambda: NOW)


def files(home: Path) -> list[Path]:
    return sorted(Home(home).schedule_tokens.glob("*"))


def test_token_is_used_once(tokens: ScheduleTokens) -> None:
    """A second run gets nothing with it, and hears which run used it."""
    token = tokens.write("rotate")
    tokens.consume(token, "rotate", "run 1")
    with pytest.raises(InputWrong, match="run 1 has used it"):
        tokens.consume(token, "rotate", "run 2")


def test_steps_of_one_run_share_it(tokens: ScheduleTokens) -> None:
    """Handing over and revoking are steps of one run, and each step may be tried again."""
    token = tokens.write("rotate")
    for _ in range(3):
        tokens.consume(token, "rotate", "run 1")


def test_retry_of_a_failed_run_uses_it_on(tokens: ScheduleTokens) -> None:
    """Each retry takes it over from the run before; that one is out."""
    token = tokens.write("rotate")
    tokens.consume(token, "rotate", "run 1")
    tokens.consume(token, "rotate", "run 2", retried_run_id="run 1")
    tokens.consume(token, "rotate", "run 3", retried_run_id="run 2")
    for run, retried in (("run 1", None), ("run 4", "run 1"), ("run 5", None)):
        with pytest.raises(InputWrong, match="run 3 has used it"):
            tokens.consume(token, "rotate", run, retried_run_id=retried)


def test_token_survives_a_restart(tokens: ScheduleTokens, tmp_path: Path) -> None:
    """It is on the disk between tick and run; a later tick does not take it away."""
    token = tokens.write("rotate")
    later = ScheduleTokens(tmp_path, now=lambda: NOW + LIFETIME - timedelta(seconds=1))
    later.write("rotate")
    later.consume(token, "rotate", "run 1")


def test_old_token_is_refused_and_swept(tokens: ScheduleTokens, tmp_path: Path) -> None:
    """A day later it is worth nothing, and the next tick deletes its file."""
    token = tokens.write("rotate")
    (old,) = files(tmp_path)
    later = ScheduleTokens(tmp_path, now=lambda: NOW + LIFETIME)
    with pytest.raises(InputWrong, match="was good until 2026-03-13T04:30"):
        later.consume(token, "rotate", "run 1")
    later.write("rotate")
    assert old not in files(tmp_path)


@pytest.mark.parametrize("token", ["guessed", "../../etc/passwd", "\0", "x" * 9000])
def test_unknown_token_is_refused(tokens: ScheduleTokens, token: str) -> None:
    """Whatever stands in the run's config, only what a tick wrote counts."""
    tokens.write("rotate")
    with pytest.raises(InputWrong, match="wrote no such token"):
        tokens.consume(token, "rotate", "run 1")


def test_token_of_another_job_is_refused(tokens: ScheduleTokens) -> None:
    """The schedule that retries documents moves no key; the token is still good for its job."""
    token = tokens.write("retry_indexing")
    with pytest.raises(InputWrong, match="written for a run of retry_indexing"):
        tokens.consume(token, "rotate", "run 1")
    tokens.consume(token, "retry_indexing", "run 1")


def test_home_keeps_only_the_hash(tokens: ScheduleTokens, tmp_path: Path) -> None:
    """Who reads the file cannot use it; and nobody else may read it."""
    token = tokens.write("rotate")
    (kept,) = files(tmp_path)
    assert token not in kept.name + kept.read_text()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert stat.S_IMODE(kept.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("damage", [b"", b"{", b"[]\n", b'{"job": "rotate"}\n', b'{"run_id'])
def test_damaged_file_allows_nothing(tokens: ScheduleTokens, tmp_path: Path, damage: bytes) -> None:
    """A line that was cut off may have told of a run that used it."""
    token = tokens.write("rotate")
    (kept,) = files(tmp_path)
    whole = kept.read_bytes() if damage == b'{"run_id' else b""
    kept.write_bytes(whole + damage)
    with pytest.raises(InputWrong, match="is damaged"):
        tokens.consume(token, "rotate", "run 1")


def test_home_that_cannot_be_written_is_named(tokens: ScheduleTokens, tmp_path: Path) -> None:
    """The tick fails, and says where."""
    Home(tmp_path).schedule_tokens.write_text("in the way")
    with pytest.raises(WarehouseUnwritable, match="schedule_tokens"):
        tokens.write("rotate")
