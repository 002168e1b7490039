"""Texts of strangers in Dagster's metadata: shown as they are, never as links, images or HTML."""

import re
from collections.abc import Sequence

import dagster as dg

from dify_etl.control_codes import harmless

# What begins a link, an image, HTML, code or a cell; and addresses, which become links unasked.
_MARKUP = re.compile(r"([\\`*\[\]<>#!|~&]|:(?=//)|(?<=www)\.)", re.IGNORECASE)
_BREAKS = re.compile("[\t-\r\x85\u2028\u2029]+")
_TICKS = re.compile(r"`{3,}")


def plain(text: str) -> str:
    """The text on one line, with every character escaped that Markdown gives a meaning."""
    return _MARKUP.sub(r"\\\1", harmless(_BREAKS.sub(" ", text)))


def table(headings: Sequence[str], rows: Sequence[Sequence[str]], more: str = "") -> str:
    """A table of plain texts, and a line of our own below it."""
    lines = [f"| {' | '.join(headings)} |", "|" + "---|" * len(headings)]
    lines += ["| " + " | ".join(plain(cell) for cell in row) + " |" for row in rows]
    return "\n".join([*lines, "", more] if more else lines)


def listed(lines: Sequence[str]) -> dg.MetadataValue:
    """Plain texts as a list."""
    return dg.MetadataValue.md("\n".join(f"- {plain(line)}" for line in lines))


def fenced(kind: str, text: str) -> dg.MetadataValue:
    """A text as a block of code, whatever it holds."""
    longest = max((len(ticks) for ticks in _TICKS.findall(text)), default=2)
    fence = "`" * (longest + 1)
    return dg.MetadataValue.md(f"{fence}{kind}\n{harmless(text)}\n{fence}")
