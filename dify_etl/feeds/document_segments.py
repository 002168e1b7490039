"""Feed document_segments: the passages of every document, read again when it may have changed."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial

import polars as pl

from dify_etl.dify.client import DifyClient
from dify_etl.dify.datasets import DocumentSegment
from dify_etl.dify.errors import NotFound
from dify_etl.dify.record import lost
from dify_etl.feeds.whole_lists import Listed, hidden_datasets, unlisted
from dify_etl.raw.frames import records_frame
from dify_etl.raw.tables import raw_table
from dify_etl.sync.feed_loader import FeedLoader
from dify_etl.sync.fetching import Fetched, FetchLimits, fetch
from dify_etl.sync.ledger import DOCUMENT_READS
from dify_etl.sync.report import FeedReport, Slice
from dify_etl.sync.rights import Refusals, why_not_shown
from dify_etl.sync.run import Sync
from dify_etl.time_zones import ONE_DAY
from dify_etl.warehouse.tables import frame, quoted

FEED = "document_segments"
NEVER = timedelta(days=36500)
# Documents that are begun ahead of the loading, and segments that wait for it.
LOOKAHEAD, BUFFERED = 200, 5_000
NAMED_DOCUMENTS = 3
IS_GONE = "was listed, and Dify had it no more when its segments were asked"

# What a document's list row tells that changes with its segments. Dify tells no time of a change.
_SIGNS = (
    *("word_count", "tokens", "hit_count", "indexing_status"),
    *("is_enabled", "is_archived", "dataset_process_rule_id"),
)
_GONE = """SELECT d.document_id FROM raw.documents d LEFT JOIN raw.datasets s USING (dataset_id)
    WHERE d.absent_since IS NOT NULL OR s.absent_since IS NOT NULL"""


@dataclass(frozen=True)
class DueDocument:
    """A document whose segments are read tonight, with its list row as it was before."""

    document_id: str
    dataset_id: str
    signs: tuple[object, ...]


def read_document_segments(sync: Sync) -> FeedReport:
    """GET /datasets/{id}/documents/{id}/segments of the documents that are due.

    One that fails costs only itself, and is named. The feed's one slice is proven when each
    document's list was, at its own `read_at` (ops.document_reads).
    """
    with FeedLoader(sync, FEED) as loader:
        with loader.commit():
            _leave_gone_documents(loader)
        due = _due_documents(sync)
        loader.expect(len(due))
        read = Refusals().asking_of(lambda one: one.dataset_id, partial(_read, sync))
        limits = FetchLimits(sync.rules.workers, LOOKAHEAD, BUFFERED)
        requests = 0
        for batch in fetch(due, read, limits, size=_size).batches():
            requests += sum(one.result.requests for one in batch if one.result)
            with loader.commit():
                _load(loader, batch)
            for _ in batch:
                loader.step()
        with loader.commit():
            _close_slice(loader, requests)
        return loader.report()


def _due_documents(sync: Sync) -> list[DueDocument]:
    """Those never read or not proven, whose list row is not as it was, of which a segment waits in
    quarantine, whose turn of the deep read it is, or who waited longer. `sync --full`: all.
    """
    listed = ", ".join(f"d.{name}" for name in _SIGNS)
    held = ", ".join(f"r.{name}" for name in _SIGNS)
    cycle = sync.rules.deep_read_days
    rows = sync.database.rows(
        f"""SELECT d.document_id, d.dataset_id, {listed}
        FROM raw.documents d JOIN raw.datasets s USING (dataset_id)
        LEFT JOIN ops.document_reads r USING (document_id)
        WHERE d.absent_since IS NULL AND s.absent_since IS NULL AND ($is_full
            OR coalesce(r.state <> 'proven', true)
            OR ({listed}) IS DISTINCT FROM ({held})
            OR r.read_at NOT BETWEEN $oldest AND $now
            OR (r.read_at < $yesterday AND $cycle > 0
                AND md5_number(d.document_id) % greatest($cycle, 1) = $turn)
            OR EXISTS (SELECT 1 FROM ops.quarantine q WHERE q.feed = $feed
                AND q.parent_id = d.document_id AND q.resolved_at IS NULL))
        ORDER BY d.dataset_id, d.position, d.document_id""",
        {
            "is_full": sync.plan.is_full,
            "oldest": sync.now - (timedelta(days=cycle) if cycle else NEVER),
            "now": sync.now,
            "yesterday": sync.now - ONE_DAY / 2,
            "cycle": cycle,
            "turn": sync.today.toordinal() % cycle if cycle else 0,
            "feed": FEED,
        },
    )
    return [DueDocument(one, dataset_id, tuple(signs)) for one, dataset_id, *signs in rows]


def _read(sync: Sync, due: DueDocument) -> Listed | None:
    """All segments of a document; None when Dify has it no more."""
    walk = sync.dify.datasets.segments_walk(due.dataset_id, due.document_id)
    try:
        return Listed.of(FEED, replace(walk, together=sync.together))
    except NotFound:
        if _is_gone(sync.dify, due):
            return None
        raise


def _is_gone(dify: DifyClient, due: DueDocument) -> bool:
    """Whether Dify tells nothing else of the document either."""
    try:
        dify.datasets.document_indexing_status(due.dataset_id, due.document_id)
    except NotFound:
        return True
    return False


def _size(listed: Listed | None) -> int:
    return 1 + (listed.rows.height if listed else 0)


def _load(loader: FeedLoader, batch: Sequence[Fetched[DueDocument, Listed | None]]) -> None:
    """Segments of several documents, and what was read of each; call it in a transaction."""
    came = [(one.task.document_id, one.result) for one in batch if one.result is not None]
    gone = [one.task.document_id for one in batch if one.result is None and one.error is None]
    table = raw_table(FEED)
    nothing = records_frame(table, DocumentSegment, ())
    segments = pl.concat([listed.rows for _, listed in came] or [nothing])
    whole = [one for one, listed in came if not listed.missing and not lost(listed.rejected)]
    if scope := ", ".join(quoted(one) for one in (*whole, *gone)):
        loader.mark_absent(table, scope=f"t.document_id IN ({scope})", present=segments)
    loader.note_unknown(name for _, listed in came for name in listed.unknown)
    loader.load_frame(table, segments)
    loader.read_anew([document_id for document_id, _ in came])
    for document_id, listed in came:
        loader.quarantine(None, listed.rejected, parent_id=document_id)
    read_at = loader.sync.dify.earlier_time()
    rows = [_ledger_row(loader.sync, one) | {"read_at": read_at} for one in batch]
    for names in {tuple(row) for row in rows}:  # what failed keeps its list row and count
        alike = [row for row in rows if tuple(row) == names]
        loader.load_frame(DOCUMENT_READS, frame(DOCUMENT_READS, alike, names))


def _ledger_row(sync: Sync, one: Fetched[DueDocument, Listed | None]) -> dict[str, object]:
    """What came of a document, with its list row of before the read: what changed meanwhile is due
    again.
    """
    known: dict[str, object] = {
        "document_id": one.task.document_id,
        "dataset_id": one.task.dataset_id,
    }
    if one.error is not None:
        hidden = why_not_shown(sync, one.error)
        state, reason = "unproven" if hidden else "failed", hidden or str(one.error)
        return {**known, "state": state, "reason": reason}
    held, missing = (one.result.rows.height, one.result.missing) if one.result else (0, None)
    state = "unproven" if one.result is None else "incomplete" if missing else "proven"
    return {
        **known,
        **dict(zip(_SIGNS, one.task.signs, strict=True)),
        "held_count": held,
        "state": state,
        "reason": missing if one.result else f"document {one.task.document_id} {IS_GONE}",
    }


def _leave_gone_documents(loader: FeedLoader) -> None:
    """Segments go with their document; one that returns is read anew."""
    table = raw_table(FEED)
    nothing = frame(table, [], table.key)
    loader.mark_absent(table, scope=f"t.document_id IN ({_GONE})", present=nothing)
    loader.sync.database.execute(f"DELETE FROM ops.document_reads WHERE document_id IN ({_GONE})")


def _close_slice(loader: FeedLoader, requests: int) -> None:
    """What is missing of any document, whichever night read it; all of them were read whole when
    the one was that waits longest.
    """
    sync = loader.sync
    (rows, read_whole_at), *_ = sync.database.rows(
        "SELECT coalesce(sum(held_count), 0)::BIGINT, min(read_at) FILTER (state = 'proven') "
        "FROM ops.document_reads"
    )
    doubts = (_first_doubt(sync), *(unlisted(sync, feed) for feed in ("documents", "datasets")))
    doubt = next((one for one in (*doubts, hidden_datasets(sync)) if one), None)
    loader.close_slices(
        [Slice.judged(None, None, rows, missing=_missing(sync), doubt=doubt, requests=requests)]
    )
    sync.database.execute(
        "UPDATE ops.slices SET deep_read_at = least(deep_read_at, ?) WHERE feed = ?",
        [read_whole_at, FEED],
    )


def _missing(sync: Sync) -> str | None:
    """The documents of which not all was read, and why."""
    rows = sync.database.rows(
        "SELECT document_id, reason FROM ops.document_reads "
        "WHERE state IN ('failed', 'incomplete') ORDER BY document_id"
    )
    told = [f"document {document_id}: {reason}" for document_id, reason in rows[:NAMED_DOCUMENTS]]
    more = [f"and {len(rows) - NAMED_DOCUMENTS} more"] if len(rows) > NAMED_DOCUMENTS else []
    return "; ".join([*told, *more]) or None


def _first_doubt(sync: Sync) -> str | None:
    """Why segments of a document are not shown."""
    rows = sync.database.rows(
        "SELECT reason FROM ops.document_reads WHERE state = 'unproven' ORDER BY document_id"
    )
    return rows[0][0] if rows else None
