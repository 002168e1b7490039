"""The sorted index agrees with sorting everything anew."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dify_simulated.world.indexes import TimeIndex, page_of, sorted_by_time

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
SECONDS = st.lists(st.integers(0, 6), max_size=30)


def index_of(seconds: list[int]) -> TimeIndex:
    """An index with one entry per second, many of them tied."""
    index = TimeIndex()
    for number, second in enumerate(seconds):
        index.add(BEGIN + timedelta(seconds=second), f"id {number}")
    return index


@given(seconds=SECONDS, limit=st.integers(1, 7), descending=st.booleans())
def test_pages_make_up_the_whole_list(seconds: list[int], limit: int, descending: bool) -> None:
    """All pages of one size together are the sorted list, each id once."""
    entries = index_of(seconds).entries
    pages = [
        page_of(
            entries, low=0, high=len(entries), offset=offset, limit=limit, descending=descending
        )
        for offset in range(0, len(entries) + limit, limit)
    ]

    assert list(chain(*pages)) == sorted_by_time(entries, limit, descending=descending)


@given(seconds=SECONDS, start=st.integers(0, 6), end=st.integers(0, 6), inclusive=st.booleans())
def test_windows_hold_what_lies_between(
    seconds: list[int], start: int, end: int, inclusive: bool
) -> None:
    """A window holds just the entries that a scan would find."""
    index = index_of(seconds)
    low, high = index.between(
        BEGIN + timedelta(seconds=start), BEGIN + timedelta(seconds=end), end_inclusive=inclusive
    )

    last = end if inclusive else end - 1
    assert high - low == sum(start <= second <= last for second in seconds)


def test_removing_what_is_not_there_fails() -> None:
    """A wrong instant is an error, not a silent nothing."""
    index = index_of([1])

    with pytest.raises(KeyError, match="id 0"):
        index.remove(BEGIN, "id 0")
