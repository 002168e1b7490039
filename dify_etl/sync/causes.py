"""Failures told by their cause: one line for a thousand slices that failed for one reason."""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from dify_etl.sync.verdict import BadSlice

CAUSE_HEADINGS = (
    "feed",
    "app",
    "days",
    "state",
    "since",
    "what happened, and what to do",
    "slices",
)
SHOWN_CAUSES = 50
SHOWN_NAMES = 3
# As ActionableError writes itself.
_ERROR = re.compile(r"(?P<what>.+?) \[(?P<where>[A-Z]+ /[^\]]+)\] (?P<to_do>.+)", re.DOTALL)
_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


class Cause(NamedTuple):
    """Slices that are bad for one reason; all of it is text to show."""

    feeds: str
    apps: str
    days: str  # of the first and the last of them, or `whole list`
    state: str
    since: str  # the day on which the oldest of them went bad, UTC
    reason: str  # as the first of them tells it: what, [where] and what to do
    slices: int = 1
    name: str = ""  # of the first of them, as `dify-etl accept` takes it

    @property
    def cells(self) -> tuple[str, ...]:
        """What stands under CAUSE_HEADINGS."""
        return (*self[:6], str(self.slices))

    def paragraph(self) -> str:
        """Where, how much and since when in the first line; what happened and what to do below."""
        days = "" if self.days == "whole list" else f", {self.days}"
        many = "1 slice" if self.slices == 1 else f"{self.slices:,} slices"
        where = _on_one_line(f"{self.feeds} of {self.apps}{days}")
        what, place, to_do = parts_of(_on_one_line(self.reason))
        lines = [f"{self.state}: {where}; {many}, since {self.since}", f"  what happened: {what}"]
        lines += [f"  where: {place}"] if place else []
        lines += [f"  what to do: {to_do}"] if to_do else []
        return "\n".join(lines)


def _on_one_line(text: str) -> str:
    """Names and messages are texts of strangers: they begin no line of their own."""
    return " ".join(text.split())


def parts_of(reason: str) -> tuple[str, str, str]:
    """What, where and what to do of a reason that is the text of an error; else all is the what."""
    found = _ERROR.fullmatch(reason)
    return (found["what"], found["where"], found["to_do"]) if found else (reason, "", "")


def cause_of(reason: str) -> str:
    """A reason without the ids in it: what is equal then has one cause."""
    return _ID.sub("…", reason)


def by_cause(bad: Iterable[BadSlice]) -> list[Cause]:
    """Bad slices by state and cause, in their order, those of most slices first."""
    groups: dict[tuple[str, str], list[BadSlice]] = {}
    for one in bad:
        groups.setdefault((one.state, cause_of(one.reason)), []).append(one)
    ordered = sorted(groups.items(), key=lambda item: -sum(one.slices for one in item[1]))
    return [
        Cause(
            feeds=some_of(one.feed for one in group),
            apps=some_of(one.app for one in group),
            days=_span(group),
            state=state,
            since=min(one.since for one in group),
            reason=group[0].reason,
            slices=sum(one.slices for one in group),
            name=group[0].name,
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
