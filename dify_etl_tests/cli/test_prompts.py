"""Ctrl-C and Ctrl-D at a question end the command at once, also after Polars was imported."""

import io
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dify_etl.cli import prompts
from dify_etl_tests.cli.command_line import ServedDify, Shell
from dify_etl_tests.cli.terminals import CTRL_C, ENTER, at_a_terminal

ASKING = re.compile(r"typer\.(?:prompt|confirm)\(|getpass\.getpass\(|(?<![\w.])input\(|stdin\.read")


def test_ctrl_c_ends_init_at_the_password(dify: ServedDify, tmp_path: Path) -> None:
    """By then Dify's address was tried, with all that this imports."""
    dialogue = [
        ("Address of your Dify", dify.base_url + ENTER),
        ("E-mail", dify.world.account.email + ENTER),
        ("Password", CTRL_C),
    ]
    done = at_a_terminal(Shell(tmp_path), "init", dialogue=dialogue)
    assert done.code == 130, done.out
    assert "Stopped" in done.out
    assert not (tmp_path / ".env").exists()


@pytest.mark.parametrize("ask", [prompts.asked, prompts.confirmed])
def test_end_of_input_is_as_ctrl_c(
    ask: Callable[[str], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not an error of which nobody knows what it means."""
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    with pytest.raises(KeyboardInterrupt):
        ask("Question")


def test_questions_are_asked_in_one_place() -> None:
    """Anywhere else nothing would see to Ctrl-C."""
    root = Path(prompts.__file__).parents[1]
    asking = [one for one in root.rglob("*.py") if ASKING.search(one.read_text(encoding="utf-8"))]
    assert asking == [Path(prompts.__file__)]
