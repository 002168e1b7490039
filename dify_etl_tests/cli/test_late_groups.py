"""Ctrl-C while the commands of a noun are imported ends as everywhere else."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

import pytest

from dify_etl.cli.main import app


class StoppedImport(MetaPathFinder):
    """Ctrl-C is pressed when this module is looked for."""

    def __init__(self, module: str) -> None:
        self.module = module

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find nothing, or be stopped."""
        if fullname == self.module:
            raise KeyboardInterrupt
        return None


@contextmanager
def stopped_import(module: str) -> Iterator[None]:
    """A module that is imported anew, and never comes to its end."""
    held, finder = sys.modules.pop(module, None), StoppedImport(module)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        if held is not None:
            sys.modules[module] = held


@pytest.mark.parametrize("noun", ["apps", "members", "indexing"])
def test_ctrl_c_while_commands_are_imported(noun: str, capsys: pytest.CaptureFixture[str]) -> None:
    """It is told in one line as anywhere else, and the exit code is that of an interrupt."""
    with (
        stopped_import(f"dify_etl.cli.{noun.removesuffix('s')}_commands"),
        pytest.raises(SystemExit) as ended,
    ):
        app([noun, "list"])
    assert ended.value.code == 130
    assert "Stopped." in capsys.readouterr().err
