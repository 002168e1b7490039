"""The queries of docs/cookbook.md, in their order."""

import re
from pathlib import Path
from typing import NamedTuple

COOKBOOK = Path(__file__).parents[2] / "docs" / "cookbook.md"


class Query(NamedTuple):
    """One query, under the heading that asks for it."""

    heading: str
    sql: str


def _queries() -> list[Query]:
    text = COOKBOOK.read_text(encoding="utf-8")
    sections = [section.split("\n", 1) for section in text.split("\n## ")[1:]]
    return [
        Query(heading, sql)
        for heading, body in sections
        for sql in re.findall(r"```sql\n(.*?)```", body, re.DOTALL)
    ]


QUERIES = _queries()
# The first are asked of two chats (test_cookbook), the others of a busy workspace.
OF_TWO_CHATS, OF_A_BUSY_WORKSPACE = QUERIES[:7], QUERIES[7:]
