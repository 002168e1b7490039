"""Messages of Dify's database column by column, with their ratings, citations and files: nearly all
of most workspaces.

A record per message costs several times what all else costs. A row goes this way only when its
record, and the records of its parts, would hold just what their columns hold: no step, form or
annotation, and nothing odd. Any doubt leaves it to the record, which knows what to do.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from functools import cache
from types import NoneType
from typing import Any

import polars as pl
from pydantic import AliasPath

from dify_etl.dify.http.exact_json import decode, encode
from dify_etl.dify.json_text import JsonText
from dify_etl.dify.message_child import MessageChild
from dify_etl.dify.messages import Message, MessageCitation, MessageFeedback, MessageFile
from dify_etl.dify.record import JsonRow
from dify_etl.dify_database.messages import MessageChunk, instant
from dify_etl.raw.columns import plain_type
from dify_etl.raw.frames import decimal_text, frame_schema, without_secrets_in
from dify_etl.raw.tables import raw_table

_BIGINT = 1 << 63
# Times that every record takes, in seconds since 1970.
FIRST_SECOND, LAST_SECOND = (
    int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) for year in (2000, 9999)
)
_NEEDED = ("query", "answer", "status", "from_source", "inputs", "message")
_MOST_DIGITS = 40  # of a price as text

# Parts whose columns the server types: by kind the table, the record, and what names it otherwise.
_TYPED: Mapping[str, tuple[str, type[MessageChild], Mapping[str, str]]] = {
    "feedbacks": (
        "message_feedbacks",
        MessageFeedback,
        {
            "from_account_id": "account_id",
            "from_account_name": "name",
            "from_account_email": "email",
        },
    ),
    "files": (
        "message_files",
        MessageFile,
        {"message_file_id": "id", "file_type": "type", "size_bytes": "size"},
    ),
}
_OF_MESSAGE = ("app_id", "conversation_id", "message_id")

Odd = set[int]  # places of rows with a value that their records have to look at
Columns = Mapping[str, Sequence[Any]]


@dataclass(frozen=True)
class PlainMessages:
    """Rows of raw.messages, and by table those of their parts."""

    rows: pl.DataFrame
    parts: Mapping[str, pl.DataFrame]


def split_plain(app_id: str, chunk: MessageChunk) -> tuple[PlainMessages, MessageChunk]:
    """The plain messages of a chunk, and the rest of it."""
    rows = chunk.rows
    others = chunk.with_parts(chunk.parts.keys() - _TYPED.keys())
    bare = rows.filter(
        ~pl.col("id").is_in(list(others))
        & pl.all_horizontal(pl.col(*_NEEDED).is_not_null())
        & pl.col("created_at").is_between(FIRST_SECOND, LAST_SECOND)
        & pl.col("provider_response_latency").is_finite().fill_null(value=True)
    )
    odd: Odd = set()
    objects = _objects(bare["message_metadata"].to_list(), odd)
    told = {
        "inputs": _compact(bare["inputs"].to_list(), odd),
        "message": _compact(bare["message"].to_list(), odd),
        "metadata": _json(objects, odd),
        **_usage(objects, odd),
    }
    parts = {"message_citations": _citations(objects, odd)}
    for kind, (table, *_) in _TYPED.items():
        parts[table] = _typed(kind, bare["id"].to_list(), chunk, odd)
    made = _frame(app_id, bare, told, has_forms=chunk.has_forms)
    found = PlainMessages(
        _without(odd, made),
        {table: _frame_of_parts(table, made, part, odd) for table, part in parts.items()},
    )
    ids = found.rows.select(pl.col("message_id").alias("id"))
    return found, chunk.of(rows.join(ids, on="id", how="anti", maintain_order="left"))


def _without(odd: Odd, rows: pl.DataFrame) -> pl.DataFrame:
    if not odd:
        return rows
    return rows.filter(pl.Series([place not in odd for place in range(rows.height)]))


def _frame(app_id: str, bare: pl.DataFrame, told: Columns, *, has_forms: bool) -> pl.DataFrame:
    """A frame with the columns and types that records of messages have; rows as in `bare`."""
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
            known = pl.col(name) if name in bare.columns else pl.lit(None)
        columns.append(
            (known if isinstance(known, pl.Expr) else pl.lit(known)).cast(kind).alias(name)
        )
    return without_secrets_in(table, bare.select(columns))


@dataclass(frozen=True)
class _Parts:
    """Parts of messages in columns; the place of each one's message stands in `owners`."""

    kind: type[MessageChild]
    owners: Sequence[int]
    columns: Columns


def _frame_of_parts(name: str, rows: pl.DataFrame, parts: _Parts, odd: Odd) -> pl.DataFrame:
    """A frame with the columns and types that records of these parts have."""
    table = raw_table(name)
    ids = rows.select(pl.col(_OF_MESSAGE).gather(pl.Series(parts.owners, dtype=pl.UInt32)))
    columns = []
    for column, kind in frame_schema(table, parts.kind).items():
        if column in _OF_MESSAGE:
            columns.append(ids[column])
        elif column in parts.columns:
            columns.append(pl.Series(column, parts.columns[column], kind))
        else:
            columns.append(pl.Series(column, [None] * ids.height, kind))
    found = without_secrets_in(table, pl.DataFrame(columns))
    return found.filter(pl.Series([one not in odd for one in parts.owners], dtype=pl.Boolean))


