"""Model assets: every SQL file under sql/ is one, made from the file alone; one step builds all.

They are built one by one. A model that fails is told no materialisation and fails its check; its
table stays that of its last build, the others are built, and what is good is published.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import dagster as dg

from dify_etl.defs.asset_keys import model_key, source_key
from dify_etl.defs.markdown import plain
from dify_etl.defs.resources import DifyHome, clear_failures
from dify_etl.warehouse.database import Database
from dify_etl.warehouse.errors import ModelBroken
from dify_etl.warehouse.model_builds import build_or_keep, forget_models, note_build
from dify_etl.warehouse.models import FOLDERS, Model, read_model, sql_folder

# Told whenever the step ends: what comes behind hangs on it, and not on models that may fail.
MODELS_TRIED = dg.AssetKey("models_tried")
IS_BUILT = "is_built"
BUILD_MODELS = "build_models"

Told = dg.MaterializeResult[None] | dg.AssetCheckResult


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


def model_assets(folder: Path | None = None) -> dg.AssetsDefinition:
    """One step with an asset per SQL file, and `models_tried`."""
    files = sql_files(folder)

    @dg.multi_asset(
        name=BUILD_MODELS,
        specs=[*(_spec(one) for one in files), _tried_spec(files)],
        check_specs=[
            dg.AssetCheckSpec(
                IS_BUILT,
                asset=model_key(one.qualified),
                description="Its last build was good. When not, its table is an older one.",
            )
            for one in files
        ],
        can_subset=True,
    )
    def build_models(context: dg.AssetExecutionContext, dify_home: DifyHome) -> Iterator[Told]:
        chosen = [one for one in files if model_key(one.qualified) in context.selected_asset_keys]
        broken: list[ModelBroken] = []
        with clear_failures(), dify_home.opened.database() as database:
            for one in chosen:
                error = one.error
                if error is None and one.model is not None:
                    error = build_or_keep(database, one.model)
                note_build(database, one.qualified, error, run_id=dify_home.opened.run_id)
                broken += [error] if error else []
                yield from _told(context, database, one, error)
            forget_models(database, [one.qualified for one in files])
            if MODELS_TRIED in context.selected_asset_keys:
                yield dg.MaterializeResult(
                    asset_key=MODELS_TRIED,
                    metadata={"built": len(chosen) - len(broken), "failed": len(broken)},
                )
            elif broken:
                raise broken[0]  # nobody behind this step judges the run

    return build_models


def _told(
    context: dg.AssetExecutionContext, database: Database, file: SqlFile, error: ModelBroken | None
) -> Iterator[Told]:
    key = model_key(file.qualified)
    if error is None:
        rows = database.value(f"SELECT count(*) FROM {file.qualified}")
        yield dg.MaterializeResult(asset_key=key, metadata={"dagster/row_count": rows})
    else:
        context.log.error(str(error))
    if dg.AssetCheckKey(key, IS_BUILT) in context.selected_asset_check_keys:
        told = {"error": dg.MetadataValue.md(plain(str(error)))} if error else {}
        yield dg.AssetCheckResult(
            passed=error is None, asset_key=key, check_name=IS_BUILT, metadata=told
        )


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


def _spec(file: SqlFile) -> dg.AssetSpec:
    model = file.model
    if model is None or file.error is not None:
        return dg.AssetSpec(
            model_key(file.qualified),
            skippable=True,
            description=f"This file is broken. {file.error}",
            group_name=file.path.parent.name,
            kinds={"sql", "duckdb"},
        )
    return dg.AssetSpec(
        model_key(file.qualified),
        # The books are written by every feed: they are no asset of their own.
        deps=[source_key(one) for one in model.reads if not one.startswith("ops.")],
        skippable=True,
        description=f"{model.grain}\n\n```sql\n{model.query}\n```",
        group_name=model.schema,
        kinds={"sql", "duckdb"},
        metadata={
            "dagster/table_name": model.qualified,
            "dagster/column_schema": dg.TableSchema(
                [dg.TableColumn(name, description=text) for name, text in model.columns.items()]
            ),
        },
    )


def _tried_spec(files: Sequence[SqlFile]) -> dg.AssetSpec:
    return dg.AssetSpec(
        MODELS_TRIED,
        deps=[model_key(one.qualified) for one in files],
        skippable=True,
        description="Every model was built or left as it was; ops.models says which. "
        "The published copy hangs on it.",
        group_name="publication",
        kinds={"sql", "duckdb"},
    )
