"""People who were forgotten: which rows are theirs, and what stands for their names.

Nothing here tells who they were: names are known by their pseudonyms, rows and people by the ids
that Dify gave them, by which they are known again when Dify tells them once more.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import polars as pl

from dify_etl.raw.name_words import PLAIN_WORDS, of_shapes, standing_alone
from dify_etl.raw.people import DOERS, PEOPLE
from dify_etl.warehouse.tables import Table

# What a name is: a session id stands in columns of end users, a display name in those of accounts,
# and an e-mail address (name) means the same person in both.
NameKind = Literal["name", "session_id", "account_name"]
# What hangs on these is theirs, too; annotations were made of their messages.
PARENTS = {
    "conversations": "conversation_id",
    "messages": "message_id",
    "workflow_runs": "workflow_run_id",
    "annotations": "annotation_id",
    "human_inputs": "human_input_id",
}
# The execution of a node that is nothing but a form which they answered.
_OF_FORM = "node_execution_id"
# Of a message of somebody else's, what holds the forms that were answered in it.
FORMS_OF_MESSAGE = "extra_contents"


@dataclass
class Forgotten:
    """Whom to know again. `session_ids`, `account_names`, `words`: pseudonym of a name -> person,
    by where it means them: in columns of end users, of accounts, and as a word of any text;
    `actors`: id of an end user or account -> person; `parents`: column -> id of a conversation,
    message, run, annotation or form -> person; `answered`: id of a message in which they answered a
    form -> person; `lengths`, `shapes`: of the words.
    """

    session_ids: dict[str, str] = field(default_factory=dict)
    account_names: dict[str, str] = field(default_factory=dict)
    words: dict[str, str] = field(default_factory=dict)
    actors: dict[str, str] = field(default_factory=dict)
    parents: dict[str, dict[str, str]] = field(
        default_factory=lambda: {column: {} for column in (*PARENTS.values(), _OF_FORM)}
    )
    answered: dict[str, str] = field(default_factory=dict)
    lengths: set[int] = field(default_factory=set)
    shapes: set[str] = field(default_factory=set)

    def __bool__(self) -> bool:
        return bool(self.session_ids or self.account_names or self.words or self.actors)

    def add_name(
        self, pseudonym: str, kind: NameKind, person: str, *, length: int | None, shape: str | None
    ) -> None:
        """Know a person by a name; with a length or a shape it is a word of texts, too."""
        if kind != "account_name":
            self.session_ids[pseudonym] = person
        if kind != "session_id":
            self.account_names[pseudonym] = person
        if length is not None or shape is not None:
            self.words[pseudonym] = person
        if length is not None:
            self.lengths.add(length)
        if shape is not None:
            self.shapes.add(shape)

    def named_in(self, column: str) -> Mapping[str, str]:
        """The names that mean somebody in a column, or under such a key of JSON, that names people.

        Who answered a form may be called as an account or as an end user is: only a name that
        nobody else has tells who it was.
        """
        if column.endswith("session_id") or column.startswith("sys.user"):
            return self.session_ids
        return self.words if column == "answered_by" else self.account_names

    def whose(self, table: Table, rows: pl.DataFrame, pseudonym: Callable[[str], str]) -> pl.Series:
        """Per row of a raw table the person whose it is; null: nobody's of them."""
        found = [
            *(_looked_up(rows[name], self.actors) for name in DOERS if name in rows.columns),
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
        theirs = rows.with_columns(whose.alias("_person")).filter(whose.is_not_null())
        column = PARENTS[table.name]
        self.parents[column].update(_pairs(theirs, column))
        if table.name == "messages":
            self.parents["annotation_id"].update(_pairs(theirs, "annotation_id"))
        if table.name == "human_inputs":
            self.parents[_OF_FORM].update(_pairs(theirs, _OF_FORM))
            self.answered.update(_pairs(theirs, "message_id"))

    def answers_in(self, table: Table, rows: pl.DataFrame) -> pl.Series | None:
        """Whether a row is a message in which one of them answered a form; None: no row is."""
        if table.name != "messages" or not self.answered or "message_id" not in rows.columns:
            return None
        return _looked_up(rows["message_id"], self.answered).is_not_null()

    def is_named_by_id(self, value: Any) -> bool:
        """Whether an object that is no valid record names one of them, or what hangs on them."""
        known = (self.actors, self.answered, *self.parents.values())
        return bool(self) and any(text in ids for text in _strings(value) for ids in known)

    def words_in(self, texts: pl.Series, pseudonym: Callable[[str], str]) -> dict[str, str]:
        """The words of these texts that are the name of one of them, with the person; as they are
        written there, in JSON with its escapes.
        """
        found: dict[str, str | None] = {}
        if self.lengths:
            # One query: Polars plans each step of a series as one of its own.
            word = pl.col("text").str.extract_all(PLAIN_WORDS.pattern).explode().drop_nulls()
            of_length = word.filter(word.str.len_chars().is_in(sorted(self.lengths)))
            words = texts.alias("text").to_frame().select(of_length.unique()).to_series()
            found = {word: self.words.get(pseudonym(word)) for word in words}
        for written, name in of_shapes(texts, self.shapes):
            found[written] = found.get(written) or self.words.get(pseudonym(name))
        return {word: person for word, person in found.items() if person is not None}

    def _named(self, names: pl.Series, pseudonym: Callable[[str], str]) -> pl.Series:
        held = self.named_in(names.name)
        told = {name for name in names.to_list() if name is not None} if held else set()
        new = set(held.values())
        people = {name: name if name in new else held.get(pseudonym(name)) for name in told}
        return _looked_up(names, {name: one for name, one in people.items() if one is not None})


# Columns that name whose a row is. Exported ratings tell the name of an account and no id.
_NAMES = (
    *("from_end_user_session_id", "created_by_end_user_session_id", "answered_by"),
    "from_account_name",
)


def without_words(text: str, people: Mapping[str, str]) -> str:
    """A text with the person for each of these words, as `Forgotten.words_in` tells them."""
    odd = [one for one in people if PLAIN_WORDS.fullmatch(one) is None]
    if odd:  # before the plain words, of which one may be a part of it
        text = standing_alone(odd).sub(lambda one: people[one[0]], text)
    return PLAIN_WORDS.sub(lambda one: people.get(one[0], one[0]), text)


def names_of_actors(
    table: Table, rows: pl.DataFrame, people: Mapping[str, str]
) -> Iterator[pl.Series]:
    """The columns that name whom an id beside them means: where it is one of `people`, the person
    stands there. A member has one id for all of them.
    """
    for place in PEOPLE:
        if place.table != table.name or place.id not in rows.columns:
            continue
        person = _looked_up(rows[place.id], people)
        if person.null_count() == rows.height:
            continue
        of_member = [one.name for one in table.columns if one.is_person]
        for name in of_member if table.name == "members" else place.names:
            if name in rows.columns and rows[name].dtype == pl.String():
                named = rows[name].is_not_null() & person.is_not_null()
                yield person.zip_with(named, rows[name]).alias(name)


def _looked_up(ids: pl.Series, people: Mapping[str, str]) -> pl.Series:
    if not people or ids.null_count() == len(ids):
        return pl.Series([None], dtype=pl.String()).new_from_index(0, len(ids))
    # Of some thousand ids as quick as Polars, which plans a query for it, and of a few far quicker.
    return pl.Series(ids.name, map(people.get, ids.to_list()), pl.String())


def _pairs(rows: pl.DataFrame, column: str) -> dict[str, str]:
    if column not in rows.columns:
        return {}
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
