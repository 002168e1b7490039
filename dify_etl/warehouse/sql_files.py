"""The SQL files that models are made of: those of dify-etl, and those of one's own (DIFY_ETL_SQL).

A folder of one's own has `staging/`, `marts/` and `exports/` like sql/; what lies in it directly is
a mart. A file that cannot be a model is one that is broken, and named: it keeps nothing from the
others.
"""

import hashlib
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from dify_etl.warehouse.errors import ModelBroken
from dify_etl.warehouse.models import FOLDERS, Model, read_model, sql_folder

LEFT_OUT = "left_out_"  # how the names begin of files that are no models
_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")


@dataclass(frozen=True)
class SqlFile:
    """A file: its model, or what is wrong with it."""

    schema: str
    name: str
    model: Model | None
    error: ModelBroken | None = None

    @property
    def qualified(self) -> str:
        """schema.name."""
        return f"{self.schema}.{self.name}"


def sql_files(folder: Path | None = None, *, own: Path | None = None) -> list[SqlFile]:
    """All files under `folder` (the project's sql/) and under `own`, each after those that it
    reads; broken ones, and those that need each other, at the end.
    """
    root = folder or sql_folder()
    found = [
        _read(path, schema) for schema in FOLDERS for path in sorted((root / schema).glob("*.sql"))
    ]
    if own is not None:
        found += _own_files(own, {one.qualified for one in found})
    good = [one.model for one in found if one.model is not None]
    ordered, circular = _in_order(good)
    return [
        *(SqlFile(model.schema, model.name, model) for model in ordered),
        *(SqlFile(one.schema, one.name, one, _circle(one, circular)) for one in circular),
        *(one for one in found if one.model is None),
    ]


def _own_files(own: Path, taken: Collection[str]) -> Iterator[SqlFile]:
    """The files of one's own; `taken` are the names of the models that come with dify-etl."""
    folders = [*((own / schema, schema) for schema in FOLDERS), (own, "marts")]
    seen: set[str] = set()
    for folder, schema in folders:
        for path in sorted(folder.glob("*.sql")):
            qualified = f"{schema}.{path.stem}"
            if not _NAME.fullmatch(path.stem):
                what = f"{path.name!r} is no name of a table"
                hint = "Rename it: small letters, digits and _, a letter first."
            elif qualified in taken:
                what = f"{qualified} is a model of dify-etl, which stays"
                hint = "Give the file another name; nothing of dify-etl is replaced."
            elif qualified in seen:
                what = f"two files are {qualified}"
                hint = f"Delete or rename one of {path} and {own / schema / path.name}."
            else:
                seen.add(qualified)
                yield _read(path, schema, is_own=True)
                continue
            yield _left_out(path, own, schema, what, hint)


def _left_out(path: Path, own: Path, schema: str, what: str, hint: str) -> SqlFile:
    """A file that is no model, under a name that no other has: where it lies is in it."""
    place = path.relative_to(own).with_suffix("").as_posix()
    letters = re.sub(r"[^a-z0-9_]", "_", place.lower())[:40]  # those of others may be the same
    name = f"{LEFT_OUT}{letters}_{hashlib.sha256(place.encode()).hexdigest()[:6]}"
    error = ModelBroken(f"{path} is left out: {what}", where=str(path), hint=hint)
    return SqlFile(schema, name, None, error)


def _read(path: Path, schema: str, *, is_own: bool = False) -> SqlFile:
    try:
        return SqlFile(schema, path.stem, read_model(path, schema, is_own=is_own))
    except ModelBroken as error:
        return SqlFile(schema, path.stem, None, error)


def _in_order(models: Iterable[Model]) -> tuple[list[Model], list[Model]]:
    """The models, each after those that it reads; and those that wait for one another."""
    left = {model.qualified: model for model in models}
    sorter = TopologicalSorter({name: left.keys() & model.reads for name, model in left.items()})
    with suppress(CycleError):
        sorter.prepare()  # what is in no circle, and waits for none, is given out all the same
    ordered = []
    while ready := sorter.get_ready():
        ordered += [left.pop(name) for name in sorted(ready)]
        sorter.done(*ready)
    return ordered, list(left.values())


def _circle(model: Model, circular: Sequence[Model]) -> ModelBroken:
    names = {one.qualified for one in circular}
    return ModelBroken(
        f"the models need each other: it reads {', '.join(sorted(names & set(model.reads)))}",
        where=model.where,
        hint="Let one of them read a staging view or a raw table instead.",
    )
