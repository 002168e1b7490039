"""What is kept of texts and people, by DIFY_ETL_TEXT and DIFY_ETL_PEOPLE, before it is loaded; and
of people who were forgotten (`dify-etl forget`).

Which columns hold texts of people, and which name a person, stands on the fields of the records.
To apply it once more changes nothing.
"""

import hashlib
import hmac
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import polars as pl

from dify_etl.dify.http.exact_json import decode, encode
from dify_etl.raw.forgotten import (
    FORMS_OF_MESSAGE,
    Forgotten,
    names_of_actors,
    without_words,
)
from dify_etl.warehouse.tables import Column, Table

TextRule = Literal["keep", "mask", "drop"]
PeopleRule = Literal["keep", "hash"]
DROPPED = "(dropped)"
NOBODY = "DEFAULT-USER"  # what Dify calls a caller who was not named

_PSEUDONYM = re.compile(r"person-[0-9a-f]{16}")
# Dify writes the caller of a run among its inputs, and who uploaded a document among its metadata.
_PERSON_KEYS = frozenset(
    {"sys.user_id", "sys.user", "session_id", "from_end_user_session_id", "uploader"}
    | {"from_account_name", "create_user_name", "author_name", "answered_by"}
)
_MAY_NAME = r"user|session_id|uploader|account|author|email|answered_by"
# What figures are made of stays where texts are dropped: usage, and which model was asked.
_KEPT_KEYS: Mapping[str, frozenset[str]] = {
    "process_data": frozenset(
        {"usage", "model_provider", "model_name", "model_mode", "finish_reason"}
    ),
    "outputs": frozenset({"usage"}),
    "metadata": frozenset({"usage"}),
    "app_model_config": frozenset({"model"}),
    "execution_metadata": frozenset(
        {"total_tokens", "total_price", "currency", "iteration_id", "iteration_index", "loop_id"}
        | {"loop_index", "retry_index", "tool_info"}
    ),
}
# A value of such a key that is a word of Dify and no text: a provider, a model, an id.
_PLAIN = re.compile(r"[\w./:+-]{0,120}", re.ASCII)
# People name variables as they like, `usage` too: of it only what Dify writes into one is kept.
_OF_USAGE = re.compile(r"(?:\w+_)?(?:tokens|price|price_unit)|currency|latency|time_to_\w+")
_OF_MODEL = re.compile(r"provider|name|mode|provider_type|provider_id|icon_type")
_FIGURE = re.compile(r"-?\d[\d.]{0,40}(?:[Ee]-?\d{1,3})?|[A-Z]{3}")
# Of an error text: which error, and the status of an answer.
_ERROR_NAME = re.compile(r"\b[A-Za-z_]\w{0,80}(?:Error|Exception|Timeout)\b")
_ERROR_STATUS = re.compile(r"\b[45]\d\d\b")
# In an object that is no valid record nothing says what is a text: what stands under these names of
# Dify is none, but below names of people's own nothing is known.
_NO_TEXT = re.compile(
    r"id|.*_id|.*_at|.*_date|.*_time|status|mode|type|.*_type|role|rating|version|currency|.*_from|"
    r".*_source|.*_role|.*_price|.*_unit|source|position|index|model_provider|latency|.*version|"
    r".*_hash|masked_token|token_fingerprint|odd_fields|icon|icon_.*|metric|unit|.*_model"
)
_FREE = frozenset(
    {"inputs", "outputs", "process_data", "message", "submitted_data", "form_inputs", "form_data"}
    | {"metadata", "model_config", "details", "trigger_metadata", "extra", "tool_input"}
)


