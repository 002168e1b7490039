"""What every command takes: `--simulated`, so that nobody gets the simulated Dify without a word,
and `--workspace`, so that nobody gets another workspace than the one that is meant.
"""

import functools
import inspect
import os
from collections.abc import Callable, Sequence
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from dify_etl.cli.clear_errors import FAILED, NOTHING_PUBLISHED, clear_errors
from dify_etl.cli.log_line import wants_json
from dify_etl.cli.standard_streams import goes_on_unheard

SIMULATED_VARIABLE = "DIFY_ETL_SIMULATED"
WORKSPACE_VARIABLE, WORKSPACES_VARIABLE = "DIFY_ETL_WORKSPACE", "DIFY_ETL_WORKSPACES"
WORKSPACES_FILE = Path("workspaces.toml")
_SIMULATED, _WORKSPACE, _CONTEXT = "simulated", "workspace", "shared_context"
_Simulated = Annotated[
    bool, typer.Option(f"--{_SIMULATED}", help="Use the simulated Dify, whatever server is set.")
]
_One = Annotated[
    str | None,
    typer.Option(f"--{_WORKSPACE}", metavar="NAME", help="The workspace of workspaces.toml."),
]
_Some = Annotated[
    list[str] | None,
    typer.Option(
        f"--{_WORKSPACE}",
        metavar="NAME",
        help="A workspace of workspaces.toml; repeat for more; without it: all.",
    ),
]


class Over(Enum):
    """Over which workspaces of a file a command goes that is not told any."""

    ONE = "one"  # it is refused where there are several
    SERVED = "served"  # it looks after all of them itself
    LOOKED_AT = "looked at"  # a process each
    READ = "read"  # a process each, which may write its own log


class Commands(typer.Typer):
    """A group whose commands all take --simulated and --workspace: as if DIFY_ETL_SIMULATED=true or
    DIFY_ETL_WORKSPACE were set.
    """

    def command(  # type: ignore[override]  # of Typer's options only `name` is spelled out
        self,
        name: str | None = None,
        *,
        takes_shared: bool = True,
        needs_output: bool = True,
        over: Over = Over.ONE,
        **options: Any,
    ) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """As Typer's; without both options where `takes_shared` is false. Without `needs_output`
        the command is worth its while also where nobody takes what it says.
        """
        register = super().command(name, **options)

        def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
            command = _with_options(function, over) if takes_shared else function
            register(command if needs_output else goes_on_unheard(command))
            return function

        return decorate


def _with_options(function: Callable[..., Any], over: Over) -> Callable[..., Any]:
    @functools.wraps(function)
    def command(
        *arguments: Any,
        shared_context: typer.Context,
        simulated: bool,
        workspace: str | list[str] | None,
        **options: Any,
    ) -> Any:
        if simulated:
            os.environ[SIMULATED_VARIABLE] = "true"  # what the command starts reads it too
        asked = [workspace] if isinstance(workspace, str) else list(workspace or ())
        if asked or _has_workspaces():
            _choose(asked, over, shared_context, options)
        return function(*arguments, **{name: _expanded(one) for name, one in options.items()})

    takes_some = over in (Over.LOOKED_AT, Over.READ)
    signature = inspect.signature(function)
    keyword, none = inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.empty
    added: dict[str, tuple[Any, Any]] = {
        _SIMULATED: (_Simulated, False),
        _WORKSPACE: (_Some if takes_some else _One, None),
        _CONTEXT: (typer.Context, none),
    }
    parameters = [
        inspect.Parameter(name, keyword, default=default, annotation=annotation)
        for name, (annotation, default) in added.items()
    ]
    # Typer reads both.
    command.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[*signature.parameters.values(), *parameters]
    )
    command.__annotations__ = {
        **function.__annotations__,
        **{name: annotation for name, (annotation, _) in added.items()},
    }
    return command


def _expanded(value: object) -> object:
    """A path as a shell would hand it over: bash leaves the `~` of `--to=~/talks.csv` alone."""
    return Path(os.path.expanduser(value)) if isinstance(value, Path) else value


def _has_workspaces() -> bool:
    """Whether a file of workspaces may be there. Nothing is imported to find out."""
    if os.environ.get(WORKSPACE_VARIABLE) or os.environ.get(WORKSPACES_VARIABLE):
        return True
    if WORKSPACES_FILE.exists():
        return True
    try:
        return WORKSPACE_VARIABLE.encode() in Path(".env").read_bytes()
    except OSError:
        return False


def _choose(
    asked: Sequence[str], over: Over, context: typer.Context, options: dict[str, Any]
) -> None:
    """Let the command work for the workspace that is meant; typer.Exit when it went over several
    of them, each in a process of its own.
    """
    is_json = bool(options.get("as_json"))
    as_lines = over is Over.READ and not is_json and wants_json()
    failed = NOTHING_PUBLISHED if over is Over.READ else FAILED
    with clear_errors(debug=bool(options.get("debug")), failed=failed, as_lines=as_lines):
        from dify_etl.cli.chosen_workspaces import chosen_workspaces

        names = chosen_workspaces(asked, may_be_several=over is not Over.ONE)
        if len(names) == 1:
            os.environ[WORKSPACE_VARIABLE] = names[0]
        elif names and over is not Over.SERVED:
            from dify_etl.cli.each_workspace import run_each

            has_log = over is Over.READ
            code = run_each(names, context, has_log=has_log, is_json=is_json, as_lines=as_lines)
            raise typer.Exit(code)
