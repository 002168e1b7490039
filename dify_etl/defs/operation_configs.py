"""What an operator fills in at Dagster's launchpad, made of what each operation is asked for."""

from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import Field, create_model
from pydantic.fields import FieldInfo

from dify_etl.operations.request import OperationSpec, sentence

# Dagster's config knows no paths.
_KINDS: dict[Any, Any] = {Path: str, Path | None: str | None}


def config_schema(spec: OperationSpec) -> Any:  # Dagster's types do not know their own product
    """The schema of an operation's config: the fields of its job, which the request judges.

    Bounds stand in the sentences; a config that breaks one starts a run, which fails with the
    words of the command line.
    """
    fields: dict[str, Any] = {
        name: (_KINDS.get(field.annotation, field.annotation), _described(field))
        for name, field in spec.fields("job").items()
    }
    config = create_model(f"{spec.request.__name__}Config", __base__=dg.Config, **fields)
    return config.to_config_schema()


def _described(field: FieldInfo) -> Any:
    if field.is_required():
        return Field(description=sentence(field))
    return Field(default=field.get_default(), description=sentence(field))
