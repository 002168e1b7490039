"""The feedback export (>= 1.10.1), weekly per app, compared as a set with what is held.

A rating that was withdrawn or swapped for another moves no time and may leave the counts equal;
only this list shows it. What differs makes its conversation due; ids and times are taken over.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import polars as pl

from dify_etl.dify.app_modes import CHAT_MODES, COMPLETION_MODES
from dify_etl.dify.feedback import ExportedFeedback, utc_text
from dify_etl.dify.http.exact_json import decode
from dify_etl.dify.record import Rejected, lost
from dify_etl.feeds.chat_messages import DUE_CONVERSATIONS
from dify_etl.feeds.completion_messages import DUE_LOGS
from dify_etl.raw.frames import records_frame
from dify_etl.raw.local_days import with_local_days
from dify_etl.raw.tables import raw_table
from dify_etl.sync.feed_loader import FeedLoader
from dify_etl.sync.fetching import Fetched
from dify_etl.sync.known_apps import KnownApp, asked_apps
from dify_etl.sync.report import Slice
from dify_etl.sync.run import Sync
from dify_etl.time_zones import utc_now
from dify_etl.warehouse.tables import quoted

FEED = "message_feedbacks"
EXPORTED_SINCE = (1, 10, 1)
EVERY = timedelta(days=6, hours=12)
NO_EXPORT = (
    "servers before 1.10.1 export no feedback: ids and times are unknown, swapped ratings and "
    "those of closed completion logs are not seen"
)


# SQL over raw.conversations c, after note_rated_otherwise.
RATED_OTHERWISE = "c.conversation_id IN (SELECT conversation_id FROM _rated_otherwise)"


@dataclass(frozen=True)
class Export:
    """All feedback of one app, as exported; `rows` for raw.message_feedbacks.

    `size` is small, as its rows are: they are kept to the end, and hasten no commit.
    """

    rows: pl.DataFrame
    rejected: tuple[Rejected, ...]
    size: int = 1


def due_exports(loader: FeedLoader) -> list[KnownApp]:
    """Apps whose export is a week old; none of servers that export nothing, which it notes."""
    sync = loader.sync
    apps = asked_apps(sync, *CHAT_MODES, *COMPLETION_MODES)
    if sync.dify.version < EXPORTED_SINCE:
        slices = [Slice.judged(app.app_id, None, doubt=NO_EXPORT) for app in apps]
        with loader.commit():
            loader.close_slices(slices, feed=FEED)
        return []
    rows = sync.database.rows(
        "SELECT app_id, read_at FROM ops.slices "
        "WHERE feed = ? AND slice_date IS NULL AND state = 'proven'",
        [FEED],
    )
    fresh = {app_id for app_id, read_at in rows if sync.now - read_at < EVERY}
    return [app for app in apps if sync.plan.is_full or app.app_id not in fresh]


def read_export(sync: Sync, app: KnownApp) -> Export:
    """GET feedbacks/export of an app."""
    batch = sync.dify.conversations.feedback_export(app.app_id)
    rows = records_frame(raw_table(FEED), ExportedFeedback, batch.records)
    # They are compared with those that are held, which are kept by the same rules.
    return Export(sync.rules.privacy.rows(raw_table(FEED), rows), batch.rejected)


def note_rated_otherwise(loader: FeedLoader, exports: Sequence[Fetched[KnownApp, Export]]) -> bool:
    """Make conversations due whose held ratings are not the exported ones; whether this run has to
    read any of them.

    Call it when those that were due for other reasons are loaded. These are as fresh as the export:
    where they differ all the same, a rating moved meanwhile, and the next run reads them.
    """
    good = [(one.task, one.result) for one in exports if one.result is not None]
    if not good:
        return False
    execute = loader.sync.database.execute
    with loader.commit():
        for app, export in good:
            _set_aside(loader, app.app_id, export.rejected)
        _stage(loader, [export for _, export in good])
        apps = ", ".join(quoted(app.app_id) for app, _ in good)
        rating = "conversation_id, message_id, from_source, rating, nullif(content, '')"
        held = (
            f"SELECT {rating} FROM raw.message_feedbacks "
            f"WHERE app_id IN ({apps}) AND absent_since IS NULL"
        )
        exported = f"SELECT {rating} FROM _exported"
        execute(
            f"""CREATE OR REPLACE TEMP TABLE _differing AS
            SELECT conversation_id FROM (({held}) EXCEPT ({exported}))
            UNION SELECT conversation_id FROM (({exported}) EXCEPT ({held}))"""
        )
        execute(
            """UPDATE ops.conversation_reads SET is_settled = false
            WHERE state <> 'absent' AND conversation_id IN (FROM _differing)"""
        )
        execute(
            f"""CREATE OR REPLACE TEMP TABLE _rated_otherwise AS
            SELECT conversation_id FROM ops.conversation_reads
            WHERE state = 'proven' AND conversation_id IN (FROM _differing)
                AND conversation_id NOT IN (SELECT conversation_id FROM {DUE_CONVERSATIONS}
                    UNION ALL SELECT conversation_id FROM {DUE_LOGS})"""
        )
    return bool(loader.sync.database.value("SELECT count(*) FROM _rated_otherwise"))


def _set_aside(loader: FeedLoader, app_id: str, rejected: Iterable[Rejected]) -> None:
    """Rows of an app's export that are odd, on the days of their questions; what was odd in an
    earlier one is so no more. Call it inside a transaction.
    """
    loader.sync.database.execute(
        "UPDATE ops.quarantine SET resolved_at = ? WHERE resolved_at IS NULL AND feed = ? "
        "AND app_id = ? AND record_class = ?",
        [utc_now(), loader.feed, app_id, ExportedFeedback.__name__],
    )
    for one in rejected:
        told = decode(one.raw.encode()) if one.raw else {}
        given = told.get("feedback_id")
        named = replace(one, record_id=given if isinstance(given, str) else None)
        loader.quarantine(app_id, [named], at=utc_text(told.get("message_date")))


def take_over(loader: FeedLoader, exports: Sequence[Fetched[KnownApp, Export]]) -> None:
    """Ids and times of the feedbacks; for completion apps, whose messages are closed, all."""
    if not exports:
        return
    good = [(one.task, one.result) for one in exports if one.result is not None]
    failed = [
        loader.unread(one.task.app_id, None, one.error) for one in exports if one.error is not None
    ]
    with loader.commit():
        _load_unopened(loader, [one for one in good if one[0].mode in COMPLETION_MODES])
        _stage(loader, [export for _, export in good])
        _take_over_staged(loader)
        unknown = _unknown(loader)
        done = [
            Slice.judged(
                app.app_id,
                None,
                export.rows.height,
                expected=export.rows.height,
                requests=1,
                doubt=unknown.get(app.app_id) or _unread(export),
            )
            for app, export in good
        ]
        loader.close_slices([*done, *failed], feed=FEED)


def identify_feedbacks(loader: FeedLoader, told: pl.DataFrame) -> None:
    """Rows that an export brought name no account, which is part of their key: these are the same
    feedbacks. `told` as in take_over_ids; call it inside a transaction, before they are loaded.
    """
    if told.is_empty():
        return
    loader.sync.database.stage("_identified", told, raw_table(FEED))
    loader.sync.database.execute(
        """UPDATE raw.message_feedbacks t SET from_account_id = s.from_account_id
        FROM _identified s WHERE t.feedback_id = s.feedback_id AND t.from_account_id IS NULL
          AND s.from_account_id IS NOT NULL""",
        is_told=True,
    )


def take_over_ids(loader: FeedLoader, told: pl.DataFrame) -> None:
    """Ids and times of feedbacks that are held: message_id, from_source, feedback_id, created_at.
    Call it inside a transaction.
    """
    if told.is_empty():
        return
    rows = with_local_days(raw_table(FEED), told.drop("from_account_id"), loader.sync.rules.zone)
    loader.sync.database.stage("_exported", rows, raw_table(FEED))
    _take_over_staged(loader)


def _take_over_staged(loader: FeedLoader) -> None:
    loader.sync.database.execute(
        """UPDATE raw.message_feedbacks t
        SET feedback_id = s.feedback_id, created_at = s.created_at,
            created_date = s.created_date, created_hour = s.created_hour
        FROM _exported s WHERE t.message_id = s.message_id
          AND t.from_source = s.from_source AND t.absent_since IS NULL
          AND t.feedback_id IS DISTINCT FROM s.feedback_id""",
        is_told=True,
    )


def _unread(export: Export) -> str | None:
    """Rows of which no record could be made: asked again the next night."""
    count = len(lost(export.rejected))
    return f"{count} exported ratings are in quarantine" if count else None


def _unknown(loader: FeedLoader) -> dict[str, str]:
    """By app what its export tells and no message does: a rating of this minute, or an odd row. It
    is asked again the next night. A message that only the log of an agent tells shows no ratings.
    """
    rows = loader.sync.database.rows(
        """SELECT m.app_id, count(*), min(s.message_id)
        FROM _exported s
        JOIN raw.messages m ON m.message_id = s.message_id AND m.absent_since IS NULL
        LEFT JOIN raw.message_feedbacks t ON t.message_id = s.message_id
            AND t.from_source = s.from_source AND t.absent_since IS NULL
        WHERE t.message_id IS NULL AND m.message_source <> 'log' GROUP BY m.app_id"""
    )
    return {
        app_id: f"{number} exported ratings are of no rating that messages show, first: "
        f"message {message_id}"
        for app_id, number, message_id in rows
    }


def _stage(loader: FeedLoader, exports: Iterable[Export]) -> None:
    rows = pl.concat([_no_rows(), *(export.rows for export in exports)])
    rows = with_local_days(raw_table(FEED), rows, loader.sync.rules.zone)
    loader.sync.database.stage("_exported", rows, raw_table(FEED))


def _no_rows() -> pl.DataFrame:
    return records_frame(raw_table(FEED), ExportedFeedback, ())


def _load_unopened(loader: FeedLoader, exports: Sequence[tuple[KnownApp, Export]]) -> None:
    """Feedback on completion logs that were not opened: the export is all that tells of it."""
    if not exports:
        return
    table = raw_table(FEED)
    opened = loader.sync.database.frame(
        "SELECT DISTINCT conversation_id FROM raw.messages WHERE message_source = 'detail'"
    )
    rows = pl.concat(export.rows for _, export in exports).drop("extra", strict=False)
    unopened = rows.join(opened, on="conversation_id", how="anti").with_columns(
        pl.lit(None, pl.String).alias("from_account_id")
    )
    loader.load_frame(table, unopened)
    whole = ", ".join(quoted(app.app_id) for app, export in exports if not lost(export.rejected))
    scope = (
        f"t.app_id IN ({whole or 'NULL'}) AND t.conversation_id NOT IN "
        "(SELECT conversation_id FROM raw.messages WHERE message_source = 'detail')"
    )
    loader.mark_absent(table, scope=scope, present=unopened)
