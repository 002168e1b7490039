"""People who were forgotten: which rows are theirs, and what stands for their names.

Nothing here tells who they were: names are known by their pseudonyms, rows and people by the ids
that Dify gave them, by which they are known again when Dify tells them once more.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from dify_etl.warehouse.tables import Table

# Ids of end users and accounts by which a row is of what they said, ran or rated.
ACTORS = (
    *("from_end_user_id", "created_by_end_user_id"),
    *("from_account_id", "created_by_account_id", "account_id"),
)
# Columns that name whose a row is.
_NAMES = (
    *("from_end_user_session_id", "created_by_end_user_session_id", "answered_by"),
    "from_account_name",  # exported ratings tell no id
)
# What hangs on these is theirs, too; annotations were made of their messages.
PARENTS = {
    "conversations": "conversation_id",
    "messages": "message_id",
    "workflow_runs": "workflow_run_id",
    "annotations": "annotation_id",
}
# A name is looked for in texts only when it is a word that nobody means otherwise.
_WORD = r"[A-Za-z0-9_@+-]+(?:\.[A-Za-z0-9_@+-]+)*"
_SHORTEST = 6
# In JSON the letter behind a backslash is none of the word.
_TOKEN = re.compile(rf"\\u[0-9a-fA-F]{{4}}|\\.|{_WORD}")


@dataclass
class Forgotten:
    """Whom to know again. `names`: pseudonym -> person; `actors`: id of an end user or account ->
    person; `parents`: column -> id of a conversation, message, run or annotation -> person;
    `lengths`: of the names that are looked for in texts.
    """

    names: dict[str, str] = field(default_factory=dict)
    actors: dict[str, str] = field(default_factory=dict)
    parents: dict[str, dict[str, str]] = field(
        default_factory=lambda: {column: {} for column in PARENTS.values()}
    )
    lengths: set[int] = field(default_factory=set)

    def __bool__(self) -> bool:
        return bool(self.names or self.actors)

    def whose(self, table: Table, rows: pl.DataFrame, pseudonym: Callable[[str], str]) -> pl.Series:
        """Per row of a raw table the person whose it is; null: nobody's of them."""
        found = [
            *(_looked_up(rows[name], self.actors) for name in ACTORS if name in rows.columns),
            *(self._named(rows[name], pseudonym) for name in _NAMES if name in rows.columns),
        ]
        for column, people in self.parents.items():
            # Many messages are answered with one annotation.
            is_parent = column != "annotation_id" or table.name == "annotations"
            if people and is_parent and column in rows.columns:
                found.append(_looked_up(rows[column], people))
        if not found:
            return pl.Series([None], dtype=pl.String()).new_from_index(0, rows.height)
        return pl.select(pl.coalesce(found)).to_series()

    def learn(self, table: Table, rows: pl.DataFrame, whose: pl.Series) -> None:
        """What hangs on their rows is known again by these."""
        if table.name not in PARENTS:
            return
        column = PARENTS[table.name]
        theirs = rows.with_columns(whose.alias("_person")).filter(whose.is_not_null())
        self.parents[column].update(_pairs(theirs, column))
        if table.name == "messages" and "annotation_id" in rows.columns:
            self.parents["annotation_id"].update(_pairs(theirs, "annotation_id"))

    def is_named_by_id(self, value: Any) -> bool:
        """Whether an object that is no valid record names one of them, or what hangs on them."""
        known = (self.actors, *self.parents.values())
        return bool(self) and any(text in ids for text in _strings(value) for ids in known)

    def words_in(self, texts: pl.Series, pseudonym: Callable[[str], str]) -> dict[str, str]:
        """The words of these texts that are the name of one of them, with the person."""
        if not self.lengths:
            return {}
        # One query: Polars plans each step of a series as one of its own.
        word = pl.col("text").str.extract_all(_TOKEN.pattern).explode().drop_nulls()
        of_length = word.filter(word.str.len_chars().is_in(sorted(self.lengths)))
        words = texts.alias("text").to_frame().select(of_length.unique()).to_series()
        people = {word: self.names.get(pseudonym(word)) for word in words}
        return {word: person for word, person in people.items() if person is not None}

    def without_words(self, text: str, people: Mapping[str, str]) -> str:
        """A text with the person for each of these words."""
        return _TOKEN.sub(lambda one: people.get(one[0], one[0]), text)

    def _named(self, names: pl.Series, pseudonym: Callable[[str], str]) -> pl.Series:
        told = {name for name in names.to_list() if name is not None}
        new = set(self.names.values())
        people = {name: name if name in new else self.names.get(pseudonym(name)) for name in told}
        return _looked_up(names, {name: one for name, one in people.items() if one is not None})


def is_searched(name: str) -> bool:
    """Whether a name is looked for in texts: an e-mail address or an id, and no plain word.

    No number either: those stand in JSON without quotes, and mean anything.
    """
    return (
        len(name) >= _SHORTEST
        and re.fullmatch(_WORD, name) is not None
        and re.search("[^A-Za-z]", name) is not None
        and re.search("[A-Za-z]", name) is not None
        and re.fullmatch(r"[\d.+-]+[eE][\d+-]+", name) is None
    )


def names_of_actors(
    table: Table, rows: pl.DataFrame, people: Mapping[str, str]
) -> Iterator[pl.Series]:
    """The columns that name whom an id beside them means: where it is one of `people`, the person
    stands there. A member has one id for all of them.
    """
    told = [one.name for one in table.columns if one.is_person and one.name in rows.columns]
    for column in (*ACTORS, "created_by_id", "created_by"):
        if column not in rows.columns:
            continue
        person = _looked_up(rows[column], people)
        begin = column.removesuffix("_id")
        for name in told:
            is_of_it = table.name == "members" or name.startswith(begin)
            if is_of_it and person.null_count() < rows.height and rows[name].dtype == pl.String():
                named = rows[name].is_not_null() & person.is_not_null()
                yield person.zip_with(named, rows[name]).alias(name)


def _looked_up(ids: pl.Series, people: Mapping[str, str]) -> pl.Series:
    if not people or ids.null_count() == len(ids):
        return pl.Series([None], dtype=pl.String()).new_from_index(0, len(ids))
    # Of some thousand ids as quick as Polars, which plans a query for it, and of a few far quicker.
    return pl.Series(ids.name, map(people.get, ids.to_list()), pl.String())


def _pairs(rows: pl.DataFrame, column: str) -> dict[str, str]:
    known = rows.select(column, "_person").drop_nulls()
    return dict(known.iter_rows())


def _strings(value: Any) -> Iterator[str]:
    left = [value]
    while left:
        one = left.pop()
        if isinstance(one, str):
            yield one
        elif isinstance(one, dict):
            left.extend(one.values())
        elif isinstance(one, list):
            left.extend(one)
