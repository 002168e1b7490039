"""Feeds that are listed whole on every run: of the workspace, of every app, of every dataset.

Each list that was proven whole marks the rows that Dify has no more.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any

import polars as pl

from dify_etl.dify.client import DifyClient
from dify_etl.dify.errors import DifyError, NoSuchEndpoint
from dify_etl.dify.http.server import Version
from dify_etl.dify.paging import PageWalk
from dify_etl.dify.record import Batch, Rejected, lost
from dify_etl.raw.frames import records_frame, unknown_fields
from dify_etl.raw.tables import RAW_TABLES
from dify_etl.sync.feed_loader import FeedLoader
from dify_etl.sync.fetching import Fetched, FetchLimits, attempt, fetch
from dify_etl.sync.framed_rows import FramedRows
from dify_etl.sync.known_apps import KnownApp, known_apps
from dify_etl.sync.report import FeedReport, Slice
from dify_etl.sync.rights import NOT_SHOWN, role_of, why_not_shown
from dify_etl.sync.run import Sync
from dify_etl.sync.source import check_source
from dify_etl.sync.turns import others_go_on
from dify_etl.warehouse.tables import quoted

log = logging.getLogger(__name__)

# What Dify sends at once, or a walk over its pages.
Answer = Batch[Any] | PageWalk[Any]

UNKNOWN_PATH = 404
APPS_ASKED = 3  # before a list counts as taken away: an id that is none is answered the same way

PRIVATE_DATASETS = "only the workspace's owner is shown everybody's private datasets; this role is"


@dataclass(frozen=True)
class Listed:
    """One list, read whole: a frame of its rows, fields that no known version sends, rejected rows,
    Dify's total, and what may be missing.

    Records would take ten times the memory: a dataset may have a hundred thousand documents.
    """

    rows: pl.DataFrame
    unknown: frozenset[str]
    rejected: tuple[Rejected, ...]
    total: int | None
    requests: int
    missing: str | None = None

    @classmethod
    def of(cls, feed: str, answer: Answer) -> "Listed":
        """What Dify sent at once, or the pages of a walk, as rows of the feed's table."""
        raw = RAW_TABLES[feed]
        (record_class,) = raw.records
        frame_of = partial(records_frame, raw.table, record_class)
        if not isinstance(answer, PageWalk):
            unknown = frozenset(unknown_fields(answer.records))
            return cls(frame_of(answer.records), unknown, answer.rejected, len(answer), 1)
        found = FramedRows(frame_of, answer.key)
        for page in answer:
            found.add(page)
        return cls(
            found.rows.unique(raw.table.key, keep="last", maintain_order=True),
            frozenset(found.unknown),
            tuple(found.rejected.values()),
            answer.proof.total_last,
            found.requests,
            None if answer.proof.is_proven else answer.proof.reason,
        )

    def slice(self, app_id: str | None, doubt: str | None = None) -> Slice:
        """Its ledger row; `doubt` says why even a whole list may not be all there is."""
        return Slice.judged(
            *(app_id, None, self.rows.height),
            missing=self.missing,
            doubt=doubt,
            expected=self.total,
            requests=self.requests,
        )


@dataclass(frozen=True)
class WholeList:
    """A list of the workspace: what asks for it, and why even all of it may not be all there is."""

    ask: Callable[[DifyClient], Answer]
    doubt: Callable[[Sync], str | None] = lambda sync: None

    def ask_first(self, dify: DifyClient) -> None:
        """Ask for one row, to see whether the account may."""
        _ask_first(self.ask(dify))

    def read(self, sync: Sync, feed: str) -> FeedReport:
        """Read it into the feed's table; rows of another tenant are never loaded."""
        with FeedLoader(sync, feed) as loader:
            ((outcome,),) = _fetch(loader, [feed], lambda _: Listed.of(feed, self.ask(sync.dify)))
            if error := outcome.error or attempt(feed, lambda: check_source(sync)).error:
                loader.fail(None, [None], error)
                return loader.report()
            assert outcome.result is not None
            listed, doubt = outcome.result, self.doubt(sync)
            with loader.commit():
                _load(loader, listed, scope=None if listed.missing or doubt else "true")
                loader.close_slices([listed.slice(None, doubt)])
            return loader.report()


