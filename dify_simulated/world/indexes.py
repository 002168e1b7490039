"""Ids in order of time, so that a window or a page of a list costs no scan of all rows."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator
from datetime import datetime
from hashlib import blake2b

Entry = tuple[datetime, str]

# Sorts before and after every id at the same instant.
_BEFORE_ALL = ""
_AFTER_ALL = "\U0010ffff"


class TimeIndex:
    """Pairs of instant and id, kept sorted; ties are sorted by id inside, not for readers."""

    __slots__ = ("entries",)

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[str]:
        return (row_id for _, row_id in self.entries)

    def add(self, at: datetime, row_id: str) -> None:
        """Put an id at its place."""
        insort(self.entries, (at, row_id))

    def remove(self, at: datetime, row_id: str) -> None:
        """Take an id away; the instant must be the one it was added with."""
        position = bisect_left(self.entries, (at, row_id))
        if self.entries[position : position + 1] != [(at, row_id)]:
            raise KeyError(f"{row_id} is not in the index at {at.isoformat()}")
        del self.entries[position]

    def between(
        self, start: datetime | None, end: datetime | None, *, end_inclusive: bool
    ) -> tuple[int, int]:
        """Positions `[low, high)` of the entries with start <= instant < end (or <= end)."""
        low = 0 if start is None else bisect_left(self.entries, (start, _BEFORE_ALL))
        if end is None:
            return low, len(self.entries)
        edge = _AFTER_ALL if end_inclusive else _BEFORE_ALL
        return low, max(low, bisect_right(self.entries, (end, edge)))


def tie_order(row_id: str, limit: int) -> bytes:
    """Where a row stands among rows of the same instant.

    Dify's lists have no tie-break, so PostgreSQL returns ties in an order that repeats for the same
    page size but may be another for another size. That is what this imitates.
    """
    return blake2b(f"{row_id}/{limit}".encode(), digest_size=8).digest()


def page_of(
    entries: list[Entry], *, low: int, high: int, offset: int, limit: int, descending: bool
) -> list[str]:
    """The ids of one page of `entries[low:high]`, ties in the order of `tie_order`."""
    count = high - low
    if offset >= count:
        return []
    stop = min(offset + limit, count)
    if descending:
        first, last = high - stop, high - offset
    else:
        first, last = low + offset, low + stop
    widened_first = max(low, bisect_left(entries, (entries[first][0], _BEFORE_ALL)))
    widened_last = min(high, bisect_right(entries, (entries[last - 1][0], _AFTER_ALL)))
    ordered = sorted_by_time(entries[widened_first:widened_last], limit, descending=descending)
    skipped = widened_last - last if descending else first - widened_first
    return ordered[skipped : skipped + (last - first)]


def sorted_by_time(entries: list[Entry], limit: int, *, descending: bool) -> list[str]:
    """The ids in order of time, ties in the order of `tie_order`."""
    by_tie = sorted(entries, key=lambda entry: tie_order(entry[1], limit))
    by_tie.sort(key=lambda entry: entry[0], reverse=descending)
    return [row_id for _, row_id in by_tie]
