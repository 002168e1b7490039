"""Conversations of Dify's database column by column: nearly all of chat apps.

A row goes this way only when its record would hold just what its columns hold; any doubt leaves it
to the record, which knows what to do.
"""

import polars as pl

from dify_etl.dify.conversations import CompletionConversation, Conversation
from dify_etl.dify.http.exact_json import encode
from dify_etl.dify_database.conversations import ConversationChunk
from dify_etl.dify_database.messages import instant
from dify_etl.feeds.plain_messages import FIRST_SECOND, LAST_SECOND
from dify_etl.raw.frames import frame_schema, without_secrets_in
from dify_etl.raw.tables import raw_table

_NEEDED = ("status", "from_source", "messages")
_INSTANTS = ("read_at", "created_at", "updated_at")
_COUNTS = {
    "message_count": "messages",
    "user_like_count": "ul",
    "user_dislike_count": "ud",
    "admin_like_count": "al",
    "admin_dislike_count": "ad",
}


def split_plain_conversations(chunk: ConversationChunk) -> tuple[pl.DataFrame, ConversationChunk]:
    """The plain conversations of a chunk as rows of raw.conversations, and the rest of it."""
    if chunk.app.is_completion:
        schema = frame_schema(raw_table("conversations"), CompletionConversation)
        return pl.DataFrame(schema=schema), chunk
    configs = _configs(chunk)
    is_plain = (
        pl.all_horizontal(pl.col(*_NEEDED, "created_at").is_not_null())
        & pl.all_horizontal(
            pl.col(*_INSTANTS).is_between(FIRST_SECOND, LAST_SECOND).fill_null(value=True)
        )
        & (pl.col("config_id").is_null() | pl.col("config_id").is_in(list(configs)))
    )
    return _frame(chunk, chunk.rows.filter(is_plain), configs), chunk.of(
        chunk.rows.filter(~is_plain)
    )


def _configs(chunk: ConversationChunk) -> dict[str, str]:
    """By configuration its JSON text; not of one that no text can hold."""
    found = {}
    for config_id in chunk.rows["config_id"].unique().drop_nulls():
        try:
            found[config_id] = encode(chunk.config(config_id))
        except ValueError:
            continue
    return found


def _frame(chunk: ConversationChunk, rows: pl.DataFrame, configs: dict[str, str]) -> pl.DataFrame:
    """A frame with the columns and types that records of conversations have; rows as in `rows`."""
    table, told = raw_table("conversations"), pl.col("summary")
    found: dict[str, pl.Expr] = {
        "app_id": pl.lit(chunk.app.app_id),
        "conversation_id": pl.col("id"),
        "app_model_config": pl.col("config_id").replace_strict(
            configs, default=encode(chunk.config(None)), return_dtype=pl.String
        ),
        "summary": pl.when(told != "").then(told).otherwise(pl.col("query").fill_null("")),
        "is_annotated": pl.col("annotated"),
        **{name: instant(name) for name in _INSTANTS},
        **{name: pl.col(column) for name, column in _COUNTS.items()},
    }
    for name in chunk.outcomes:
        counted = pl.col(name).fill_null(0) if name in rows.columns else pl.lit(0)
        found[f"{name}_count"] = pl.when("is_counted").then(counted)
    columns = []
    for name, kind in frame_schema(table, Conversation).items():
        known = pl.col(name) if name in rows.columns else pl.lit(None)
        columns.append(found.get(name, known).cast(kind).alias(name))
    return without_secrets_in(table, rows.select(columns))