@dataclass(frozen=True)
class AppList:
    """A list of every app of these modes (none: of all), or of those that are bound to an agent.

    One that came with a version (`since`) may be unknown to the server: the first app shows it, and
    no other is asked then. An older server has nothing to list; a later one that has the list no
    more leaves it unproven, unless Dify took the list away: the trees that have it no more tell
    versions from `gone_since` on, and so do earlier ones that have it. Then nothing is listed, and
    the rows that are held stay. Of the apps only those that are `due` are asked; the others' slices
    stay as they are.
    """

    ask: Callable[[DifyClient, KnownApp], Answer]
    modes: tuple[str, ...] = ()
    is_of_agents: bool = False
    since: Version | None = None
    gone_since: Version | None = None
    due: Callable[[Sync, Sequence[str]], Sequence[str]] = lambda sync, app_ids: app_ids

    def is_for(self, app: KnownApp) -> bool:
        """Whether an app of a known mode has such a list."""
        is_bound = app.agent_id is not None or not self.is_of_agents
        return is_bound and (not self.modes or app.mode in self.modes)

    def ask_first(self, dify: DifyClient, app: KnownApp) -> None:
        """Ask for one row, to see whether the account may. A server that has not got the list yet
        lacks none; NoSuchEndpoint where it has none any more.
        """
        try:
            _ask_first(self.ask(dify, app))
        except NoSuchEndpoint as error:
            if self.since is None or self.is_taken_away(dify, error):
                raise

    def is_taken_away(self, dify: DifyClient, error: DifyError | None) -> bool:
        """Whether Dify itself says that it has the list no more: with its page for unknown paths,
        which a proxy that refuses the path does not send with Dify's version.
        """
        is_unknown = isinstance(error, NoSuchEndpoint) and error.status == UNKNOWN_PATH
        return is_unknown and self.gone_since is not None and dify.version >= self.gone_since

    def read(self, sync: Sync, feed: str) -> FeedReport:
        """Read it into the feed's table; one failed app fails only its own slice."""
        known = known_apps(sync, *self.modes)
        apps = {one.app_id: one for one in known if one.agent_id or not self.is_of_agents}

        def listed(app_id: str) -> Listed:
            with others_go_on():
                return Listed.of(feed, self.ask(sync.dify, apps[app_id]))

        ids = self.due(sync, list(apps))
        with FeedLoader(sync, feed) as loader:
            alone = [attempt(one, partial(listed, one)) for one in ids[: int(bool(self.since))]]
            lacks = next(
                (one.error for one in alone if isinstance(one.error, NoSuchEndpoint)), None
            )
            if lacks is not None and self.since is not None:
                log.info("%s: this server has no such list", feed)
                doubt = None if sync.dify.version < self.since else str(lacks)
                if self.is_taken_away(sync.dify, lacks):
                    others = [attempt(one, partial(listed, one)) for one in ids[1:APPS_ASKED]]
                    if all(self.is_taken_away(sync.dify, one.error) for one in others):
                        doubt = None
                with loader.commit():
                    loader.close_slices([Slice.judged(one, None, doubt=doubt) for one in ids])
                return loader.report()
            for batch in chain([alone], _fetch(loader, ids[len(alone) :], listed)):
                for one in batch:
                    if one.error is not None:
                        loader.fail(one.task, [None], one.error)
                _load_apps(loader, {one.task: one.result for one in batch if one.result})
            return loader.report()


