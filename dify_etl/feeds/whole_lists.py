"""Feeds that are listed whole on every run: keys, datasets, documents, members, annotations,
triggers, archived runs.

Each list that was proven whole marks the rows that Dify has no more.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import TypeVar

from dify_etl.dify.agents import AgentVersion
from dify_etl.dify.api_keys import ApiKey
from dify_etl.dify.app_modes import CHAT_MODES, COMPLETION_MODES, WORKFLOW_MODES
from dify_etl.dify.datasets import Dataset, Document
from dify_etl.dify.errors import NoSuchEndpoint
from dify_etl.dify.feedback import Annotation
from dify_etl.dify.http.server import Version
from dify_etl.dify.members import Member
from dify_etl.dify.paging import PageWalk
from dify_etl.dify.record import Batch, Record, Rejected, lost
from dify_etl.dify.workflow_records import AppTrigger, ArchivedRun
from dify_etl.feeds.apps import known_apps
from dify_etl.raw.frames import records_frame
from dify_etl.raw.tables import raw_table
from dify_etl.sync.books import FeedBooks
from dify_etl.sync.fetching import Fetched, FetchLimits, attempt, fetch
from dify_etl.sync.report import FeedReport, Slice
from dify_etl.sync.rights import NOT_SHOWN, role_of, why_not_shown
from dify_etl.sync.run import Sync
from dify_etl.sync.source import check_source
from dify_etl.sync.walks import Rows
from dify_etl.warehouse.tables import quoted

R = TypeVar("R", bound=Record)
log = logging.getLogger(__name__)

TRIGGERS_SINCE: Version = (1, 10, 0)
ARCHIVED_SINCE: Version = (1, 12, 0)
PRIVATE_DATASETS = "only the workspace's owner is shown everybody's private datasets; this role is"


@dataclass(frozen=True)
class Listed:
    """One list, read whole: its records, rejected rows, Dify's total, and a doubt if there is."""

    records: tuple[Record, ...]
    rejected: tuple[Rejected, ...]
    total: int | None
    requests: int
    reason: str | None = None

    def slice(self, app_id: str | None, doubt: str | None) -> Slice:
        """Its ledger row; `doubt` says why even a whole list may not be all there is."""
        state = "incomplete" if self.reason else "unproven" if doubt else "proven"
        rows, reason = len(self.records), self.reason or doubt
        return Slice(app_id, None, state, rows, self.total, self.requests, reason)


def read_members(sync: Sync) -> FeedReport:
    """GET /workspaces/current/members."""
    return _read_one(sync, "members", Member, lambda: _of_batch(sync.dify.members.list()))


def read_dataset_api_keys(sync: Sync) -> FeedReport:
    """GET /datasets/api-keys, without the keys."""
    fetch = sync.dify.api_keys.of_datasets
    return _read_one(sync, "dataset_api_keys", ApiKey, lambda: _of_batch(fetch()))


def read_datasets(sync: Sync) -> FeedReport:
    """GET /datasets with include_all, which only counts for the workspace's owner."""
    fetch = sync.dify.datasets.walk
    return _read_one(
        sync, "datasets", Dataset, lambda: _of_walk(fetch()), doubt=_hidden_datasets(sync)
    )


def read_app_api_keys(sync: Sync) -> FeedReport:
    """GET /apps/{id}/api-keys of every app, without the keys."""
    apps = [app.app_id for app in known_apps(sync)]
    return _read_each(
        sync,
        "app_api_keys",
        ApiKey,
        apps,
        lambda app_id: _of_batch(sync.dify.api_keys.of_app(app_id)),
    )


def read_annotations(sync: Sync) -> FeedReport:
    """GET /apps/{id}/annotations of every conversational app."""
    apps = [app.app_id for app in known_apps(sync, *CHAT_MODES, *COMPLETION_MODES)]
    return _read_each(
        sync,
        "annotations",
        Annotation,
        apps,
        lambda app_id: _of_walk(sync.dify.conversations.annotations_walk(app_id)),
    )


