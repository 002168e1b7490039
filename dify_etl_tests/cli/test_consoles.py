"""Texts of strangers on a terminal and in Dagster's metadata are shown and never obeyed."""

from io import StringIO

import pytest
from rich.table import Table
from rich.traceback import Traceback

from dify_etl.cli.consoles import HarmlessConsole
from dify_etl.defs.markdown import fenced, plain, table

EVIL = "a\x1b[2Jb\x1b]8;;http://evil\x07c\x9b31m\r\u202egnp"


def printed(what: object, *, markup: bool = True) -> str:
    """What such a console sends."""
    sent = StringIO()
    console = HarmlessConsole(file=sent, width=200, force_terminal=True, color_system=None)
    console.print(what, markup=markup)
    return sent.getvalue()


@pytest.mark.parametrize("markup", [True, False])
def test_no_control_code_of_a_text_is_sent(markup: bool) -> None:
    """Escape codes are written out; line breaks and other scripts stay."""
    cell = Table("app")
    cell.add_row(EVIL)
    for sent in (printed(EVIL, markup=markup), printed(cell, markup=markup)):
        assert not set(sent) & set("\x1b\x07\x9b\r\u202e")
        assert "a\\x1b[2Jb" in sent
    assert "\\x1b[2J" in printed(Traceback.from_exception(ValueError, ValueError(EVIL), None))
    assert printed("客服\n✍️ ok") == "客服\n✍️ ok\n"


def test_markdown_of_a_text_is_plain() -> None:
    """No link, image, HTML or cell of a stranger's."""
    told = plain("![x](http://evil/p.png) <img src=x> a|b\n# c `d` www.evil")
    assert told == (r"\!\[x\](http\://evil/p.png) \<img src=x\> a\|b \# c \`d\` www\.evil")
    assert table(("app",), [("a|b",)]) == "| app |\n|---|\n| a\\|b |"


def test_fence_holds_every_text() -> None:
    """A text with a fence of its own does not end ours."""
    told = str(fenced("diff", "+ name: ```` [x](http://evil)").value)
    assert told.startswith("`````diff\n")
    assert told.endswith("\n`````")
