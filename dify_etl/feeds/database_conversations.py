"""Feeds conversations and messages of the apps that are read from Dify's database."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import polars as pl

from dify_etl.dify.conversations import CompletionConversation, Conversation, LoggedConversation
from dify_etl.dify.messages import Message
from dify_etl.dify.record import Batch, parse
from dify_etl.dify.tool_calls import LoggedStep
from dify_etl.dify_database.connection import Snapshot, quoted_uuid, uuids
from dify_etl.dify_database.conversations import (
    CONVERSATIONS,
    AppTables,
    ConversationChunk,
    conversations,
)
from dify_etl.dify_database.messages import MESSAGES, MessageChunk, instant, messages_made
from dify_etl.feeds.chat_messages import SEEN, load_messages
from dify_etl.feeds.completion_messages import identify
from dify_etl.feeds.database_days import (
    DaysOfApp,
    SeenRows,
    counted_by_day,
    dates_of,
    load_chunks,
    read_apps,
    slices_of_days,
)
from dify_etl.feeds.feedback import identify_feedbacks, take_over_ids
from dify_etl.feeds.message_parts import (
    ANSWERED_AFTER,
    SETTLED_AFTER,
    mark_messages_absent,
    mark_messages_deleted,
)
from dify_etl.feeds.plain_conversations import split_plain_conversations
from dify_etl.feeds.plain_messages import PlainMessages, split_plain
from dify_etl.feeds.tool_logs import with_steps
from dify_etl.feeds.unchanged_days import compare_days
from dify_etl.raw.frames import records_frame
from dify_etl.raw.tables import raw_table
from dify_etl.sync.feed_loader import FeedLoader
from dify_etl.sync.known_apps import KnownApp
from dify_etl.sync.ledger import CONVERSATION_READS
from dify_etl.sync.report import Slice
from dify_etl.sync.run import Sync
from dify_etl.sync.unfinished_runs import PATIENCE
from dify_etl.warehouse.tables import quoted

TOUCHED_SINCE = (1, 10, 0)  # Dify's models move updated_at since then, when a row is changed


def read_conversations_in_database(loader: FeedLoader, apps: Sequence[KnownApp]) -> None:
    """The days that are due of these apps, and older conversations that were touched."""
    read_apps(loader, apps, _read_conversations)


def _read_conversations(
    loader: FeedLoader, shot: Snapshot, app: AppTables, days: DaysOfApp
) -> None:
    sync, seen = loader.sync, SeenRows("conversations")
    counted = counted_by_day(
        sync, shot, days, "c.created_at", f"FROM conversations c WHERE {app.shown('c')}"
    )

    def load(where: str, noted: SeenRows) -> None:
        chunks = conversations(shot, app, where, _framed_conversations)
        load_chunks(loader, app, chunks, lambda one: _load_conversations(loader, app, one, noted))

    load(days.within("c.created_at"), seen)
    if touched := _touched_conversations(app, days):
        load(touched, SeenRows("conversations"))
    with loader.commit():
        _mark_conversations(loader, app, days, seen)
        loader.close_slices(list(slices_of_days(sync, days, seen.by_day, counted)))


def _touched_conversations(app: AppTables, days: DaysOfApp) -> str | None:
    """SQL over c: conversations of other days with a message, a rating or an annotation of these
    days. `updated_at` moves with a message in every version.
    """
    if days.are_all:
        return None
    parts = [f"c.id IN ({ids})" for ids in _touching(app, "conversation_id", days)]
    touched = " OR ".join([days.within("c.updated_at"), *parts])
    return f"{days.without('c.created_at')} AND ({touched})"


def _touching(app: AppTables, column: str, days: DaysOfApp) -> Iterator[str]:
    """SQL for what was rated or annotated on these days. It hangs on no row: the server asks it
    once.
    """
    for table in ("message_feedbacks", "message_annotations"):
        yield (
            f"SELECT x.{column} FROM {table} x WHERE x.app_id = {quoted_uuid(app.app_id)} "
            f"AND ({days.within('x.created_at')} OR {days.within('x.updated_at')})"
        )


@dataclass(frozen=True)
class _FramedConversations:
    """A chunk of conversations as it is loaded: its rows, and the records of those not plain."""

    rows: pl.DataFrame
    more: pl.DataFrame
    batch: Batch[LoggedConversation]


def _framed_conversations(chunk: ConversationChunk) -> _FramedConversations:
    kind: type[LoggedConversation]
    kind = CompletionConversation if chunk.app.is_completion else Conversation
    plain, others = split_plain_conversations(chunk)
    context = {"app_id": chunk.app.app_id}
    batch = parse(kind, list(others.answers()), endpoint=CONVERSATIONS, context=context)
    rows = records_frame(raw_table("conversations"), kind, batch.records)
    return _FramedConversations(pl.concat([plain, rows]), chunk.more, batch)


def _load_conversations(
    loader: FeedLoader, app: AppTables, framed: _FramedConversations, seen: SeenRows
) -> None:
    rows, batch = framed.rows, framed.batch
    loader.note_drift(batch.records)
    loader.load_frame(
        raw_table("conversations"), rows.join(framed.more, on="conversation_id", how="left")
    )
    loader.quarantine(app.app_id, batch.rejected)
    seen.note(loader.sync, rows, batch.rejected)


def _mark_conversations(
    loader: FeedLoader, app: AppTables, days: DaysOfApp, seen: SeenRows
) -> None:
    scope = f"t.app_id = {quoted(app.app_id)} AND t.created_date IN ({dates_of(days)})"
    if loader.mark_absent(raw_table("conversations"), scope=scope, present=seen.present):
        gone = f"SELECT t.conversation_id FROM raw.conversations t WHERE {scope}"
        mark_messages_absent(loader, f"{gone} AND t.absent_since IS NOT NULL")


def read_messages_in_database(loader: FeedLoader, apps: Sequence[KnownApp]) -> None:
    """The messages of the days that are due, of older ones what moved, and what waits still."""
    read_apps(loader, apps, _read_messages)


def _read_messages(loader: FeedLoader, shot: Snapshot, app: AppTables, days: DaysOfApp) -> None:
    sync, seen = loader.sync, SeenRows("messages")
    listed = (
        f"FROM messages m JOIN conversations c ON c.id = m.conversation_id "
        f"WHERE m.app_id = c.app_id AND {app.shown('c')}"
    )
    compared = compare_days(sync, shot, app, days)
    due = days.but(compared.unchanged, sync.rules.zone)
    counted = counted_by_day(sync, shot, due, "m.created_at", listed)

    def load(where: str, noted: SeenRows) -> None:
        chunks = messages_made(shot, app, where, _framed(app))
        load_chunks(loader, app, chunks, lambda one: _load_messages(loader, app, one, noted))

    if due.days:
        load(due.within("m.created_at"), seen)
    for where in _moved_messages(sync, app, days):
        load(where, SeenRows("messages"))
    with loader.commit():
        if due.days:
            _mark_messages(loader, app, due, seen)
        _note_reads(loader, app)
        received, counted = (one + Counter(compared.unchanged) for one in (seen.by_day, counted))
        loader.close_slices(list(slices_of_days(sync, days, received, counted)))
        loader.close_slices([Slice.judged(app.app_id, None)], feed="message_feedbacks")
        compared.note(loader)
    loader.count_unchanged("messages", sum(compared.unchanged.values()))


def _moved_messages(sync: Sync, app: AppTables, days: DaysOfApp) -> Iterator[str]:
    """SQL over m for messages of other days: rated or annotated on these, changed where that moves
    a time, and those that were not finished when they were read.
    """
    if not days.are_all:
        parts = [f"m.id IN ({ids})" for ids in _touching(app, "message_id", days)]
        if app.version >= TOUCHED_SINCE:
            parts.append(days.within("m.updated_at"))
        yield f"{days.without('m.created_at')} AND ({' OR '.join(parts)})"
    open_ids = sync.database.rows(
        f"""SELECT message_id FROM raw.messages WHERE app_id = {quoted(app.app_id)}
        AND absent_since IS NULL AND message_id IS NOT NULL AND ({_is_open(sync)})
        AND created_date NOT IN ({dates_of(days)})"""
    )
    for start in range(0, len(open_ids), 1_000):
        yield f"m.id = ANY({uuids(one for (one,) in open_ids[start : start + 1_000])})"


def _is_open(sync: Sync) -> str:
    """SQL over raw.messages: whether a message can change by itself yet; as `is_settled`."""
    now = sync.now
    young, old, patience = (
        quoted((now - span).isoformat())
        for span in (ANSWERED_AFTER, SETTLED_AFTER, PATIENCE["paused"])
    )
    waits = (
        "status = 'paused' OR (workflow_run_id IS NOT NULL AND extra_contents IS NOT NULL "
        "AND (answer = '' OR extra_contents::VARCHAR <> '[]'))"
    )
    ended = "workflow_run_id IN (SELECT workflow_run_id FROM ops.run_reads WHERE is_detail_settled)"
    return f"""created_at > TIMESTAMPTZ {patience} AND status IS DISTINCT FROM 'error' AND CASE
        WHEN {waits} THEN NOT ({ended}) OR created_at > TIMESTAMPTZ {young}
        WHEN answer <> '' THEN created_at > TIMESTAMPTZ {young}
        ELSE created_at > TIMESTAMPTZ {old} END"""


@dataclass(frozen=True)
class _Framed:
    """A chunk of messages as it is loaded: the plain ones, and the records of the others."""

    chunk: MessageChunk
    plain: PlainMessages
    batch: Batch[Message]


def _framed(app: AppTables) -> Callable[[MessageChunk], _Framed]:
    """What makes frames and records of a chunk of this app."""

    def made(chunk: MessageChunk) -> _Framed:
        plain, others = split_plain(app.app_id, chunk)
        context = {"app_id": app.app_id}
        batch = parse(Message, list(others.answers()), endpoint=MESSAGES, context=context)
        return _Framed(chunk, plain, replace(batch, records=_with_calls(batch.records, chunk)))

    return made


def _load_messages(loader: FeedLoader, app: AppTables, framed: _Framed, seen: SeenRows) -> None:
    chunk, plain, batch = framed.chunk, framed.plain, framed.batch
    talk_of = dict(chunk.rows.select("id", "conversation_id").iter_rows())
    if app.is_completion:
        identify(loader, dict(chunk.rows.select("conversation_id", "id").iter_rows()))
    loader.read_anew(set(talk_of.values()))
    identify_feedbacks(loader, chunk.feedback_ids)
    load_messages(
        *(loader, batch.records),
        source="detail" if app.is_completion else "chat",
        more=chunk.more,
        plain=plain.rows,
        plain_parts=plain.parts,
    )
    take_over_ids(loader, chunk.feedback_ids)
    for one in batch.rejected:
        loader.quarantine(app.app_id, [one], parent_id=talk_of.get(one.record_id or ""))
    rows = chunk.rows.select(
        pl.col("id").alias("message_id"),
        instant("created_at"),
    )
    seen.note(loader.sync, rows)


def _with_calls(records: tuple[Message, ...], chunk: MessageChunk) -> tuple[Message, ...]:
    """Of agent-chat apps the calls of tools with seconds, status and error, as the log has them."""
    steps = chunk.steps
    if not steps:
        return records
    found = []
    for message in records:
        log = parse(LoggedStep, steps.get(message.message_id, ()), endpoint=MESSAGES)
        is_whole = len(log) == len(message.agent_thoughts)
        found.append(with_steps(message, log) if message.tool_calls and is_whole else message)
    return tuple(found)


def _mark_messages(loader: FeedLoader, app: AppTables, days: DaysOfApp, seen: SeenRows) -> None:
    """Messages of the days that the snapshot does not have; their conversations may stay."""
    sync = loader.sync
    sync.database.stage("_shown", seen.present, raw_table("messages"))
    gone = sync.database.rows(
        f"""SELECT message_id FROM raw.messages t WHERE t.app_id = {quoted(app.app_id)}
        AND t.created_date IN ({dates_of(days)}) AND t.absent_since IS NULL
        AND t.message_id IS NOT NULL AND NOT EXISTS (
            SELECT 1 FROM _shown s WHERE s.message_id = t.message_id)"""
    )
    mark_messages_deleted(loader, [message_id for (message_id,) in gone])


def _note_reads(loader: FeedLoader, app: AppTables) -> None:
    """The reads of conversations, as the API's own would have left them: whoever reads by the API
    the next night begins where this one ended.
    """
    sync = loader.sync
    seen = ", ".join(f"c.{name}" for name in SEEN)
    differs = " OR ".join(f"c.{name} IS DISTINCT FROM r.{name}" for name in SEEN)
    read_at = sync.dify.earlier_time()
    rows = sync.database.frame(
        f"""WITH held AS (
            SELECT conversation_id, count(*) AS held_count,
                NOT bool_or({_is_open(sync)}) AS is_settled
            FROM raw.messages WHERE app_id = {quoted(app.app_id)} AND absent_since IS NULL
            GROUP BY conversation_id)
        SELECT conversation_id, app_id, {seen.replace("c.", "")}, held_count, is_settled,
            'proven' AS state, NULL::VARCHAR AS reason, 0::BIGINT AS tries,
            TIMESTAMPTZ {quoted(read_at.isoformat())} AS read_at
        FROM (SELECT c.conversation_id, c.app_id, {seen}, coalesce(h.held_count, 0) AS held_count,
                coalesce(h.is_settled, true) AS is_settled
            FROM raw.conversations c LEFT JOIN held h USING (conversation_id)
            LEFT JOIN ops.conversation_reads r USING (conversation_id)
            WHERE c.app_id = {quoted(app.app_id)} AND c.absent_since IS NULL
              AND coalesce(h.held_count, 0) >= coalesce(c.message_count, 0)
              AND (r.conversation_id IS NULL OR r.state <> 'proven' OR NOT r.is_settled
                OR r.held_count IS DISTINCT FROM h.held_count OR {differs}))"""
    )
    loader.load_frame(CONVERSATION_READS, rows)
