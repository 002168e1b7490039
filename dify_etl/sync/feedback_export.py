"""The feedback export (>= 1.10.1), weekly per app, compared as a set with what is held.

A rating that was withdrawn or swapped for another moves no time and may leave the counts equal;
only this list shows it. What differs makes its conversation due; ids and times are taken over.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

import polars as pl

from dify_etl.dify.feedback import ExportedFeedback
from dify_etl.dify.record import Rejected
from dify_etl.normalise.frames import records_frame
from dify_etl.normalise.raw_tables import raw_table
from dify_etl.sync.apps import CHAT_MODES, COMPLETION_MODES, KnownApp, known_apps
from dify_etl.sync.books import FeedBooks
from dify_etl.sync.fetching import fetch_all
from dify_etl.sync.report import Slice
from dify_etl.sync.run import Sync
from dify_etl.warehouse.tables import quoted

FEED = "message_feedbacks"
EXPORTED_SINCE = (1, 10, 1)
EVERY = timedelta(days=6, hours=12)
NO_EXPORT = (
    "servers before 1.10.1 export no feedback: ids and times are unknown, swapped ratings and "
    "those of closed completion logs are not seen"
)


@dataclass(frozen=True)
class Export:
    """All feedback of one app, as exported; `rows` for raw.message_feedbacks."""

    app: KnownApp
    rows: pl.DataFrame
    rejected: tuple[Rejected, ...]


def read_exports(books: FeedBooks) -> list[Export]:
    """Ask the exports that are a week old; conversations whose ratings differ become due."""
    sync = books.sync
    if sync.dify.version < EXPORTED_SINCE:
        _say_unexported(books)
        return []
    exports = []
    fetch = partial(_read, sync)
    for one in fetch_all(_due_apps(books), fetch, workers=sync.rules.workers):
        app_id, export = one.task.app_id, one.result
        if export is None:
            with books.commit():
                failed = Slice(app_id, None, "failed", reason=str(one.error))
                books.close_slices([failed], feed=FEED)
            continue
        exports.append(export)
        with books.commit():
            books.quarantine(app_id, export.rejected)
            _make_due(books, export)
    return exports


def _read(sync: Sync, app: KnownApp) -> Export:
    batch = sync.dify.conversations.feedback_export(app.app_id)
    rows = records_frame(raw_table(FEED), ExportedFeedback, batch.records)
    return Export(app, rows, batch.rejected)


def _say_unexported(books: FeedBooks) -> None:
    apps = known_apps(books.sync, *CHAT_MODES, *COMPLETION_MODES)
    slices = [Slice(app.app_id, None, "unproven", reason=NO_EXPORT) for app in apps]
    with books.commit():
        books.close_slices(slices, feed=FEED)


def take_over(books: FeedBooks, exports: Sequence[Export]) -> None:
    """Ids and times of the feedbacks; for completion apps, whose messages are closed, all."""
    for export in exports:
        with books.commit():
            if export.app.mode in COMPLETION_MODES:
                _load_unopened(books, export)
            _stage(books, export)
            books.sync.database.execute(
                """UPDATE raw.message_feedbacks t
                SET feedback_id = s.feedback_id, created_at = s.created_at
                FROM _exported s WHERE t.message_id = s.message_id
                  AND t.from_source = s.from_source AND t.absent_since IS NULL
                  AND t.feedback_id IS DISTINCT FROM s.feedback_id"""
            )
    done = [
        Slice(export.app.app_id, None, "proven", export.rows.height, export.rows.height, 1)
        for export in exports
    ]
    with books.commit():
        books.close_slices(done, feed=FEED)


def _due_apps(books: FeedBooks) -> list[KnownApp]:
    sync = books.sync
    rows = sync.database.rows(
        "SELECT app_id, read_at FROM ops.slices "
        "WHERE feed = ? AND slice_date IS NULL AND state = 'proven'",
        [FEED],
    )
    fresh = {app_id for app_id, read_at in rows if sync.now - read_at < EVERY}
    apps = known_apps(sync, *CHAT_MODES, *COMPLETION_MODES)
    return [app for app in apps if sync.plan.is_full or app.app_id not in fresh]


def _stage(books: FeedBooks, export: Export) -> None:
    books.sync.database.stage("_exported", export.rows, raw_table(FEED))


def _make_due(books: FeedBooks, export: Export) -> None:
    """Read conversations again whose held ratings are not the exported ones."""
    _stage(books, export)
    held = (
        "SELECT conversation_id, message_id, from_source, rating, nullif(content, '') AS content "
        f"FROM raw.message_feedbacks WHERE app_id = {quoted(export.app.app_id)} "
        "AND absent_since IS NULL"
    )
    exported = (
        "SELECT conversation_id, message_id, from_source, rating, nullif(content, '') AS content "
        "FROM _exported"
    )
    books.sync.database.execute(
        f"""UPDATE ops.conversation_reads SET is_settled = false
        WHERE state <> 'absent' AND conversation_id IN (
            SELECT conversation_id FROM (({held}) EXCEPT ({exported}))
            UNION SELECT conversation_id FROM (({exported}) EXCEPT ({held})))"""
    )


def _load_unopened(books: FeedBooks, export: Export) -> None:
    """Feedback on completion logs that were not opened: the export is all that tells of it."""
    table = raw_table(FEED)
    opened = books.sync.database.frame(
        "SELECT DISTINCT conversation_id FROM raw.messages WHERE message_source = 'detail'"
    )
    rows = export.rows.drop("extra", strict=False)
    unopened = rows.join(opened, on="conversation_id", how="anti").with_columns(
        pl.lit(None, pl.String).alias("from_account_id")
    )
    books.load_frame(table, unopened)
    scope = (
        f"t.app_id = {quoted(export.app.app_id)} AND t.conversation_id NOT IN "
        "(SELECT conversation_id FROM raw.messages WHERE message_source = 'detail')"
    )
    books.mark_absent(table, scope=scope, present=unopened)
