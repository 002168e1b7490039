"""The audit: one entry per step of an applied plan, told at once to a trail that keeps it."""

import contextlib
import uuid
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dify_etl.operations.errors import AuditUnwritable
from dify_etl.operations.plan import Plan
from dify_etl.operations.redaction import audited, state_hash
from dify_etl.private_files import ADVICE_WITHOUT_LOCKS, LockUnavailable, append_line

# begun: about to be sent; the entry behind it tells what came of it, and where there is none, the
# process died in between. done: accepted, with nothing to read back. verified: read back and right.
# failed: refused, or read back and wrong. unknown: what came of it cannot be told. skipped: never
# sent.
Outcome = Literal["begun", "done", "verified", "failed", "unknown", "skipped"]


class AuditEntry(BaseModel):
    """What was done, to what, by whom, and what came of it. Holds no secret."""

    model_config = ConfigDict(frozen=True)

    entry_id: str = Field(default_factory=lambda: uuid.uuid4().hex)
    plan_id: str
    step: int  # from 1, in the order of the plan
    operation: str
    target_kind: str
    target_id: str | None
    target_name: str
    actor: str
    before_hash: str | None = None  # SHA-256 of the state before
    before: str | None = None  # JSON, without secrets, long texts as their hash
    after: str | None = None  # the same of the state that was wanted
    http_status: int | None = None
    request_id: str | None = None
    outcome: Outcome
    message: str = ""
    at: datetime
    run_id: str | None = None  # the run of Dagster or of the command that did it


class AuditTrail(Protocol):
    """Keeps what was done."""

    def record(self, entry: AuditEntry) -> None:
        """Keep the entry before returning. Raises when it cannot be kept."""


@dataclass(frozen=True)
class Signature:
    """Who applies which plan: what all entries of one run share."""

    plan: Plan
    actor: str

    def entry(
        self,
        number: int,
        outcome: Outcome,
        *,
        at: datetime,
        message: str = "",
        target_id: str | None = None,
        plan_id: str | None = None,
        status: int | None = None,
        request_id: str | None = None,
    ) -> AuditEntry:
        """The entry of a step, numbered from 1; `target_id` where the step made the target,
        `plan_id` where another plan was agreed to, of which this one carries out a part.
        """
        step = self.plan.steps[number - 1]
        return AuditEntry(
            plan_id=plan_id or self.plan.plan_id,
            step=number,
            operation=step.operation,
            target_kind=step.target.kind,
            target_id=target_id or step.target.id,
            target_name=step.target.name,
            actor=self.actor,
            before_hash=state_hash(step.before),
            before=audited(step.before),
            after=audited(step.after),
            http_status=status,
            request_id=request_id,
            outcome=outcome,
            message=message,
            at=at,
        )


class AuditFile:
    """The audit as JSON lines, mode 0600: an entry is on the disk when `record` returns."""

    def __init__(self, path: Path, run_id: str | None = None) -> None:
        self.path = path
        self._run_id = run_id

    def record(self, entry: AuditEntry) -> None:
        """Append one line and wait until the disk has it. AuditUnwritable when it cannot be.

        An entry that names no run is of this file's.
        """
        if entry.run_id is None:
            entry = entry.model_copy(update={"run_id": self._run_id})
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            append_line(self.path, entry.model_dump_json().encode())
        except OSError as error:
            is_lockless = isinstance(error, LockUnavailable)
            advice = "Free disk space or fix the permissions."
            raise AuditUnwritable(
                f"the audit cannot be written: {error.strerror}",
                where=str(self.path),
                hint=f"{ADVICE_WITHOUT_LOCKS if is_lockless else advice} Steps that are in the "
                "audit already were done; nothing more was sent.",
            ) from error

    def entries(self) -> tuple[AuditEntry, ...]:
        """All entries, oldest first; lines that are no entry are left out."""
        with contextlib.suppress(FileNotFoundError):
            lines = self.path.read_bytes().splitlines()
            return tuple(entry for line in lines if (entry := _entry(line)) is not None)
        return ()


def _entry(line: bytes) -> AuditEntry | None:
    try:
        return AuditEntry.model_validate_json(line)
    except ValidationError:
        return None
