"""The commands of operations on Dify, made of what each operation is asked for."""

import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer
from pydantic.fields import FieldInfo

from dify_etl.cli.clear_errors import Debug, clear_errors
from dify_etl.cli.operating import operate
from dify_etl.cli.shared_options import Commands
from dify_etl.operations.request import (
    Agreement,
    Argument,
    OperationSpec,
    mark,
    option_of,
    sentence,
)
from dify_etl.operations.table import OPERATIONS

Run = Callable[[Any, Agreement], int]  # answers the exit code


def add_operations(group: Commands, name: str, **readings: Run) -> None:
    """Add the commands of all operations `name …`. What only looks is run by its function among
    the `readings`, by the command's name; everything else by its plan.
    """
    for spec in OPERATIONS:
        of, _, command = spec.command.partition(" ")
        if of == name:
            run = operate if spec.changes_dify else readings[command]
            group.command(command)(command_of(spec, run))


def command_of(spec: OperationSpec, run: Run) -> Callable[..., None]:
    """A function with the signature that Typer makes options and arguments of."""

    def command(*, debug: bool, **values: Any) -> None:
        with clear_errors(debug=debug):
            raise typer.Exit(run(*spec.asked(values)))

    parameters = [_parameter(name, field) for name, field in spec.fields("command").items()]
    parameters.append(_keyword("debug", Debug, default=False))
    command.__doc__ = spec.description
    # Typer reads both.
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {one.name: one.annotation for one in parameters}
    return command


def _parameter(name: str, field: FieldInfo) -> inspect.Parameter:
    """Bounds stand in the sentence and are kept by the request, in Dagster's words too."""
    argument, option = mark(field, Argument), option_of(name, field)
    kind: Any = field.annotation
    told, default = sentence(field), field.get_default()
    if field.is_required():
        default = inspect.Parameter.empty
    elif kind == list[str]:
        kind, default = list[str] | None, None
    if argument:
        return _keyword(
            name,
            Annotated[kind, typer.Argument(metavar=argument.metavar, help=told)],
            default=default,
        )
    if field.annotation == list[str]:
        told = f"{told.rstrip('.')}; repeat for more."
    option_info = typer.Option(option.flags, metavar=option.metavar, help=told)
    return _keyword(name, Annotated[kind, option_info], default=default)


def _keyword(name: str, annotation: Any, *, default: Any) -> inspect.Parameter:
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation
    )
