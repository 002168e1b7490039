"""Retry documents that failed or are stuck: one per call, never twice within Dify's ten minutes.

Dify answers 204 whatever it does, and keeps the old error text until the document is parsed again:
only `indexing_status` tells what came of a retry. The tries are those that the audit holds.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated

from pydantic import Field

from dify_etl.dify.datasets import IndexingStatus
from dify_etl.dify.errors import NotFound
from dify_etl.home import Home
from dify_etl.operations.applying import Action, Answer, Found, Operation, Operator
from dify_etl.operations.audit import AuditEntry, AuditFile
from dify_etl.operations.indexing import ExamineDocuments, Report, Trouble, shown_error
from dify_etl.operations.plan import Step, Target
from dify_etl.operations.redaction import State
from dify_etl.operations.request import OperationContext, Option, PlannedRequest

RETRY = "indexing.retry"
MARKER = timedelta(seconds=600)  # so long Dify refuses to retry a document again
IGNORED_SECONDS = 15.0  # a retry that Dify takes up shows at once


@dataclass(frozen=True)
class Patience:
    """How often a document is tried before it is given up, and how long one try is followed."""

    most_tries: int = 3
    follow_seconds: float = 120.0
    poll_seconds: float = 2.0


class RetryHistory:
    """When each document was retried since it was last indexed, from the audit."""

    def __init__(self, entries: Iterable[AuditEntry] = ()) -> None:
        self._tries: dict[str, list[datetime]] = {}
        for entry in entries:
            if entry.operation == RETRY and entry.target_id is not None:
                self._note(self._tries.setdefault(entry.target_id, []), entry)

    def tries(self, document_id: str) -> Sequence[datetime]:
        """The times of its retries, oldest first."""
        return tuple(self._tries.get(document_id, ()))

    @staticmethod
    def _note(tries: list[datetime], entry: AuditEntry) -> None:
        if entry.outcome == "begun":
            tries.append(entry.at)
        elif entry.outcome == "verified":
            tries.clear()
        elif entry.outcome == "failed" and 400 <= (entry.http_status or 0) < 500 and tries:
            tries.pop()  # refused: no try


class RetryIndexing(ExamineDocuments, PlannedRequest):
    """Retry what failed or is stuck, one document per call, and follow it to its end."""

    tries: int = Field(default=3, ge=1, description="Tries after which a document is given up.")
    follow_seconds: Annotated[float, Option("--follow")] = Field(
        default=120.0, gt=0, description="Seconds for which each retry is followed."
    )

    def plan(self, context: OperationContext) -> Operation:
        """A step per document; the tries are those of the home's audit."""
        history = RetryHistory(AuditFile(Home(context.home).audit).entries())
        patience = Patience(self.tries, self.follow_seconds)
        return retry_operation(context.operator, self.report(context.operator), history, patience)


def retry_operation(
    operator: Operator,
    report: Report,
    history: RetryHistory,
    patience: Patience | None = None,
) -> Operation:
    """A step per document that failed or is stuck; notes tell which are left alone, and why."""
    patience = patience or Patience()
    actions = []
    notes = [f"dataset {name} cannot be read: {reason}" for name, reason in report.unreadable]
    for trouble in report.troubles:
        tries, now = history.tries(trouble.document_id), operator.clock.now()
        # Dify does not tell when a document was retried, so its own times make it look stuck.
        pause = MARKER if trouble.kind == "failed" else max(MARKER, report.stuck_after)
        reason = _reason_to_leave(trouble, tries, patience)
        if not reason and tries and now - tries[-1] < pause:
            reason = f"retried at {tries[-1]:%H:%M} UTC; due again at {tries[-1] + pause:%H:%M}"
        if reason:
            notes.append(f"{trouble.name}: {reason}")
        else:
            actions.append(_Retry(operator, trouble, patience).action())
    return operator.operation(RETRY, actions, notes)


def _reason_to_leave(trouble: Trouble, tries: Sequence[datetime], patience: Patience) -> str | None:
    if trouble.kind == "paused":
        return "paused by a person; resume it in Dify's console"
    if trouble.is_archived:
        return "archived; Dify skips it, unarchive it first"
    if len(tries) >= patience.most_tries:
        return f"given up after {len(tries)} tries: {trouble.error or trouble.indexing_status}"
    return None


class _Retry:
    """One retry and what is seen of it."""

    def __init__(self, operator: Operator, trouble: Trouble, patience: Patience) -> None:
        self._operator = operator
        self._trouble = trouble
        self._patience = patience
        self._before: IndexingStatus | None = None

    def action(self) -> Action:
        trouble = self._trouble
        step = Step(
            RETRY,
            Target("document", trouble.document_id, trouble.name),
            {"indexing_status": trouble.indexing_status},
            {"indexing_status": "completed"},
            note=trouble.error or "",
        )
        return Action(step, write=self._write, read_back=self._follow, look=self._look)

    def _look(self) -> State | None:
        self._before = self._status()
        return None if self._before is None else _state(self._before)

    def _write(self) -> Answer:
        return self._operator.dify.datasets.retry_document(
            self._trouble.dataset_id, self._trouble.document_id
        )

    def _follow(self, answer: Answer) -> Found:
        """Ask until it is completed, has failed again, or patience ends."""
        clock, has_moved = self._operator.clock, False
        began = clock.monotonic()
        while True:
            status = self._status()
            waited = clock.monotonic() - began
            if status is None:
                return Found(None, message="the document is gone")
            has_moved = has_moved or status != self._before
            found = self._judged(status, has_moved=has_moved, waited=waited)
            if found is not None:
                return found
            clock.sleep(self._patience.poll_seconds)

    def _judged(self, status: IndexingStatus, *, has_moved: bool, waited: float) -> Found | None:
        """What the status means; None: ask again."""
        state, name = _state(status), status.indexing_status
        if name == "completed":
            return Found(state)
        if name in ("error", "paused") and has_moved:
            reason = shown_error(status.error or "no error text")
            return Found(state, message=f"failed again: {reason}")
        is_ignored = self._trouble.kind == "failed" and not has_moved
        if is_ignored and waited >= IGNORED_SECONDS:
            return Found(state, message="Dify answered, but did not take the document up")
        if waited >= self._patience.follow_seconds:
            message = f"taken up, but still {name} after {waited:.0f} s; look again later"
            return Found(state, message=message, is_under_way=True)
        return None

    def _status(self) -> IndexingStatus | None:
        trouble = self._trouble
        try:
            return self._operator.dify.datasets.document_indexing_status(
                trouble.dataset_id, trouble.document_id
            )
        except NotFound:
            return None


def _state(status: IndexingStatus) -> State:
    return {"indexing_status": status.indexing_status}
