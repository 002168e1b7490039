"""Messages of Dify's database without any part, column by column: nearly all of most workspaces.

A record per message costs several times what all else costs. A row goes this way only when its
record would hold just what its columns hold: no feedback, step, file, citation, form or annotation,
and nothing odd. Any doubt leaves it to the record, which knows what to do.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from functools import cache
from typing import Any

import polars as pl
from pydantic import AliasPath

from dify_etl.dify.http.exact_json import decode, encode
from dify_etl.dify.messages import Message
from dify_etl.dify_database.messages import MessageChunk, instant
from dify_etl.raw.columns import plain_type
from dify_etl.raw.frames import decimal_text, frame_schema, without_secrets_in
from dify_etl.raw.tables import raw_table

_BIGINT = 1 << 63
_FIRST, _LAST = (int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) for year in (2000, 9999))
_NEEDED = ("query", "answer", "status", "from_source", "inputs", "message")
_JSON = ("inputs", "message", "metadata")
_MOST_KEPT = 20_000  # texts that repeat, as "{}" and the unit prices of a model


class _Odd(Exception):
    """A value that its record has to look at."""


def split_plain(app_id: str, chunk: MessageChunk) -> tuple[pl.DataFrame, MessageChunk]:
    """The plain messages as a frame of raw.messages, and the rest of the chunk."""
    rows = chunk.rows
    bare = rows.filter(
        ~pl.col("id").is_in(list(chunk.with_parts))
        & pl.all_horizontal(pl.col(*_NEEDED).is_not_null())
        & pl.col("created_at").is_between(_FIRST, _LAST)
        & ~pl.col("message_metadata").fill_null("").str.contains('"retriever_resources": ?\\[ ?\\{')
    )
    reader = _Reader(len(_usage_fields()))
    is_plain = [
        reader.take(*values)
        for values in bare.select("inputs", "message", "message_metadata").iter_rows()
    ]
    plain = bare.filter(pl.Series(is_plain, dtype=pl.Boolean))
    others = rows.join(plain.select("id"), on="id", how="anti", maintain_order="left")
    frame = _frame(app_id, plain, reader.columns(), has_forms=chunk.has_forms)
    return frame, chunk.of(others)


def _frame(
    app_id: str, plain: pl.DataFrame, told: Mapping[str, Sequence[Any]], *, has_forms: bool
) -> pl.DataFrame:
    """A frame with the columns and types that records of messages have."""
    table = raw_table("messages")
    found: dict[str, pl.Expr | pl.Series] = {
        "app_id": pl.lit(app_id),
        "message_id": pl.col("id"),
        "created_at": instant("created_at"),
        "latency_seconds": pl.col("provider_response_latency"),
        "extra_contents": pl.lit("[]" if has_forms else None, pl.String),
        **{name: pl.Series(name, values) for name, values in told.items()},
    }
    columns = []
    for name, kind in frame_schema(table, Message).items():
        known = found.get(name)
        if known is None:
            known = pl.col(name) if name in plain.columns else pl.lit(None)
        columns.append(
            (known if isinstance(known, pl.Expr) else pl.lit(known)).cast(kind).alias(name)
        )
    return without_secrets_in(table, plain.select(columns))


class _Reader:
    """Takes the JSON of rows in; what it takes stands in columns of equal length."""

    def __init__(self, usage_fields: int) -> None:
        self._json: tuple[list[str | None], ...] = ([], [], [])
        self._usage: tuple[list[Any], ...] = tuple([] for _ in range(usage_fields))
        self._kept: dict[str, str] = {}

    def take(self, inputs: str, message: str, metadata: str | None) -> bool:
        """Whether a record would hold the same; then it is taken in."""
        try:
            texts = (self._compact(inputs), self._compact(message))
            told, usage = self._usage_of(metadata)
        except (_Odd, ValueError):
            return False
        for column, value in zip(self._json, (*texts, told), strict=True):
            column.append(value)
        for column, value in zip(self._usage, usage, strict=True):
            column.append(value)
        return True

    def columns(self) -> Mapping[str, Sequence[Any]]:
        """What was taken in, by column."""
        usage = {
            name: values for (name, _, _), values in zip(_usage_fields(), self._usage, strict=True)
        }
        return dict(zip(_JSON, self._json, strict=True)) | usage

    def _compact(self, text: str) -> str:
        held = self._kept.get(text)
        if held is None:
            held = encode(decode(text.encode()))
            if len(self._kept) < _MOST_KEPT and len(text) < 1_000:
                self._kept[text] = held
        return held

    def _usage_of(self, text: str | None) -> tuple[str, list[Any]]:
        metadata = decode(text.encode()) if text else {}
        if not isinstance(metadata, dict) or metadata.get("retriever_resources"):
            raise _Odd
        usage = metadata.get("usage") or {}
        if not isinstance(usage, dict):
            raise _Odd
        values = [take(usage.get(key)) for _, key, take in _usage_fields()]
        return encode(metadata), values


@cache
def _usage_fields() -> tuple[tuple[str, str, Callable[[Any], Any]], ...]:
    """Column, key in the usage and what takes its value, as the record names them."""
    return tuple(
        (name, str(alias.path[-1]), _TAKES[plain_type(field)])
        for name, field in Message.model_fields.items()
        if isinstance(alias := field.validation_alias, AliasPath)
        and alias.path[:-1] == ["metadata", "usage"]
    )


def _whole(value: Any) -> int | None:
    if value is None or (type(value) is int and -_BIGINT <= value < _BIGINT):
        return value
    raise _Odd


def _number(value: Any) -> float | None:
    if value is None or type(value) is float:
        return value
    raise _Odd


def _text(value: Any) -> str | None:
    if value is None or type(value) is str:
        return value
    raise _Odd


def _money(value: Any) -> str | None:
    if value is None:
        return None
    if type(value) is not str or len(value) > 40:
        raise _Odd
    return _digits(value)


@cache
def _digits_of(value: str) -> str | None:
    try:
        found = Decimal(value)
    except InvalidOperation:
        return None
    is_small = found.is_finite() and abs(found) < Decimal("1e17")
    return decimal_text(found) if is_small else None


def _digits(value: str) -> str:
    """Prices repeat: most answers cost one of a few unit prices, and sums have few digits."""
    if _digits_of.cache_info().currsize > _MOST_KEPT:
        _digits_of.cache_clear()
    found = _digits_of(value)
    if found is None:
        raise _Odd
    return found


_TAKES: Mapping[object, Callable[[Any], Any]] = {
    int: _whole,
    float: _number,
    str: _text,
    Decimal: _money,
}