@dataclass(frozen=True)
class Privacy:
    """The rules, and the salt of the pseudonyms: who has it can tell whose pseudonym one is."""

    text: TextRule = "keep"
    people: PeopleRule = "keep"
    salt: bytes = field(default=b"", repr=False)
    forgotten: Forgotten = field(default_factory=Forgotten)

    @property
    def keeps_all(self) -> bool:
        """Whether rows are loaded as Dify tells them."""
        return self.text == "keep" and not self._changes_names

    @property
    def _changes_names(self) -> bool:
        return self.people == "hash" or bool(self.forgotten)

    def rows(self, table: Table, rows: pl.DataFrame) -> pl.DataFrame:
        """The rows of a raw table, or of the ledger, as they are loaded."""
        if self.keeps_all or rows.is_empty():
            return rows
        texts = [series for series in rows if series.dtype == pl.String()]
        if table.schema != "raw":
            reasons = [one for one in texts if one.name.endswith("reason")]
            return rows.with_columns(_changed(one, self.message) for one in reasons)
        kept = rows.with_columns(self.column(table.column(one.name), one) for one in texts)
        return self._without_forgotten(table, kept) if self.forgotten else kept

    def column(self, column: Column, series: pl.Series) -> pl.Series:
        """The values of a column of texts as they are loaded, whosever the rows are."""
        if series.null_count() == len(series):  # of many a table most columns are empty
            return series
        if _NO_TEXT.fullmatch(column.name) and not (column.is_text or column.is_person):
            return series
        if column.is_person and self._changes_names:
            named = self.forgotten.named_in(column.name)
            series = _changed(
                series,
                self._json_account
                if column.type == "JSON"
                else lambda text: self._name(text, named),
            )
        elif self._changes_names and column.type == "JSON":
            series = _changed(series, self._json_people, only=series.str.contains(_MAY_NAME))
        series = self._without_words(series)
        if column.is_person or self.text == "keep":
            return series
        if column.is_text and self.text == "drop":
            return _changed(series, _dropper(column))
        # They take a third of a second to import, and only who masks needs them.
        from dify_etl.raw.masks import mask_column, masked, masked_graph, masked_json

        mask = masked_json if column.type == "JSON" else masked
        return mask_column(series, masked_graph if column.name == "graph" else mask)

    def whose(self, table: Table, rows: pl.DataFrame) -> pl.Series:
        """Per row of a raw table the forgotten person whose it is; null: nobody's of them."""
        return self.forgotten.whose(table, rows, self.pseudonym)

    def _without_forgotten(self, table: Table, rows: pl.DataFrame) -> pl.DataFrame:
        """Texts of their rows are dropped, and the person's new name stands beside each id."""
        theirs = self.whose(table, rows).is_not_null()
        changed = list(names_of_actors(table, rows, self.forgotten.actors))
        named = {one.name for one in changed}
        dropped = {one.name: theirs for one in rows if one.name not in named}
        if (answers := self.forgotten.answers_in(table, rows)) is not None:
            dropped[FORMS_OF_MESSAGE] = answers | theirs
        strict = replace(self, text="drop")
        for name, is_dropped in dropped.items():
            if name in rows.columns and rows[name].dtype == pl.String() and is_dropped.any():
                series, places = rows[name], is_dropped.arg_true()
                kept = strict.column(table.column(name), series.gather(places))
                changed.append(series.scatter(places, kept))
        return rows.with_columns(changed)

    def _without_words(self, series: pl.Series) -> pl.Series:
        """Texts in which a forgotten person's name stands as a word; the new name stands there."""
        named = self.forgotten.words_in(series, self.pseudonym)
        if not named:
            return series
        return _changed(series, lambda text: without_words(text, named))

    def _name(self, name: str, named: Mapping[str, str]) -> str:
        """What is kept of a name, where `named` are those of forgotten people."""
        if not named and self.people == "keep":
            return name
        pseudonym = self.pseudonym(name)
        return named.get(pseudonym, pseudonym if self.people == "hash" else name)

    def pseudonym(self, name: str) -> str:
        """The same for the same name in every column, as `person-1f0c…`; "" for ""."""
        if not name or name == NOBODY or self._is_pseudonym(name):
            return name
        named = self._digest(name.lower() if "@" in name else name)[:12]
        return f"person-{named}{self._digest(named)[:4]}"

    def _is_pseudonym(self, name: str) -> bool:
        """Whether it is one of ours: a caller may choose a name that looks like one."""
        if _PSEUDONYM.fullmatch(name) is None:
            return False
        named = name.removeprefix("person-")
        return self._digest(named[:12])[:4] == named[12:]

    def _digest(self, text: str) -> str:
        return hmac.new(self.salt, text.encode("utf-8", "replace"), hashlib.sha256).hexdigest()

    def odd_row(self, table: Table, raw: str | None, hangs_on: Sequence[Any] = ()) -> str | None:
        """The JSON of an object that is no valid record of a raw table, for the quarantine; None
        where it is no JSON, and something has to be taken out. `hangs_on` are ids, or JSON with
        them, that it does not tell itself.
        """
        if raw is None or self.keeps_all:
            return raw
        try:
            held = decode(raw.encode("utf-8", "replace"))
        except ValueError:
            return None
        if self._changes_names:
            held = self._without_people(held, "")
        # What builders wrote is masked: a retry loads the name of an app, which is not dropped.
        is_of_people = any(one.is_text for one in table.columns if not one.name.endswith("extra"))
        text = "drop" if self.forgotten.is_named_by_id([held, *hangs_on]) else self.text
        rule: TextRule = "mask" if text == "drop" and not is_of_people else text
        return self._words_kept(encode(self._plain_value(held, "", rule)))

    def message(self, text: str) -> str:
        """A sentence of ours that may quote a value of Dify's."""
        if self.keeps_all:
            return text
        if self.text == "keep":
            return self.operator_text(text)
        from dify_etl.raw.masks import masked

        return masked(self._words_kept(text))

    def operator_text(self, text: str, *, is_masked: bool = False) -> str:
        """What the audit says of a person, as the e-mail address of a member, in a text or JSON;
        `is_masked`: what else is masked in texts goes, too.
        """
        if self._changes_names:
            from dify_etl.raw.masks import without_emails

            named = self.forgotten.account_names
            text = self._json_people(text) if text.startswith(("{", "[")) else text
            text = without_emails(self._words_kept(text), lambda one: self._name(one, named))
        if not is_masked or self.text == "keep":
            return text
        from dify_etl.raw.masks import masked_json

        return masked_json(text)

    def _words_kept(self, text: str) -> str:
        return str(self._without_words(pl.Series([text], dtype=pl.String()))[0])

    def _json_account(self, text: str) -> str:
        return self._json_people(text, "updated_by")

    def _json_people(self, text: str, key: str = "") -> str:
        try:
            held = decode(text.encode("utf-8", "replace"))
        except ValueError:
            return text
        kept = self._without_people(held, key)
        return text if kept == held else encode(kept)

    def _without_people(self, value: Any, key: str) -> Any:
        if isinstance(value, list):
            return [self._without_people(inner, key) for inner in value]
        if not isinstance(value, dict):
            is_name = key in _PERSON_KEYS and type(value) in (str, int)
            return self._name_in_json(value, key) if is_name else value
        # Which key says what of a person's each of these is.
        named = dict.fromkeys(("name", "email"), "account_name") if "email" in value else {}
        named |= dict.fromkeys(("name", "email"), "account_name") if key == "updated_by" else {}
        named |= {"user_id": "sys.user_id"} if key == "sys" else {}
        # Metadata of documents come as an object, or as a list of names with values.
        told = value.get("name")
        if isinstance(told, str) and told in _PERSON_KEYS:
            named |= {"value": told}
        person = self.forgotten.actors.get(value["id"]) if _is_account(value, named) else None
        return {
            one: person or self._name_in_json(inner, named[one])
            if one in named and isinstance(inner, str) and inner not in _PERSON_KEYS
            else self._without_people(inner, one)
            for one, inner in value.items()
        }

    def _name_in_json(self, value: str | int, key: str) -> str | int:
        """A number that names nobody stays one."""
        name = self._name(str(value), self.forgotten.named_in(key))
        return value if name == str(value) else name

    def _plain_value(self, value: Any, key: str, rule: TextRule, *, is_free: bool = False) -> Any:
        """What a rule of texts leaves under a key of Dify's, or (`is_free`) of somebody's own."""
        if rule == "keep":
            return value
        if key in _FREE and rule == "drop" and isinstance(value, dict | list):
            return _shape(value, _KEPT_KEYS.get(key, frozenset()))
        is_free = is_free or key in _FREE
        if isinstance(value, dict):
            return {
                one: self._plain_value(inner, one, rule, is_free=is_free)
                for one, inner in value.items()
            }
        if isinstance(value, list):
            return [self._plain_value(inner, key, rule, is_free=is_free) for inner in value]
        if not isinstance(value, str) or not value or self._is_pseudonym(value):
            return value
        if _NO_TEXT.fullmatch(key) and not is_free:
            return value
        from dify_etl.raw.masks import masked

        return masked(value) if rule == "mask" else DROPPED


