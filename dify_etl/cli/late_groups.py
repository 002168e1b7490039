"""Groups of commands that are imported when somebody asks for one of them, so that --help of the
others answers at once: operations bring the client with them.
"""

from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_group

from dify_etl.cli.clear_errors import clear_interrupt


def late_group(noun: str, *, help: str) -> typer.Typer:  # Typer's word
    """The commands for apps, members or another noun, of the module that is named by it."""

    class LateGroup(TyperGroup):
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            del self.commands  # so that the first look goes through __getattr__

        def __getattr__(self, attribute: str) -> Any:
            if attribute != "commands":
                raise AttributeError(attribute)
            with clear_interrupt():
                module = import_module(f"dify_etl.cli.{noun.removesuffix('s')}_commands")
            self.commands = get_group(getattr(module, noun)).commands
            return self.commands

    return typer.Typer(name=noun, cls=LateGroup, help=help, no_args_is_help=True)
