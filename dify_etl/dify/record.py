"""What every record shares: how one JSON object of Dify becomes a validated, frozen Python object.

A field name is the name of the warehouse column; Dify's own name stands in `validation_alias`.
Types are strict: a wrong type is rejected, never bent. Unknown keys land in `extra`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from sys import getsizeof
from typing import Annotated, Any, ClassVar, Generic, TypedDict, TypeVar, Unpack, cast, get_origin
from uuid import UUID

from pydantic import (
    AfterValidator,
    AliasPath,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    create_model,
)
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema

from dify_etl.dify.errors import UnexpectedAnswer
from dify_etl.dify.http.deny_list import without_secrets
from dify_etl.dify.http.exact_json import TooDeep, encode
from dify_etl.dify.json_text import JsonText

JsonRow = dict[str, Any]

# What the columns hold: BIGINT, DECIMAL(28, 10), and a time that has a local day in every zone.
# Dify is of 2023: an earlier time is none, and would end the walk of a list that is sorted by it.
_BIGINT = {"ge": -(1 << 63), "le": (1 << 63) - 1}
_MOST_DECIMAL = Decimal("999999999999999999.9999999999")
_DECIMAL = {"ge": -_MOST_DECIMAL, "le": _MOST_DECIMAL, "allow_inf_nan": False}
_BOUNDS: Mapping[str, Mapping[str, object]] = {
    "int": _BIGINT,
    "decimal": _DECIMAL,
    "float": {"allow_inf_nan": False},
}
_FIRST_INSTANT = datetime(2000, 1, 1, tzinfo=UTC)
_LAST_INSTANT = datetime(9999, 12, 29, tzinfo=UTC)


def _instant(value: object) -> object:
    """Epoch seconds to an aware UTC datetime; anything else is left for the strict check."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            return datetime.fromtimestamp(value, UTC)
        except (OverflowError, OSError, ValueError) as error:
            raise ValueError("is no time in epoch seconds") from error
    return value


def _iso_instant(value: object) -> object:
    """ISO 8601 to an aware UTC datetime, UTC where no offset is told; else as it is."""
    if type(value) is not str:
        return value
    at = datetime.fromisoformat(value)
    try:
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("is no time that a calendar has") from error


def _in_calendar(at: datetime) -> datetime:
    if not _FIRST_INSTANT <= at <= _LAST_INSTANT:
        raise ValueError("is a time before Dify was, or without a local day in every zone")
    return at


def instant_of(value: object) -> datetime | None:
    """The time of epoch seconds, UTC, if a column takes it."""
    try:
        at = _instant(value)
        return _in_calendar(at) if isinstance(at, datetime) else None
    except ValueError:
        return None


def _writable(value: Any, info: ValidationInfo) -> Any:
    """A field that no known version sends, if it can be kept.

    Where odd fields are null (the context notes them), it is null, and `extra` is what is odd.
    """
    if not isinstance(value, dict | list | TooDeep):
        return value
    try:
        encode(value)
    except ValueError:
        if not isinstance(info.context, set):
            raise
        info.context.add("extra")
        return None
    return value