def read_agent_versions(sync: Sync) -> FeedReport:
    """GET /agent/{id}/versions of every agent: the published ones."""
    agents = {app.app_id: app.agent_id for app in known_apps(sync) if app.agent_id is not None}
    return _read_each(
        sync,
        "agent_versions",
        AgentVersion,
        tuple(agents),
        lambda app_id: _of_batch(sync.dify.agents.versions(app_id, agents[app_id])),
    )


def read_app_triggers(sync: Sync) -> FeedReport:
    """GET /apps/{id}/triggers of every workflow app (since 1.10)."""
    return _read_each(
        sync,
        "app_triggers",
        AppTrigger,
        [app.app_id for app in known_apps(sync, *WORKFLOW_MODES)],
        lambda app_id: _of_batch(sync.dify.workflows.triggers(app_id)),
        since=TRIGGERS_SINCE,
    )


def read_archived_runs(sync: Sync) -> FeedReport:
    """GET /apps/{id}/workflow-archived-logs of every workflow app (since 1.12)."""
    return _read_each(
        sync,
        "archived_runs",
        ArchivedRun,
        [app.app_id for app in known_apps(sync, *WORKFLOW_MODES)],
        lambda app_id: _of_walk(sync.dify.workflows.archived_runs_walk(app_id)),
        since=ARCHIVED_SINCE,
    )


def read_documents(sync: Sync) -> FeedReport:
    """GET /datasets/{id}/documents of every dataset that the account sees."""
    rows = sync.database.rows("SELECT dataset_id FROM raw.datasets WHERE absent_since IS NULL")
    with FeedBooks(sync, "documents") as books:
        outcomes = _fetch(
            books,
            [row[0] for row in rows],
            lambda dataset_id: _of_walk(sync.dify.datasets.documents_walk(dataset_id)),
        )
        reasons, private, count, requests = [], [], 0, 0
        for one in outcomes:
            if hidden := why_not_shown(sync, one.error):
                private.append(hidden)
                continue
            if one.result is None:
                reasons.append(f"dataset {one.task}: {one.error}")
                continue
            is_whole = one.result.reason is None
            scope = f"t.dataset_id = {quoted(one.task)}" if is_whole else None
            _load(books, Document, one.result, scope=scope)
            count, requests = count + len(one.result.records), requests + one.result.requests
            reasons += [f"dataset {one.task}: {one.result.reason}"] if one.result.reason else []
        with books.commit():
            unlisted = _unlisted_datasets(sync)
            weak = next(iter(private), None) or unlisted or _hidden_datasets(sync)
            state = "incomplete" if reasons else "unproven" if weak else "proven"
            reason = "; ".join(reasons[:3]) or weak
            books.close_slices([Slice(None, None, state, count, None, requests, reason)])
        return books.report()


def _read_one(
    sync: Sync,
    feed: str,
    record_class: type[Record],
    fetch: Callable[[], Listed],
    *,
    doubt: str | None = None,
) -> FeedReport:
    """A list of the whole workspace; rows of another tenant are never loaded."""
    with FeedBooks(sync, feed) as books:
        (outcome,) = _fetch(books, [feed], lambda _: fetch())
        if error := outcome.error or attempt(feed, lambda: check_source(sync)).error:
            books.fail(None, [None], error)
            return books.report()
        assert outcome.result is not None
        listed = outcome.result
        reason = listed.reason or doubt
        with books.commit():
            _load(books, record_class, listed, scope="true" if reason is None else None)
            state = "incomplete" if listed.reason else "unproven" if doubt else "proven"
            books.close_slices(
                [
                    Slice(
                        None,
                        None,
                        state,
                        len(listed.records),
                        listed.total,
                        listed.requests,
                        reason,
                    )
                ]
            )
        return books.report()


