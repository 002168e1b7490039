"""The indexing doctor: which documents failed, are stuck or paused, and why."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Literal

from pydantic import Field

from dify_etl.dify.client import DifyClient
from dify_etl.dify.datasets import Dataset, Document, IndexingStatus
from dify_etl.dify.errors import DifyError, NotFound
from dify_etl.dify.http.clock import Clock
from dify_etl.operations.applying import Operator
from dify_etl.operations.errors import TargetUnknown
from dify_etl.operations.request import Option, Request

Kind = Literal["failed", "stuck", "paused"]
SHOWN_ERROR = 300  # characters

# Providers of models quote keys in their errors.
_KEY = re.compile(r"\b(sk|app|dataset|Bearer)[-_ ][A-Za-z0-9_*.\-]{8,}|\*{3,}\S+")
_VARYING = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}|0x[0-9a-f]+|\d+", re.IGNORECASE)


@dataclass(frozen=True)
class Trouble:
    """One document that is not indexed and does not become so by itself.

    `since` is the last progress that Dify tells; `error` is its text without keys.
    """

    kind: Kind
    dataset_id: str
    dataset_name: str
    document_id: str
    document_name: str
    indexing_status: str
    error: str | None
    since: datetime | None
    is_archived: bool = False

    @property
    def name(self) -> str:
        """The document, under its dataset."""
        return f"{self.dataset_name}/{self.document_name}"


@dataclass(frozen=True)
class ErrorGroup:
    """Troubles of one kind whose errors differ in ids and numbers only."""

    kind: Kind
    error: str
    troubles: tuple[Trouble, ...]


@dataclass(frozen=True)
class Report:
    """What the doctor found. `unreadable` names datasets that could not be examined, and why;
    `stuck_after` is the time that he gives a document at work.
    """

    datasets: int
    documents: int
    troubles: tuple[Trouble, ...]
    unreadable: tuple[tuple[str, str], ...] = ()
    stuck_after: timedelta = timedelta(0)

    def groups(self) -> tuple[ErrorGroup, ...]:
        """The troubles by kind and error, the largest group first."""
        held: dict[tuple[Kind, str], list[Trouble]] = {}
        for trouble in self.troubles:
            key = (trouble.kind, _VARYING.sub("#", trouble.error or ""))
            held.setdefault(key, []).append(trouble)
        groups = [
            ErrorGroup(kind, found[0].error or "no error text", tuple(found))
            for (kind, _), found in held.items()
        ]
        return tuple(sorted(groups, key=lambda group: (-len(group.troubles), group.error)))


@dataclass(frozen=True)
class Examination:
    """How the doctor looks: a document at work is stuck when its last progress is older than
    `stuck_after` and a second look, so many seconds later, finds the same as the first.
    """

    stuck_after: timedelta = timedelta(minutes=30)
    second_look_seconds: float = 10.0


class ExamineDocuments(Request):
    """Show what is not indexed, by error; exit code 1 when there is anything."""

    datasets: Annotated[list[str], Option("--dataset")] = Field(
        default=[], description="Id or name of a dataset; none: all datasets."
    )
    stuck_after_minutes: Annotated[int, Option("--stuck-after")] = Field(
        default=30, ge=1, description="Minutes without progress after which a document is stuck."
    )
    second_look_seconds: Annotated[float, Option("--look-again")] = Field(
        default=10.0,
        ge=0,
        description="Seconds until the second look at those that may be stuck.",
    )

    def report(self, operator: Operator) -> Report:
        """What is found. TargetUnknown when a named dataset is not there."""
        looking = Examination(timedelta(minutes=self.stuck_after_minutes), self.second_look_seconds)
        return examine(operator.dify, looking, datasets=self.datasets, clock=operator.clock)


def examine(
    dify: DifyClient,
    examination: Examination | None = None,
    *,
    datasets: Sequence[str] = (),
    clock: Clock | None = None,
) -> Report:
    """Look at every document of these datasets (ids or names; all when none is named).

    A dataset that cannot be read is named in the report and does not stop the others.
    TargetUnknown when a named one is not there.
    """
    examination, clock = examination or Examination(), clock or Clock()
    found, documents, unreadable = [], 0, []
    waiting: list[_Look] = []
    chosen = _chosen(list(dify.datasets.list()), datasets)
    for dataset in chosen:
        try:
            for document in dify.datasets.documents(dataset.dataset_id):
                documents += 1
                look = _look(dify, dataset, document)
                if look is None:
                    continue
                if look.trouble_kind:
                    found.append(look.trouble(look.trouble_kind))
                elif clock.now() - look.since > examination.stuck_after:
                    waiting.append(look)
        except DifyError as error:
            unreadable.append((dataset.name, str(error)))
    found += _stuck(dify, waiting, lambda: clock.sleep(examination.second_look_seconds))
    return Report(len(chosen), documents, tuple(found), tuple(unreadable), examination.stuck_after)


@dataclass(frozen=True)
class _Look:
    """A document that is not completed, as it is at one moment."""

    dataset: Dataset
    document: Document
    status: IndexingStatus

    @property
    def trouble_kind(self) -> Kind | None:
        kinds: dict[str | None, Kind] = {"error": "failed", "paused": "paused"}
        return kinds.get(self.status.indexing_status)

    @property
    def since(self) -> datetime:
        """The last progress of which Dify tells the time; in the beginning, being added."""
        times = [*_progress(self.status), self.document.created_at]
        return max(time for time in times if time is not None)

    def trouble(self, kind: Kind) -> Trouble:
        # The error of a status that is at work again is the one of the try before.
        error = self.status.error if kind == "failed" else None
        return Trouble(
            kind=kind,
            dataset_id=self.dataset.dataset_id,
            dataset_name=self.dataset.name,
            document_id=self.document.document_id,
            document_name=self.document.name,
            indexing_status=self.status.indexing_status or "unknown",
            error=None if error is None else shown_error(error),
            since=self.since,
            is_archived=bool(self.document.is_archived),
        )


def _look(dify: DifyClient, dataset: Dataset, document: Document) -> _Look | None:
    """The state of a document; None when it is completed, or gone by now."""
    if document.indexing_status == "completed" and document.display_status != "paused":
        return None
    try:
        status = dify.datasets.document_indexing_status(dataset.dataset_id, document.document_id)
    except NotFound:
        return None
    return None if status.indexing_status == "completed" else _Look(dataset, document, status)


def _stuck(
    dify: DifyClient, waiting: Sequence[_Look], wait: Callable[[], None]
) -> Iterator[Trouble]:
    """Those that a second look finds as they were."""
    if not waiting:
        return
    wait()
    for first in waiting:
        again = _look(dify, first.dataset, first.document)
        if again is not None and again.status == first.status:
            yield again.trouble("stuck")


def _progress(status: IndexingStatus) -> tuple[datetime | None, ...]:
    return (
        status.processing_started_at,
        status.parsing_completed_at,
        status.cleaning_completed_at,
        status.splitting_completed_at,
    )


def shown_error(text: str) -> str:
    """Dify's error text, cut, without what looks like a key."""
    cut = _KEY.sub("(secret)", text.strip())
    return cut if len(cut) <= SHOWN_ERROR else cut[:SHOWN_ERROR] + "…"


def _chosen(held: Sequence[Dataset], asked: Sequence[str]) -> list[Dataset]:
    """The datasets with these ids or names, all when none is named. TargetUnknown."""
    for text in asked:
        if not any(text in (one.dataset_id, one.name) for one in held):
            raise TargetUnknown(
                f"Dify shows no dataset with the id or name {text!r}",
                where="GET /datasets",
                hint="Only an owner sees everybody's private datasets.",
            )
    return [one for one in held if not asked or one.dataset_id in asked or one.name in asked]