def _typed(kind: str, ids: Sequence[str], chunk: MessageChunk, odd: Odd) -> _Parts:
    """Parts that the server has typed, so that only a null can be odd."""
    _, record_class, keys = _TYPED[kind]
    given = chunk.parts.get(kind, {})
    owners: list[int] = []
    found: list[JsonRow] = []
    for place, message_id in enumerate(ids if given else ()):
        for number, one in enumerate(given.get(message_id, ()), 1):
            owners.append(place)
            found.append({**one, "position": number})
    columns = {}
    for name, field in record_class.model_fields.items():
        if name not in _OF_MESSAGE:
            values = [one[keys.get(name, name)] for one in found]
            columns[name] = values
            if field.is_required():
                odd.update(owners[place] for place, value in enumerate(values) if value is None)
    return _Parts(record_class, owners, columns)


def _citations(objects: Sequence[JsonRow], odd: Odd) -> _Parts:
    """The passages that the metadata name, as `Message.prepare` lifts them out of it."""
    takes = _citation_fields()
    told_keys = takes.keys() - {"citation_number"}
    owners: list[int] = []
    found: list[JsonRow] = []
    for place, told in enumerate(objects):
        passages = told.get("retriever_resources")
        if not passages:
            continue
        if type(passages) is not list or not all(
            type(one) is dict and one.keys() <= told_keys for one in passages
        ):
            odd.add(place)
            continue
        for number, one in enumerate(passages, 1):
            owners.append(place)
            found.append({**one, "citation_number": number})
    odd_parts: Odd = set()
    columns = {
        name: take([one.get(name) for one in found], odd_parts) for name, take in takes.items()
    }
    odd.update(owners[place] for place in odd_parts)
    return _Parts(MessageCitation, owners, columns)


def _usage(objects: Sequence[JsonRow], odd: Odd) -> Columns:
    usages: list[JsonRow] = []
    for place, told in enumerate(objects):
        usage = told.get("usage") or {}
        if type(usage) is not dict:
            odd.add(place)
            usage = {}
        usages.append(usage)
    return {
        name: take([usage.get(key) for usage in usages], odd) for name, key, take in _usage_fields()
    }


def _objects(texts: Sequence[str | None], odd: Odd) -> list[JsonRow]:
    """The objects of JSON texts, an empty one where there is none."""
    found: list[JsonRow] = []
    for place, text in enumerate(texts):
        try:
            told = decode(text.encode()) if text else {}
        except ValueError:
            told = None
        if type(told) is not dict:
            odd.add(place)
            told = {}
        found.append(told)
    return found


def _compact(texts: Sequence[str], odd: Odd) -> list[str | None]:
    """JSON texts as records write them. Many are alike, as `{}`."""
    kept: dict[str, str | None] = {}
    for text in dict.fromkeys(texts):
        try:
            value = decode(text.encode())
            kept[text] = None if value is None else encode(value)
        except ValueError:
            odd.update(place for place, one in enumerate(texts) if one == text)
            kept[text] = None
    return [kept[text] for text in texts]


Take = Callable[[list[Any], Odd], list[Any]]


def _json(values: Sequence[Any], odd: Odd) -> list[str | None]:
    found: list[str | None] = []
    for place, value in enumerate(values):
        try:
            found.append(None if value is None else encode(value))
        except ValueError:
            odd.add(place)
            found.append(None)
    return found


def _of_type(kind: type, values: list[Any], odd: Odd) -> list[Any]:
    """Values of just this type, or none."""
    if set(map(type, values)) <= {kind, NoneType}:
        return values
    found = []
    for place, value in enumerate(values):
        if value is not None and type(value) is not kind:
            odd.add(place)
        found.append(value if type(value) is kind else None)
    return found


def _wholes(values: list[Any], odd: Odd) -> list[Any]:
    found = _of_type(int, values, odd)
    told = [value for value in found if value is not None]
    if told and not -_BIGINT <= min(told) <= max(told) < _BIGINT:
        for place, value in enumerate(found):
            if value is not None and not -_BIGINT <= value < _BIGINT:
                odd.add(place)
                found[place] = None
    return found


def _numbers(values: list[Any], odd: Odd) -> list[Any]:
    return _of_type(float, values, odd)


def _texts(values: list[Any], odd: Odd) -> list[Any]:
    return _of_type(str, values, odd)


def _money(values: list[Any], odd: Odd) -> list[Any]:
    """The digits of prices. They repeat: most answers cost one of a few unit prices."""
    found = _of_type(str, values, odd)
    digits = {value: _digits(value) for value in {*found}}
    if None in [digits[value] for value in digits if value is not None]:
        odd.update(
            place
            for place, value in enumerate(found)
            if value is not None and digits[value] is None
        )
    return [digits[value] for value in found]


def _digits(value: str | None) -> str | None:
    if value is None or len(value) > _MOST_DIGITS:
        return None
    try:
        found = Decimal(value)
    except InvalidOperation:
        return None
    is_small = found.is_finite() and abs(found) < Decimal("1e17")
    return decimal_text(found) if is_small else None


_TAKES: Mapping[object, Take] = {
    int: _wholes,
    float: _numbers,
    str: _texts,
    Decimal: _money,
    JsonText: _json,
}


@cache
def _usage_fields() -> tuple[tuple[str, str, Take], ...]:
    """Column, key in the usage and what takes its values, as the record names them."""
    return tuple(
        (name, str(alias.path[-1]), _TAKES[plain_type(field)])
        for name, field in Message.model_fields.items()
        if isinstance(alias := field.validation_alias, AliasPath)
        and alias.path[:-1] == ["metadata", "usage"]
    )


@cache
def _citation_fields() -> Mapping[str, Take]:
    """Column, which is Dify's own name, and what takes its values."""
    return {
        name: _TAKES[plain_type(field)]
        for name, field in MessageCitation.model_fields.items()
        if name not in _OF_MESSAGE
    }
