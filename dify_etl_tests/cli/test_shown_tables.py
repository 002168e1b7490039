"""What lists look like on terminals of any width: no word is cut to pieces."""

import io

import pytest
from rich.console import Console

from dify_etl.cli.shown_tables import ShownTable

KEY_ID = "24ae1103-8528-4969-b343-8fe7ae6c84e7"
HEADINGS = ("app", "key id", "consumer", "days old", "last used")
ROW = ("产品手册 Manual", KEY_ID, "website", "12", "2026-11-30 20:12")


def lines_at(width: int, rows: int = 2, encoding: str = "utf-8") -> list[str]:
    """The lines of a list of keys on a terminal of this width and encoding."""
    table = ShownTable(title="2 keys", title_justify="left")
    for heading in HEADINGS:
        table.add_column(heading, overflow="fold", no_wrap=heading == "key id")
    for _ in range(rows):
        table.add_row(*ROW)
    terminal = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    console = Console(width=width, color_system=None, file=terminal)
    with console.capture() as captured:
        console.print(table)
    return [line.rstrip() for line in captured.get().splitlines()]


@pytest.mark.parametrize("width", [50, 60, 76, 80, 90, 100, 120, 160])
def test_no_heading_and_no_id_is_cut(width: int) -> None:
    """Whole in a table, or in lines of their own."""
    shown = lines_at(width)
    assert all(len(line) <= width for line in shown)
    text = "\n".join(shown)
    for word in (KEY_ID, *(word for heading in HEADINGS for word in heading.split())):
        assert word in text, (width, word)


def test_lines_where_a_table_has_no_room() -> None:
    """Heading and value of each row, numbered; a table from where it fits, framed where it may."""
    narrow = lines_at(60)
    assert narrow[:3] == ["2 keys", "── row 1", "app       产品手册 Manual"]
    assert narrow[7:9] == ["── row 2", "app       产品手册 Manual"]
    assert lines_at(30)[3:5] == ["key id    24ae1103-8528-4969-b", "          343-8fe7ae6c84e7"]
    plain, framed = "\n".join(lines_at(84)), "\n".join(lines_at(120))
    assert "── row 1" not in plain
    assert ("│" in plain, "│" in framed) == (False, True)
    assert "last used" in "\n".join(lines_at(60, rows=0))


@pytest.mark.parametrize("width", [60, 84, 120])
def test_lines_are_drawn_in_letters_that_the_terminal_has(width: int) -> None:
    """Of the rows' own letters those are written as escapes that it lacks."""
    drawn = "\n".join(lines_at(width, encoding="latin-1")).replace("产品手册", "")
    assert drawn.isascii(), drawn
