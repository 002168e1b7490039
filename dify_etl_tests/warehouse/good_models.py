"""Models of a folder that has to be without fault."""

from pathlib import Path

from dify_etl.warehouse.model_builds import sql_files
from dify_etl.warehouse.models import Model


def load_models(folder: Path | None = None) -> tuple[Model, ...]:
    """All models, each after those that it reads. ModelBroken is raised for the first broken."""
    files = sql_files(folder)
    for one in files:
        if one.error is not None:
            raise one.error
    return tuple(one.model for one in files if one.model is not None)
