"""The envelopes of lists, and the bounds of page and limit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from dify_simulated.server.parameters import Whole
from dify_simulated.world.rows import JsonObject

T = TypeVar("T")

PAGE = Whole("page", 1, low=1, high=99_999)
LIMIT = Whole("limit", 20, low=1, high=100)

# What the database layer gives at most per page, whatever the limit says.
DATABASE_CAP = 100


def page_answer(data: Sequence[object], *, page: int, limit: int, total: int) -> JsonObject:
    """A page with the exact `has_more`."""
    return {
        "page": page,
        "limit": limit,
        "total": total,
        "has_more": total > page * limit,
        "data": list(data),
    }


def length_tested_page(
    rows: Sequence[T], *, page: int, limit: int, show: Callable[[T], object] = lambda row: row
) -> JsonObject:
    """A page of datasets, documents or annotations: `has_more` is "as many rows as the limit".

    It is True when the total is a multiple of the limit, and False for a limit above 100 although
    rows are missing: the database layer gives 100 at most. A limit of 0 gives 20 rows. `show` makes
    the JSON of a row of the page.
    """
    size = min(limit, DATABASE_CAP) if limit > 0 else 20
    first = (max(page, 1) - 1) * size
    data = [show(row) for row in rows[first : first + size]]
    return {
        "data": data,
        "has_more": len(data) == limit,
        "limit": limit,
        "total": len(rows),
        "page": page,
    }
