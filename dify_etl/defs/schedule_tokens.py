"""How a run shows that a schedule asked for it: one-time tokens that ticks write into the home.

A request to Dagster can put anything into a run's config and tags, but nothing into the home. The
file of a token is named by its hash and holds job, expiry and, line by line, the runs that used it.
"""

import contextlib
import hashlib
import json
import os
import secrets
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO, NoReturn

from dify_etl.home import Home
from dify_etl.operations.errors import InputWrong
from dify_etl.private_files import PRIVATE_FOLDER, flock, private_file
from dify_etl.warehouse.errors import translated

# A run may wait for the night's sync to end, and be retried; a day later the next tick comes.
LIFETIME = timedelta(hours=24)


class ScheduleTokens:
    """The tokens of one home, each good for one run of one job, and for retries of that run.

    `now` tells the time, in UTC. WarehouseUnwritable when the home cannot be written.
    """

    def __init__(self, home: Path, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)):
        self._folder = Home(home).schedule_tokens
        self._now = now

    def write(self, job: str) -> str:
        """Make a token for a run of this job; the home keeps its hash, in a file of mode 0600."""
        token = secrets.token_urlsafe(32)
        path = self._path(token)
        until = (self._now() + LIFETIME).isoformat()
        try:
            self._folder.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
            self._sweep()
            with private_file(path, "xb") as file:
                file.write(_line({"job": job, "expires_at": until}))
        except OSError as error:
            raise translated(path, error) from error
        return token

    def consume(
        self, token: str, job: str, run_id: str, *, retried_run_id: str | None = None
    ) -> None:
        """Use the token up for this run; the same run may ask again.

        A retry uses it when the run that it retries (`retried_run_id`, which has failed) used it
        last. InputWrong when no tick of this job wrote it, when it is too old, or used.
        """
        path = self._path(token)
        try:
            with _locked(path) as file:
                told = [json.loads(line) for line in file.read().splitlines()]
                made, users = told[0], [one["run_id"] for one in told[1:]]
                if made["job"] != job:
                    _refuse(f"it was written for a run of {made['job']}", job)
                if self._now() >= datetime.fromisoformat(made["expires_at"]):
                    _refuse(f"it was good until {made['expires_at']}", job)
                if users and users[-1] == run_id:
                    return
                if users and users[-1] != retried_run_id:
                    _refuse(f"the run {users[-1]} has used it", job)
                file.write(_line({"run_id": run_id}))
        except FileNotFoundError:
            _refuse("the schedule wrote no such token into this home, or it is long used up", job)
        except (ValueError, KeyError, IndexError, TypeError):
            _refuse(f"the file {path} is damaged", job)
        except OSError as error:
            raise translated(path, error) from error

    def _path(self, token: str) -> Path:
        return self._folder / f"{hashlib.sha256(token.encode()).hexdigest()}.jsonl"

    def _sweep(self) -> None:
        """Forget what has expired, used or not."""
        for path in self._folder.glob("*.jsonl"):
            try:
                made = json.loads(path.read_bytes().splitlines()[0])
                is_over = self._now() >= datetime.fromisoformat(made["expires_at"])
            except FileNotFoundError:
                continue
            except (ValueError, KeyError, IndexError, TypeError):
                is_over = self._now().timestamp() - path.stat().st_mtime > LIFETIME.total_seconds()
            if is_over:
                path.unlink(missing_ok=True)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[BinaryIO]:
    with path.open("r+b") as file:
        flock(file)
        yield file
        file.flush()
        os.fsync(file.fileno())


def _line(entry: dict[str, str]) -> bytes:
    return json.dumps(entry).encode() + b"\n"


def _refuse(why: str, job: str) -> NoReturn:
    raise InputWrong(
        f"this run's schedule_token proves nothing: {why}",
        where=job,
        hint="Run it with dry_run and give the plan's id; the schedule's next run has a token of "
        "its own.",
    )
