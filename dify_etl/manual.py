"""The manual: the pages of docs/, which are installed with the program, and sections of them.

A section is found by its anchor, as GitHub makes one of a heading, or by a name in its heading:
those of troubleshooting.md are the names of errors and checks.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from dify_etl.project_files import project_file

TROUBLESHOOTING, INDEX = "troubleshooting", "README"
_FENCE = "```"


class Section(NamedTuple):
    """A heading of a page, with what stands below it and below smaller headings."""

    heading: str
    depth: int
    text: str

    @property
    def anchor(self) -> str:
        """What stands behind the # in a link to it."""
        return re.sub(r"[^\w -]", "", self.heading).lower().replace(" ", "-")

    @property
    def names(self) -> list[str]:
        """What the heading names, as `SessionLost` or `is_whole`."""
        return [name.strip(" `") for name in self.heading.split(",")]


def pages() -> dict[str, str]:
    """Page -> its Markdown: those of docs/ by their names, but its index; README and SECURITY."""
    files = [one for one in sorted(project_file("docs").glob("*.md")) if one.stem != INDEX]
    files += [project_file(f"{name}.md") for name in ("README", "README.zh-CN", "SECURITY")]
    return {file.stem: file.read_text(encoding="utf-8") for file in files}


def sections(text: str) -> Iterator[Section]:
    """The sections of a page, in its order; a smaller one stands in its larger one as well."""
    lines = text.splitlines()
    starts = list(_headings(lines))
    for place, (line, depth) in enumerate(starts):
        ends = (other for other, below in starts[place + 1 :] if below <= depth)
        body = lines[line : next(ends, len(lines))]
        yield Section(lines[line].lstrip("#").strip(), depth, "\n".join(body).rstrip() + "\n")


def _headings(lines: list[str]) -> Iterator[tuple[int, int]]:
    """Line and depth of each heading; what stands in a block of code is none."""
    is_code = False
    for number, line in enumerate(lines):
        is_code ^= line.startswith(_FENCE)
        if not is_code and (found := re.match(r"(#+) ", line)):
            yield number, len(found[1])


def text_of(name: str) -> str | None:
    """The Markdown of `page`, `page#anchor`, or of the section on an error or a check; None: there
    is none. A page may be written as documents do, `docs/page.md`.
    """
    page, _, anchor = name.partition("#")
    page = page.removeprefix("docs/").removesuffix(".md")
    known = {one.lower(): text for one, text in pages().items()}
    text = known.get(page.lower())
    if text is not None:
        return _section(text, anchor) if anchor else text
    return _section(known[TROUBLESHOOTING], name)


def _section(text: str, name: str) -> str | None:
    wanted = name.lower()
    found = (
        one.text
        for one in sections(text)
        if wanted in (one.anchor, *(each.lower() for each in one.names))
    )
    return next(found, None)


def known_names() -> set[str]:
    """All pages, and the errors and checks that have a section."""
    held = pages()
    return {*held, *(name for one in sections(held[TROUBLESHOOTING]) for name in one.names)}
