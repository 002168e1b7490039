"""Failures told by their cause: one line for a thousand slices that failed for one reason."""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from dify_etl.sync.verdict import BadSlice

CAUSE_HEADINGS = ("feed", "app", "days", "state", "since", "what happened, and what to do")
SHOWN_CAUSES = 50
SHOWN_NAMES = 3
_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


class Cause(NamedTuple):
    """Slices that are bad for one reason; all of it is text to show."""

    feeds: str
    apps: str
    days: str  # of the first and the last of them, or `whole list`
    state: str
    since: str  # the day on which the oldest of them went bad, UTC
    reason: str  # as the first of them tells it


def cause_of(reason: str) -> str:
    """A reason without the ids in it: what is equal then has one cause."""
    return _ID.sub("…", reason)


def by_cause(bad: Iterable[BadSlice]) -> list[Cause]:
    """Bad slices by state and cause, in their order, those of most slices first."""
    groups: dict[tuple[str, str], list[BadSlice]] = {}
    for one in bad:
        groups.setdefault((one.state, cause_of(one.reason)), []).append(one)
    ordered = sorted(groups.items(), key=lambda item: -len(item[1]))
    return [
        Cause(
            feeds=some_of(one.feed for one in group),
            apps=some_of(one.app for one in group),
            days=_span(group),
            state=state,
            since=min(one.since for one in group),
            reason=group[0].reason,
        )
        for (state, _), group in ordered
    ]


def some_of(names: Iterable[str]) -> str:
    """The first few distinct names, and how many more there are."""
    found = list(dict.fromkeys(names))
    more = len(found) - SHOWN_NAMES
    return ", ".join(found[:SHOWN_NAMES]) + (f" and {more} more" if more > 0 else "")


def _span(group: Sequence[BadSlice]) -> str:
    spans = [one.days.split("..") for one in group]
    dated = [days for days in spans if days[0][:1].isdigit()]
    if not dated:
        return group[0].days
    first, last = min(days[0] for days in dated), max(days[-1] for days in dated)
    return first if first == last else f"{first}..{last}"
