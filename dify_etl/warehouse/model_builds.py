"""Build models one by one: one that fails keeps its last table, and the books say so."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import duckdb

from dify_etl.warehouse.database import Database, utc_now
from dify_etl.warehouse.errors import ModelBroken
from dify_etl.warehouse.ledger import MODELS
from dify_etl.warehouse.models import Model, build
from dify_etl.warehouse.tables import frame
from dify_etl.warehouse.upsert import upsert


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