def _is_account(value: Mapping[str, Any], named: Mapping[str, str]) -> bool:
    return "name" in named and isinstance(value.get("id"), str)


def _changed(
    series: pl.Series, change: Callable[[str], str | None], only: pl.Series | None = None
) -> pl.Series:
    """A column with `change` over its values; nulls stay, and so do rows that `only` leaves out."""
    if only is None:
        values = [None if text is None else change(text) for text in series]
    else:
        pairs = zip(series, only, strict=True)
        values = [change(text) if is_one else text for text, is_one in pairs]
    return pl.Series(series.name, values, pl.String())


def _dropper(column: Column) -> Callable[[str], str | None]:
    """What is left of a text that is dropped: that there is one, for an empty one is no answer."""
    if column.type == "JSON":
        kept = _KEPT_KEYS.get(column.name, frozenset())
        return lambda text: _shape_of(text, kept)
    if column.name == "error":
        return _error_kind
    return lambda text: DROPPED if text else text


def _error_kind(text: str) -> str:
    """`RateLimitError 429` of an error text."""
    found = (_ERROR_NAME.search(text), _ERROR_STATUS.search(text))
    told = " ".join(one[0] for one in found if one is not None)
    return told or (DROPPED if text else text)


def _shape_of(text: str, kept: frozenset[str]) -> str | None:
    try:
        held = decode(text.encode("utf-8", "replace"))
    except ValueError:
        return None
    return encode(_shape(held, kept))


def _shape(value: Any, kept: frozenset[str]) -> Any:
    """Whether it is an object, a list of how many, or nothing; and what figures are made of."""
    if isinstance(value, dict):
        return {key: _part(key, inner) for key, inner in value.items() if key in kept}
    if isinstance(value, list):
        return [_shape(inner, kept) for inner in value]
    return value if value in ("", None) else None


def _part(key: str, value: Any) -> Any:
    if key == "usage":
        return _chosen(value, _OF_USAGE, _FIGURE)
    if isinstance(value, dict):
        return _chosen(value, _OF_MODEL, _PLAIN)
    return _word(value, _PLAIN)


def _chosen(value: Any, names: re.Pattern[str], words: re.Pattern[str]) -> Any:
    """The parts of an object that have these names, where their texts are such words."""
    if not isinstance(value, dict):
        return None
    return {key: _word(inner, words) for key, inner in value.items() if names.fullmatch(key)}


def _word(value: Any, words: re.Pattern[str]) -> Any:
    if isinstance(value, dict | list):
        return None
    return value if not isinstance(value, str) or words.fullmatch(value) else None