def _bounded(schema: Any) -> Any:
    """The schema with the bounds of the columns at every integer, decimal and float in it."""
    if isinstance(schema, list):
        return [_bounded(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    made = {
        key: one if key in ("metadata", "serialization") else _bounded(one)
        for key, one in schema.items()
    }
    bounds = _BOUNDS.get(str(made.get("type")))
    return {**bounds, **made} if bounds else made


# Ids become parts of paths: one that no path takes, or that leads elsewhere, is none.
_MOST_OF_AN_ID = 255


def _askable(value: str) -> str:
    if value in (".", ".."):
        raise ValueError("leads to another path")
    return value


def _uuid(value: str) -> str:
    UUID(value)
    return value


Id = Annotated[str, Field(min_length=1, max_length=_MOST_OF_AN_ID), AfterValidator(_askable)]
# Where a row adds to another one alone: by an id that is none it would add to nothing, unnoticed.
UuidOfAnother = Annotated[Id, AfterValidator(_uuid)]
Instant = Annotated[datetime, BeforeValidator(_instant), AfterValidator(_in_calendar)]
IsoInstant = Annotated[datetime, BeforeValidator(_iso_instant), AfterValidator(_in_calendar)]
Money = Annotated[Decimal, Field(strict=False)]  # Dify sends decimals as text, "0E-7" for zero


class Marks(TypedDict, total=False):
    """How changes of a column count, and of whom it tells, by the names that
    `warehouse.tables.Column` has for it.
    """

    is_volatile: bool
    keeps_last: bool
    is_signed: bool
    is_text: bool
    is_person: bool


def aliased(*path: str, description: str, **marks: Unpack[Marks]) -> Any:
    """A required column that Dify names otherwise, or nests under `path`."""
    return _field(path, marks, description=description)


def optional(*path: str, description: str, **marks: Unpack[Marks]) -> Any:
    """A column that is None when Dify leaves it out; without a path, Dify names it the same."""
    return _field(path, marks, description=description, default=None)


def _field(path: Sequence[str], marks: Marks, **told: Any) -> Any:
    if unknown := marks.keys() - Marks.__annotations__.keys():
        raise TypeError(f"no marks of a column: {', '.join(sorted(unknown))}")
    if path:
        told["validation_alias"] = path[0] if len(path) == 1 else AliasPath(*path)
    if marks:
        told["json_schema_extra"] = dict(marks)
    return Field(**told)


def marks_of(field: FieldInfo) -> Marks:
    """The marks that a field of a record was made with."""
    return cast(Marks, field.json_schema_extra or {})


class Record(BaseModel):
    """One validated JSON object from Dify. Keys that no known version sends are in `extra`.

    Every value that is accepted fits its column: what does not is told by its field.
    """

    __pydantic_extra__: dict[str, Annotated[Any, AfterValidator(_writable)]]

    model_config = ConfigDict(frozen=True, extra="allow", strict=True, hide_input_in_errors=True)
    keeps_raw: ClassVar[bool] = True  # may a rejected row keep its JSON text?
    # Fields without which a row is none: its identity, the link to its parent, what its children
    # are asked with, and the time that gives its slice. Another field that is odd is null, and
    # named in `odd_fields`. Empty: any odd field rejects the row.
    needs: ClassVar[frozenset[str]] = frozenset()
    # Keys of Dify's that do not make two rows of one id in an answer two.
    beside: ClassVar[frozenset[str]] = frozenset()
    _nested_keys: ClassVar[frozenset[str]] = frozenset()

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        for name, value in super().__repr_args__():
            named = {name or "": str(value) if isinstance(value, JsonText) else value}
            yield name, without_secrets(named)[name or ""]

    @property
    def extra(self) -> dict[str, Any]:
        """What Dify sent beyond the known fields: a sign of a newer server."""
        found = self.__pydantic_extra__
        if not found:
            return {}
        return {key: found[key] for key in found if key not in self._nested_keys}

    @property
    def odd_fields(self) -> tuple[str, ...]:
        """Fields whose value in Dify's answer was none of theirs: null here."""
        return cast(tuple[str, ...], (self.__pydantic_private__ or {}).get("odd_fields", ()))

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """The schema of the fields, with the bounds of their columns."""
        return cast(CoreSchema, _bounded(handler(source)))

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Note the keys that fields look into: when null there, they are still no surprise."""
        aliases = (info.validation_alias for info in cls.model_fields.values())
        cls._nested_keys = frozenset(
            str(alias.path[0]) for alias in aliases if isinstance(alias, AliasPath)
        )

    @classmethod
    def prepare(cls, row: JsonRow, context: Mapping[str, Any]) -> JsonRow:
        """The row as the fields expect it: the context (such as app_id) joined in."""
        return {**row, **context}

    @classmethod
    def set_parts_aside(cls, prepared: JsonRow) -> JsonRow:
        """The prepared row without those of its parts that are no valid records."""
        return prepared


@cache
def _text_fields(record_class: type[Record]) -> tuple[str, ...]:
    return tuple(
        name for name, info in record_class.model_fields.items() if marks_of(info).get("is_text")
    )


def text_bytes(records: Iterable[Record]) -> int:
    """How many bytes Python holds the texts of people and models in that these records have."""
    return sum(
        getsizeof(getattr(record, name))
        for record in records
        for name in _text_fields(type(record))
    )


class KeyRecord(Record):
    """A record of something secret: only the named fields are kept, and never the raw JSON."""

    model_config = ConfigDict(extra="ignore")
    keeps_raw: ClassVar[bool] = False


R_co = TypeVar("R_co", covariant=True)
RecordT = TypeVar("RecordT", bound=Record)


@dataclass(frozen=True)
class Rejected:
    """A row that failed validation. `position` counts from 0 in its page."""

    endpoint: str
    position: int
    record_id: str | None
    error_path: str
    message: str
    # Without secrets; None for rows that are secrets.
    raw: str | None = field(default=None, repr=False)
    # When it lived, where it is too deep to be kept.
    times: Mapping[str, Any] = field(default_factory=dict, repr=False)
    record_class: str = ""  # with `context` what it takes to parse `raw` again
    context: Mapping[str, Any] = field(default_factory=dict, repr=False)
    odd_fields: tuple[str, ...] = ()  # the row is a record all the same, but for these fields
    odd_figures: int = 0  # of these, how many are money, tokens, time or status

    @property
    def is_loaded(self) -> bool:
        """Whether the row stands among the records, and only fields of it were set aside."""
        return bool(self.odd_fields)


def lost(rejected: Iterable[Rejected]) -> list[Rejected]:
    """Those of which no record was made."""
    return [one for one in rejected if not one.is_loaded]


@dataclass(frozen=True)
class Batch(Generic[R_co]):
    """All rows of one answer: the good ones as records, the others named."""

    records: tuple[R_co, ...]
    rejected: tuple[Rejected, ...] = ()

    def __iter__(self) -> Iterator[R_co]:
        return iter(self.records)

    def __len__(self) -> int:
        return len(self.records)


@dataclass(frozen=True)
class Page(Batch[R_co]):
    """One page of a list, rows in Dify's order. Numbers are None where Dify sends none."""

    page: int | None = None
    limit: int | None = None
    total: int | None = None
    has_more: bool | None = None

    @property
    def row_count(self) -> int:
        """How many rows Dify sent, the rejected ones included."""
        return len(self.records) + len(lost(self.rejected))


def parse(
    record_class: type[RecordT],
    rows: Sequence[Any],
    *,
    endpoint: str,
    context: Mapping[str, Any] | None = None,
) -> Batch[RecordT]:
    """Validate rows one by one: a bad row is set aside and never takes its neighbours with it.

    A row whose `needs` are good is a record, without its odd fields, and named in `rejected`, too.
    """
    context = context or {}
    records: list[RecordT] = []
    rejected: list[Rejected] = []
    for position, row in enumerate(rows):
        prepared = record_class.prepare(row, context) if type(row) is dict else row
        if type(prepared) is dict:
            prepared = _looked_into(prepared, _looks_into(record_class))
        try:
            records.append(record_class.model_validate(prepared))
        except ValidationError as error:
            found, why = _without_what_is_odd(record_class, prepared, error)
            records += [found] if found is not None else []
            if why is None:
                continue
            one = _set_aside(record_class, row, _first_error(why), endpoint, position, context)
            odd = found.odd_fields if found is not None else ()
            figures = sum(is_figure(record_class, name) for name in odd)
            rejected.append(replace(one, odd_fields=odd, odd_figures=figures))
    return Batch(tuple(records), tuple(rejected))


def parse_each_once(
    record_class: type[RecordT],
    rows: Sequence[Any],
    *,
    endpoint: str,
    context: Mapping[str, Any] | None = None,
) -> Batch[RecordT]:
    """As `parse`, for the rows of one answer: of two that differ and have one id, which of them is
    it nobody can say, so the later one is set aside. Logs of agents, which need nothing, tell of
    one conversation in several rows.
    """
    ids = [_id_of(row) for row in rows]
    own = [_without(row, record_class.beside) for row in rows] if record_class.beside else rows
    is_known_by_id = record_class.needs or not record_class.keeps_raw
    if len({*ids}) == len(ids) or not is_known_by_id:
        return parse(record_class, rows, endpoint=endpoint, context=context)
    first: dict[str | None, Any] = {}
    records: list[RecordT] = []
    rejected: list[Rejected] = []
    for position, (row_id, row) in enumerate(zip(ids, rows, strict=True)):
        if row_id in first and first[row_id] != own[position]:
            told = ("id", "another row of the same answer has this id, and is not the same")
            one = _set_aside(record_class, row, told, endpoint, position, context or {})
            rejected.append(one)
            continue
        batch = parse(record_class, [row], endpoint=endpoint, context=context)
        records += batch.records
        rejected += [replace(one, position=position) for one in batch.rejected]
        if row_id is not None and batch.records:
            first[row_id] = own[position]
    return Batch(tuple(records), tuple(rejected))


def _without(row: Any, keys: frozenset[str]) -> Any:
    if not isinstance(row, dict):
        return row
    return {key: value for key, value in row.items() if key not in keys}


def _set_aside(
    record_class: type[Record],
    row: Any,
    told: tuple[str, str],
    endpoint: str,
    position: int,
    context: Mapping[str, Any],
) -> Rejected:
    """The row as quarantine keeps it, with the path and message of its error; of secrets only
    their shape.
    """
    keeps_raw = record_class.keeps_raw
    path, message = told
    raw = _kept(row) if keeps_raw else None
    return Rejected(
        endpoint=endpoint,
        position=position,
        record_id=_id_of(row),
        error_path=path,
        message=message if keeps_raw else f"{message} ({_shape(row)})",
        raw=raw,
        times=_times(row) if keeps_raw and raw is None else {},
        record_class=record_class.__name__,
        context=context if keeps_raw else {},
    )


def is_figure(record_class: type[Record], name: str) -> bool:
    """Whether a field tells money, tokens, time or status: what days are summed by."""
    info = record_class.model_fields.get(name)
    annotation = str(info.annotation) if info is not None else ""
    is_typed = any(kind in annotation for kind in ("Decimal", "datetime"))
    return is_typed or name in ("status", "currency") or name.endswith(("_tokens", "_seconds"))


class _Unreadable:
    """Stands for what would be in an object if there was one: no field takes it."""


@cache
def _looks_into(record_class: type[Record]) -> JsonRow:
    """The objects that fields look into: key, then what they look for there."""
    tree: JsonRow = {}
    for info in record_class.model_fields.values():
        if isinstance(info.validation_alias, AliasPath):
            *keys, last = (str(one) for one in info.validation_alias.path)
            inner = tree
            for key in keys:
                inner = inner.setdefault(key, {})
            inner.setdefault(last, _Unreadable())
    return tree


def _looked_into(row: JsonRow, tree: JsonRow) -> JsonRow:
    """The row with what no field takes in the place of what should be an object and is none.

    Pydantic takes a field that looks into a number for one that is not there, and so for null.
    """
    odd: JsonRow = {}
    for key, inner in tree.items():
        held = row.get(key)
        if not isinstance(inner, dict) or not held:
            continue
        found = _looked_into(held, inner) if isinstance(held, dict) else inner
        if found is not held:
            odd[key] = found
    return {**row, **odd} if odd else row


def _without_what_is_odd(
    record_class: type[RecordT], prepared: Any, error: ValidationError
) -> tuple[RecordT | None, ValidationError | None]:
    """The record without its odd parts and fields, and what is wrong with the row itself.

    No record when a field that it needs is odd; no error when only parts of it are.
    """
    if not record_class.needs or not isinstance(prepared, dict):
        return None, error
    row = record_class.set_parts_aside(prepared)
    if row is not prepared:
        try:
            return record_class.model_validate(row), None
        except ValidationError as other:
            error = other
    odd: set[str] = set()
    try:
        found = _lenient(record_class).model_validate(row, context=odd)
    except ValidationError:
        return None, error
    required = (name for name, info in record_class.model_fields.items() if info.is_required())
    odd.update(name for name in required if getattr(found, name) is None)
    # The lenient class has the same fields, so its objects may be of the strict one: whoever
    # makes frames by class needs to know one class only.
    object.__setattr__(found, "__class__", record_class)
    object.__setattr__(found, "__pydantic_private__", {"odd_fields": tuple(sorted(odd))})
    return cast(RecordT, found), error


@cache
def _lenient(record_class: type[Record]) -> type[Record]:
    """The same record, whose fields are null where they are odd; the context notes their names."""
    fields: dict[str, Any] = {}
    for name, info in record_class.model_fields.items():
        if name in record_class.needs or get_origin(info.annotation) is tuple:
            continue
        kind: Any = info.annotation
        if info.metadata:
            kind = Annotated[(kind, *info.metadata)]
        fields[name] = (
            Annotated[kind | None, WrapValidator(_none_if_odd)],
            Field(default=None, validation_alias=info.validation_alias),
        )
    return create_model(record_class.__name__, __base__=record_class, **cast(Any, fields))


def _none_if_odd(value: Any, check: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
    try:
        return check(value)
    except ValidationError:
        cast(set[str], info.context).add(str(info.field_name))
        return None


def parse_one(
    record_class: type[RecordT],
    row: Any,
    *,
    endpoint: str,
    context: Mapping[str, Any] | None = None,
) -> RecordT:
    """Validate the answer of an endpoint that gives one object; raises UnexpectedAnswer."""
    batch = parse(record_class, [row], endpoint=endpoint, context=context)
    for rejected in batch.rejected:
        raise unexpected(rejected)
    return batch.records[0]


def parse_but_odd_fields(
    record_class: type[RecordT],
    row: Any,
    *,
    endpoint: str,
    context: Mapping[str, Any] | None = None,
) -> Batch[RecordT]:
    """The one record of such an answer, and its odd fields; UnexpectedAnswer when it is none."""
    batch = parse(record_class, [row], endpoint=endpoint, context=context)
    for rejected in lost(batch.rejected):
        raise unexpected(rejected)
    return batch


def check_identity(told: str, asked: str, *, endpoint: str) -> None:
    """Raise UnexpectedAnswer when an answer is about another object than the one asked for."""
    if told != asked:
        raise UnexpectedAnswer(
            f"asked for {asked}, Dify answered with {told[:80]!r}",
            where=endpoint,
            hint="Look for a proxy that mixes up answers; report the server version.",
        )


def unexpected(rejected: Rejected) -> UnexpectedAnswer:
    """The error for a row that may not be set aside; names endpoint, record and field."""
    return UnexpectedAnswer(
        f"record {rejected.record_id or 'without id'}: {rejected.error_path}: {rejected.message}",
        where=rejected.endpoint,
        hint="This server's answer differs from the versions that this client knows; "
        "report the server version, the endpoint and the field.",
    )


def _kept(row: Any) -> str | None:
    """The JSON of a row without its secrets; None when it is nested too deep to be written."""
    try:
        return encode(without_secrets(row))
    except (ValueError, RecursionError):
        return None


def _times(row: Any) -> JsonRow:
    """What a row tells of when it lived, as Dify sends it: the numbers among its times."""
    if not isinstance(row, dict):
        return {}
    run = row.get("workflow_run")  # a log row is of the day of its run
    found = {name: value for name, value in row.items() if name.endswith("_at")}
    found |= _times(run)
    return {name: value for name, value in found.items() if type(value) in (int, float)}


def _first_error(error: ValidationError) -> tuple[str, str]:
    """Path of the first wrong field, and what is wrong; never a value."""
    errors = error.errors(include_url=False, include_context=False, include_input=False)
    told = [(".".join(str(part) for part in one["loc"]) or "(row)", one["msg"]) for one in errors]
    path, message = told[0]
    others = ", ".join(other for other, _ in told[1:4])
    return path, f"{message}; also wrong: {others}" if others else message


def _id_of(row: Any) -> str | None:
    found = row.get("id") if isinstance(row, dict) else None
    return found if isinstance(found, str) else None


def _shape(row: Any) -> str:
    """Key names and types of a row whose values must not be told."""
    if not isinstance(row, dict):
        return type(row).__name__
    return ", ".join(f"{key} {type(value).__name__}" for key, value in sorted(row.items()))
