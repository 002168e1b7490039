"""Model assets: every SQL file of a model is one, made from the file alone; one step builds all.

They are built one by one. A model that fails is told no materialisation and fails its check; its
table stays that of its last build, the others are built, and what is good is published.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

import dagster as dg

from dify_etl.assembly.ops_copies import OPS_TABLES, fill_ops_tables
from dify_etl.defs.check_help import with_help
from dify_etl.defs.figure_checks import (
    NO_FIGURE_DIFFERS,
    figure_check_spec,
    figures_judged,
)
from dify_etl.defs.groups import PUBLICATION, group_of_schema
from dify_etl.defs.location import ALONE, Location
from dify_etl.defs.markdown import plain
from dify_etl.defs.resources import DifyHome, clear_failures
from dify_etl.raw.tables import RAW_TABLES
from dify_etl.sync.differing_figures import RECONCILIATION
from dify_etl.warehouse.column_lineage import column_lineage
from dify_etl.warehouse.database import Database
from dify_etl.warehouse.errors import ModelBroken
from dify_etl.warehouse.model_builds import build_all, forget_models
from dify_etl.warehouse.models import Model, column_sentences
from dify_etl.warehouse.sql_files import SqlFile, sql_files

IS_BUILT = "is_built"
BUILD_MODELS = "build_models"

BuildEvent = dg.MaterializeResult[None] | dg.AssetCheckResult


def model_assets(
    folder: Path | None = None, *, own: Path | None = None, at: Location = ALONE
) -> dg.AssetsDefinition:
    """One step with an asset per SQL file of both folders, and `models_tried`."""
    files = sql_files(folder, own=own)
    models = [one.model for one in files if one.model is not None and not one.error]
    # Of no use before models are built, and it takes a third of the loading of a code location.
    lineage = cache(lambda: _lineage(models, at))

    @dg.multi_asset(
        name=BUILD_MODELS,
        pool=at.pool,
        specs=[*(_spec(one, at) for one in files), _tried_spec(files, at)],
        check_specs=[
            *(
                dg.AssetCheckSpec(
                    IS_BUILT,
                    asset=at.model(one.qualified),
                    description=with_help(
                        IS_BUILT, "Its last build was good. When not, its table is an older one."
                    ),
                )
                for one in files
            ),
            *(figure_check_spec(at) for one in files if one.qualified == RECONCILIATION),
        ],
        can_subset=True,
    )
    def build_models(
        context: dg.AssetExecutionContext, dify_home: DifyHome
    ) -> Iterator[BuildEvent]:
        chosen = {
            one.qualified for one in files if at.model(one.qualified) in context.selected_asset_keys
        }
        broken: list[ModelBroken] = []
        with clear_failures(), dify_home.opened.database() as database:
            fill_ops_tables(database, dify_home.opened.path)
            for one, error in build_all(
                database, files, run_id=dify_home.opened.run_id, chosen=chosen
            ):
                broken += [error] if error else []
                yield from _build_events(
                    context, database, one, error, lineage().get(one.qualified, {}), at
                )
            forget_models(database, [one.qualified for one in files])
            if at.models_tried in context.selected_asset_keys:
                yield dg.MaterializeResult(
                    asset_key=at.models_tried,
                    metadata={"built": len(chosen) - len(broken), "failed": len(broken)},
                )
            elif broken:
                raise broken[0]  # nobody behind this step judges the run

    return build_models


def _lineage(
    models: Sequence[Model], at: Location
) -> dict[str, dict[str, list[dg.TableColumnDep]]]:
    """Per model its columns, with the columns of other assets that they are made of."""
    tables = {raw.table.qualified: raw.table.all_columns for raw in RAW_TABLES.values()}
    tables |= {table.qualified: table.all_columns for table in OPS_TABLES}
    names = {table: [one.name for one in columns] for table, columns in tables.items()}
    return {
        model: {
            column: [
                dg.TableColumnDep(asset_key=at.model(one.table), column_name=one.column)
                for one in sorted(sources)
                if not one.table.startswith("ops.")
            ]
            for column, sources in columns.items()
        }
        for model, columns in column_lineage(models, names).items()
    }


def _build_events(
    context: dg.AssetExecutionContext,
    database: Database,
    file: SqlFile,
    error: ModelBroken | None,
    lineage: Mapping[str, list[dg.TableColumnDep]],
    at: Location,
) -> Iterator[BuildEvent]:
    key = at.model(file.qualified)
    if error is None:
        rows = database.value(f"SELECT count(*) FROM {file.qualified}")
        told: dict[str, dg.RawMetadataValue] = {
            "dagster/row_count": rows,
            "dagster/column_schema": _schema(database, file),
            "dagster/column_lineage": dg.TableColumnLineage(lineage),
        }
        yield dg.MaterializeResult(asset_key=key, metadata=told)
    else:
        context.log.error(str(error))
    if dg.AssetCheckKey(key, IS_BUILT) in context.selected_asset_check_keys:
        found = {"error": dg.MetadataValue.md(plain(str(error)))} if error else {}
        yield dg.AssetCheckResult(
            passed=error is None, asset_key=key, check_name=IS_BUILT, metadata=found
        )
    if dg.AssetCheckKey(key, NO_FIGURE_DIFFERS) in context.selected_asset_check_keys:
        yield figures_judged(database, at)


def _schema(database: Database, file: SqlFile) -> dg.TableSchema:
    """The columns as they were built, with the types that DuckDB found for them."""
    columns = database.rows(
        """SELECT column_name, data_type, comment FROM duckdb_columns()
        WHERE database_name = 'live' AND schema_name || '.' || table_name = ?
        ORDER BY column_index""",
        [file.qualified],
    )
    return dg.TableSchema(
        [dg.TableColumn(name, kind, description=comment) for name, kind, comment in columns]
    )


def _spec(file: SqlFile, at: Location) -> dg.AssetSpec:
    model = file.model
    if model is None or file.error is not None:
        return dg.AssetSpec(
            at.model(file.qualified),
            skippable=True,
            description=f"This file is broken. {file.error}",
            group_name=group_of_schema(file.schema),
            kinds={"sql", "duckdb"},
        )
    return dg.AssetSpec(
        at.model(file.qualified),
        # The ledger is written by every feed: it is no asset of its own.
        deps=[at.source(one) for one in model.reads if not one.startswith("ops.")],
        skippable=True,
        description=f"{model.grain}\n\n```sql\n{model.query}\n```",
        group_name=group_of_schema(model.schema),
        kinds={"sql", "duckdb"},
        metadata={
            "dagster/table_name": model.qualified,
            "dagster/column_schema": dg.TableSchema(
                [dg.TableColumn(name, description=text) for name, text in _sentences(model)]
            ),
        },
    )


def _sentences(model: Model) -> Iterable[tuple[str, str]]:
    """Columns and their sentences, as the view will have them in a file of this version."""
    raw = RAW_TABLES.get((model.described_by or "").removeprefix("raw."))
    columns = raw.table.all_columns if raw else ()
    return column_sentences(model, {one.name: one.description for one in columns}).items()


def _tried_spec(files: Sequence[SqlFile], at: Location) -> dg.AssetSpec:
    return dg.AssetSpec(
        at.models_tried,
        deps=[at.model(one.qualified) for one in files],
        skippable=True,
        description="Every model was built or left as it was; ops.models says which. "
        "The published copy hangs on it.",
        group_name=PUBLICATION,
        kinds={"sql", "duckdb"},
    )
