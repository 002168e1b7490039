"""Model assets: every SQL file under sql/ is one, made from the file alone.

A file that cannot be read is an asset too, one that fails by itself: the raw assets still load,
and the published copy stays as it was.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import dagster as dg

from dify_etl.pipeline.asset_keys import model_key, source_key
from dify_etl.pipeline.resources import DifyHome, clear_failures
from dify_etl.warehouse.errors import ModelBroken
from dify_etl.warehouse.models import FOLDERS, Model, build, read_model, sql_folder


def model_assets(folder: Path | None = None) -> list[dg.AssetsDefinition]:
    """One asset per SQL file under `folder`, the project's sql/ when none is given."""
    root = folder or sql_folder()
    models: list[Model] = []
    broken: list[dg.AssetsDefinition] = []
    for path in (path for schema in FOLDERS for path in sorted((root / schema).glob("*.sql"))):
        try:
            models.append(read_model(path))
        except ModelBroken as error:
            broken.append(_failing_asset(path, error))
    circular = _circular(models)
    broken += [_failing_asset(model.path, _circle(model, circular)) for model in circular]
    return [_asset_of(model) for model in models if model not in circular] + broken


def _circular(models: Iterable[Model]) -> Sequence[Model]:
    """The models that wait for one another, and those that wait for them."""
    left = list(models)
    while left:
        names = {model.qualified for model in left}
        waiting = [model for model in left if names & set(model.reads)]
        if len(waiting) == len(left):
            return left
        left = waiting
    return ()


def _circle(model: Model, circular: Sequence[Model]) -> ModelBroken:
    names = {one.qualified for one in circular}
    return ModelBroken(
        f"the models need each other: it reads {', '.join(sorted(names & set(model.reads)))}",
        where=f"sql/{model.schema}/{model.path.name}",
        hint="Let one of them read a staging view or a raw table instead.",
    )


def _failing_asset(path: Path, error: ModelBroken) -> dg.AssetsDefinition:
    @dg.asset(
        key=dg.AssetKey([path.parent.name, path.stem]),
        description=f"This file is broken. {error}",
        group_name=path.parent.name,
        kinds={"sql", "duckdb"},
    )
    def build_model() -> dg.MaterializeResult[None]:
        with clear_failures():
            raise error

    return build_model


def _asset_of(model: Model) -> dg.AssetsDefinition:
    @dg.asset(
        key=model_key(model.qualified),
        # The books are written by every feed: they are no asset of their own.
        deps=[source_key(one) for one in model.reads if not one.startswith("ops.")],
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
    def build_model(dify_home: DifyHome) -> dg.MaterializeResult[None]:
        with clear_failures(), dify_home.opened.database() as database:
            with database.transaction():
                build(database, model)
            rows = database.value(f"SELECT count(*) FROM {model.qualified}")
        return dg.MaterializeResult(metadata={"dagster/row_count": rows})

    return build_model
