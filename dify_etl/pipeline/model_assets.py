"""Model assets: every SQL file under sql/ is one, made from the file alone."""

import dagster as dg

from dify_etl.pipeline.resources import DifyHome, clear_failures
from dify_etl.warehouse.models import Model, build, load_models


def model_key(qualified: str) -> dg.AssetKey:
    """The asset of a table or view: schema/name."""
    return dg.AssetKey(qualified.split("."))


def model_assets() -> list[dg.AssetsDefinition]:
    """One asset per SQL file. ModelBroken when a file is wrong."""
    return [_asset_of(model) for model in load_models()]


def _asset_of(model: Model) -> dg.AssetsDefinition:
    @dg.asset(
        key=model_key(model.qualified),
        # The books are written by every feed: they are no asset of their own.
        deps=[model_key(one) for one in model.reads if not one.startswith("ops.")],
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
