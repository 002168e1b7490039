"""Models of a folder that has to be without fault, and their builds."""

from collections.abc import Iterable
from pathlib import Path

from dify_etl.warehouse.database import Database
from dify_etl.warehouse.models import Catalog, Model, build
from dify_etl.warehouse.sql_files import sql_files


def load_models(folder: Path | None = None) -> tuple[Model, ...]:
    """All models, each after those that it reads. ModelBroken is raised for the first broken."""
    files = sql_files(folder)
    for one in files:
        if one.error is not None:
            raise one.error
    return tuple(one.model for one in files if one.model is not None)


def build_models(database: Database, models: Iterable[Model]) -> None:
    """Build these models in this order."""
    catalog = Catalog(database)
    for model in models:
        build(database, model, catalog)
