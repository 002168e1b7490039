"""Build models one by one: one that fails keeps its last table, and the books say so."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import duckdb

from dify_etl.warehouse.database import Database, utc_now
from dify_etl.warehouse.errors import ModelBroken
from dify_etl.warehouse.ledger import MODELS
from dify_etl.warehouse.models import FOLDERS, Model, build, read_model, sql_folder
from dify_etl.warehouse.tables import frame
from dify_etl.warehouse.upsert import upsert


@dataclass(frozen=True)
class SqlFile:
    """A file under sql/: its model, or what is wrong with it."""

    path: Path
    model: Model | None
    error: ModelBroken | None = None

    @property
    def qualified(self) -> str:
        """schema.name."""
        return f"{self.path.parent.name}.{self.path.stem}"


def sql_files(folder: Path | None = None) -> list[SqlFile]:
    """All files under `folder` (the project's sql/), each after those that it reads; broken ones,
    and those that need each other, at the end.
    """
    root = folder or sql_folder()
    found = [_read(path) for schema in FOLDERS for path in sorted((root / schema).glob("*.sql"))]
    good = [one.model for one in found if one.model is not None]
    ordered, circular = _in_order(good)
    return [
        *(SqlFile(model.path, model) for model in ordered),
        *(SqlFile(model.path, model, _circle(model, circular)) for model in circular),
        *(one for one in found if one.model is None),
    ]


class BrokenModel(NamedTuple):
    """A model whose last build failed: its table is that of `built_at`; None: there is none."""

    model: str  # schema.name
    reason: str
    hint: str
    failed_since: datetime
    built_at: datetime | None

    @property
    def where(self) -> str:
        """The SQL file."""
        return f"sql/{self.model.replace('.', '/')}.sql"


def build_all(
    database: Database, files: Iterable[SqlFile], *, run_id: str
) -> Iterator[tuple[SqlFile, ModelBroken | None]]:
    """Build file after file, note each in ops.models, and answer it with what is wrong with it.

    WarehouseUnwritable ends it.
    """
    for one in files:
        error = one.error
        if error is None and one.model is not None:
            error = build_or_keep(database, one.model)
        note_build(database, one.qualified, error, run_id=run_id)
        yield one, error


def build_or_keep(database: Database, model: Model) -> ModelBroken | None:
    """Make a view or table anew; or leave it as it was, and answer why.

    WarehouseUnwritable: then no other can be built either.
    """
    try:
        with database.transaction():
            build(database, model)
    except ModelBroken as error:
        return error
    except duckdb.Error as error:  # such as a query that takes more memory than there is
        return ModelBroken(
            str(error).splitlines()[0],
            where=f"sql/{model.schema}/{model.path.name}",
            hint="The table of its last build stays; look at the query and its data.",
        )
    return None


def note_build(
    database: Database, qualified: str, error: ModelBroken | None, *, run_id: str
) -> None:
    """Write into ops.models how a build ended."""
    now = utc_now()
    row: dict[str, object] = {"model": qualified, "run_id": run_id, "reason": None, "hint": None}
    if error is None:
        row |= {"state": "built", "built_at": now, "failed_since": None}
    else:
        held = database.value("SELECT failed_since FROM ops.models WHERE model = ?", [qualified])
        row |= {"state": "failed", "reason": error.what, "hint": error.hint}
        row["failed_since"] = held or now
    with database.transaction():
        upsert(database, MODELS, frame(MODELS, [row], [*row]), now=now)


def forget_models(database: Database, known: Sequence[str]) -> None:
    """Models whose file is gone are waited for no more; their last tables stay."""
    database.execute("DELETE FROM ops.models WHERE NOT list_contains(?, model)", [list(known)])


def broken_models(database: Database) -> list[BrokenModel]:
    """The models whose last build failed."""
    rows = database.rows(
        "SELECT model, reason, hint, failed_since, built_at FROM ops.models "
        "WHERE state = 'failed' ORDER BY model"
    )
    return [BrokenModel(*row) for row in rows]


def _read(path: Path) -> SqlFile:
    try:
        return SqlFile(path, read_model(path))
    except ModelBroken as error:
        return SqlFile(path, None, error)


def _in_order(models: Iterable[Model]) -> tuple[list[Model], list[Model]]:
    """The models, each after those that it reads; and those that wait for one another."""
    left, ordered = list(models), []
    while left:
        names = {model.qualified for model in left}
        ready = [model for model in left if not names & set(model.reads)]
        if not ready:
            break
        ordered += ready
        left = [model for model in left if model not in ready]
    return ordered, left


def _circle(model: Model, circular: Sequence[Model]) -> ModelBroken:
    names = {one.qualified for one in circular}
    return ModelBroken(
        f"the models need each other: it reads {', '.join(sorted(names & set(model.reads)))}",
        where=f"sql/{model.schema}/{model.path.name}",
        hint="Let one of them read a staging view or a raw table instead.",
    )