def _read_each(
    sync: Sync,
    feed: str,
    record_class: type[Record],
    app_ids: Sequence[str],
    fetch: Callable[[str], Listed],
    *,
    since: Version | None = None,
) -> FeedReport:
    """A list per app; one failed app fails only its own slice.

    A list that came with a version may be unknown to the server: the first app shows it, and no
    other is asked then. An older server has nothing to list; a later one that has the list no more
    leaves it unproven.
    """
    with FeedBooks(sync, feed) as books:
        alone = [attempt(one, partial(fetch, one)) for one in app_ids[: int(since is not None)]]
        lacks = next((one.error for one in alone if isinstance(one.error, NoSuchEndpoint)), None)
        if lacks is not None and since is not None:
            log.info("%s: this server has no such list", feed)
            is_older = sync.dify.version < since
            state, reason = ("proven", None) if is_older else ("unproven", str(lacks))
            with books.commit():
                books.close_slices(
                    [Slice(app_id, None, state, 0, reason=reason) for app_id in app_ids]
                )
            return books.report()
        for one in chain(alone, _fetch(books, app_ids[len(alone) :], fetch)):
            if one.error is not None:
                books.fail(one.task, [None], one.error)
                continue
            assert one.result is not None
            listed = one.result
            with books.commit():
                scope = f"t.app_id = {quoted(one.task)}" if listed.reason is None else None
                _load(books, record_class, listed, scope=scope, app_id=one.task)
                state = "proven" if listed.reason is None else "incomplete"
                count = len(listed.records)
                books.close_slices(
                    [
                        Slice(
                            one.task,
                            None,
                            state,
                            count,
                            listed.total,
                            listed.requests,
                            listed.reason,
                        )
                    ]
                )
        return books.report()


def _fetch(
    books: FeedBooks, tasks: Sequence[str], read: Callable[[str], Listed]
) -> Iterable[Fetched[str, Listed]]:
    books.expect(len(tasks))
    for one in fetch(tasks, read, FetchLimits(books.sync.rules.workers)):
        yield one
        books.step()


def _load(
    books: FeedBooks,
    record_class: type[Record],
    listed: Listed,
    *,
    scope: str | None,
    app_id: str | None = None,
) -> None:
    """Upsert a list; with a scope, rows of it that Dify did not send are marked absent."""
    table = raw_table(books.feed)
    books.load(books.feed, record_class, listed.records)
    books.quarantine(app_id, listed.rejected)
    if scope is not None and not lost(listed.rejected):
        present = records_frame(table, record_class, listed.records)
        books.mark_absent(table, scope=scope, present=present)


def _of_batch(batch: Batch[Record]) -> Listed:
    return Listed(batch.records, batch.rejected, len(batch), 1)


def _of_walk(walk: PageWalk[R]) -> Listed:
    rows = Rows(walk.key)
    for page in walk:
        rows.add(page)
    return Listed(
        tuple(rows.records.values()),
        tuple(rows.rejected.values()),
        walk.proof.total_last,
        rows.requests,
        None if walk.proof.is_proven else walk.proof.reason,
    )


def _unlisted_datasets(sync: Sync) -> str | None:
    """Why there may be datasets that nobody was asked for: their list was not read whole, or is
    not shown to this account.
    """
    rows = sync.database.rows("SELECT state, reason FROM ops.slices WHERE feed = 'datasets'")
    for state, reason in rows:
        if state == "unproven" and reason.startswith(NOT_SHOWN):
            return str(reason)  # as all reasons of rights begin
        if state in ("failed", "incomplete"):
            return f"the list of datasets: {reason}"
    return None if rows else "the list of datasets was not read yet"


def _hidden_datasets(sync: Sync) -> str | None:
    """Why datasets may be missing; None for the owner, who sees all."""
    role = role_of(sync)
    return None if role == "owner" else f"{PRIVATE_DATASETS} {role or 'not told'}"
