"""`--simulated` on every command: nobody gets the simulated Dify without a word."""

import functools
import inspect
import os
from collections.abc import Callable
from typing import Annotated, Any

import typer

SIMULATED_VARIABLE = "DIFY_ETL_SIMULATED"
_NAME = "simulated"
_Simulated = Annotated[
    bool, typer.Option(f"--{_NAME}", help="Use the simulated Dify, whatever server is set.")
]


class Commands(typer.Typer):
    """A group whose commands all take --simulated: as if DIFY_ETL_SIMULATED=true were set."""

    def command(  # type: ignore[override]  # of Typer's options only `name` is spelled out
        self, name: str | None = None, *, takes_simulated: bool = True, **options: Any
    ) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """As Typer's; without the option where `takes_simulated` is false."""
        register = super().command(name, **options)

        def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
            register(_with_option(function) if takes_simulated else function)
            return function

        return decorate


def _with_option(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def command(*arguments: Any, simulated: bool, **options: Any) -> Any:
        if simulated:
            os.environ[SIMULATED_VARIABLE] = "true"  # what the command starts reads it too
        return function(*arguments, **options)

    signature = inspect.signature(function)
    option = inspect.Parameter(
        _NAME, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=_Simulated
    )
    # Typer reads both.
    command.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[*signature.parameters.values(), option]
    )
    command.__annotations__ = {**function.__annotations__, _NAME: _Simulated}
    return command