def read_documents(sync: Sync) -> FeedReport:
    """GET /datasets/{id}/documents of every dataset that the account sees."""
    rows = sync.database.rows("SELECT dataset_id FROM raw.datasets WHERE absent_since IS NULL")
    with FeedLoader(sync, "documents") as loader:
        outcomes = chain.from_iterable(
            _fetch(
                loader,
                [row[0] for row in rows],
                lambda dataset_id: Listed.of(
                    "documents", sync.dify.datasets.documents_walk(dataset_id)
                ),
            )
        )
        reasons, private, count, requests = [], [], 0, 0
        for one in outcomes:
            if hidden := why_not_shown(sync, one.error):
                private.append(hidden)
                continue
            if one.result is None:
                reasons.append(f"dataset {one.task}: {one.error}")
                continue
            missing = one.result.missing
            scope = None if missing else f"t.dataset_id = {quoted(one.task)}"
            with loader.commit():
                _load(loader, one.result, scope=scope)
            count, requests = count + one.result.rows.height, requests + one.result.requests
            reasons += [f"dataset {one.task}: {missing}"] if missing else []
        with loader.commit():
            doubt = next(iter(private), None) or unlisted(sync, "datasets") or hidden_datasets(sync)
            missing = "; ".join(reasons[:3])
            loader.close_slices(
                [Slice.judged(None, None, count, missing=missing, doubt=doubt, requests=requests)]
            )
        return loader.report()


def _fetch(
    loader: FeedLoader, tasks: Sequence[str], read: Callable[[str], Listed]
) -> Iterator[Sequence[Fetched[str, Listed]]]:
    """The lists, each time all that have come: one load of many costs little more than one."""
    loader.expect(len(tasks))
    for batch in fetch(tasks, read, FetchLimits(loader.sync.rules.workers)).batches():
        yield tuple(batch)
        for _ in batch:
            loader.step()


def _load_apps(loader: FeedLoader, lists: Mapping[str, Listed]) -> None:
    """Upsert the lists of several apps together, and write their slices.

    What an app has no more is marked first: its id may be a row of another app by now.
    """
    if not lists:
        return
    table = RAW_TABLES[loader.feed].table
    with loader.commit():
        for app_id, one in lists.items():
            if one.missing is None and not lost(one.rejected):
                scope = f"t.app_id = {quoted(app_id)}"
                loader.mark_absent(table, scope=scope, present=one.rows)
        loader.note_unknown(name for one in lists.values() for name in one.unknown)
        loader.load_frame(table, pl.concat([one.rows for one in lists.values()]))
        for app_id, one in lists.items():
            loader.quarantine(app_id, one.rejected)
        loader.close_slices([one.slice(app_id) for app_id, one in lists.items()])


def _load(loader: FeedLoader, listed: Listed, *, scope: str | None) -> None:
    """Upsert a list; with a scope, rows of it that Dify did not send are marked absent."""
    table = RAW_TABLES[loader.feed].table
    loader.note_unknown(listed.unknown)
    loader.load_frame(table, listed.rows)
    loader.quarantine(None, listed.rejected)
    if scope is not None and not lost(listed.rejected):
        loader.mark_absent(table, scope=scope, present=listed.rows)


def _ask_first(answer: Answer) -> None:
    if isinstance(answer, PageWalk):
        answer.ask(1, 1)


def unlisted(sync: Sync, feed: str) -> str | None:
    """Why there may be datasets or documents that nobody was asked for: their list was not read
    whole, or is not shown to this account.
    """
    rows = sync.database.rows("SELECT state, reason FROM ops.slices WHERE feed = ?", [feed])
    for state, reason in rows:
        if state == "unproven" and reason.startswith(NOT_SHOWN):
            return str(reason)  # as all reasons of rights begin
        if state in ("failed", "incomplete"):
            return f"the list of {feed}: {reason}"
    return None if rows else f"the list of {feed} was not read yet"


def hidden_datasets(sync: Sync) -> str | None:
    """Why datasets may be missing; None for the owner, who sees all."""
    role = role_of(sync)
    return None if role == "owner" else f"{PRIVATE_DATASETS} {role or 'not told'}"
