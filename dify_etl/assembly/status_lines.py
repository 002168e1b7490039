"""The status of a home in words: for the command line and for Dagster alike."""

from datetime import UTC, date, datetime

from dify_etl.assembly.same_workspace import WHAT_TO_DO
from dify_etl.assembly.status import FeedStatus, Status
from dify_etl.feeds.unread import UnreadApp
from dify_etl.sync.causes import some_of

FEED_HEADINGS = (
    "feed",
    "read at (UTC)",
    "whole through",
    "proven through",
    "slices",
    "bad",
    "unproven",
    "waiting",
)
SHOWN_APPS = 5
_UNITS = ("bytes", "kB", "MB", "GB", "TB")


def headline(status: Status) -> str:
    """Whether all is well; else what is red."""
    workspace = "" if status.workspace is None else f"Workspace {status.workspace!r}: "
    if status.is_good:
        return f"{workspace}{_good_words(status)}."
    red = {
        "slices that are not whole": sum(one.slices for one in status.verdict.bad),
        "objects in quarantine": status.verdict.waiting,
        "models that do not build": len(status.verdict.broken),
    }
    parts = []
    if status.missed_run:
        parts.append(f"no whole run since {_at(status.missed_run)}, when one was due")
    parts += [_unpublished_words(status)] if status.is_unpublished else []
    if status.shared_behind:
        parts.append(f"the shared warehouse is behind since {_at(status.shared_behind.since)}")
    return f"{workspace}RED: {', '.join([*parts, *_counted(red)])}."


def _good_words(status: Status) -> str:
    if status.unread.is_any:
        return "nothing is red, but not everything was read yet"
    is_all = not any(one.unproven for one in status.feeds)
    return "all is proven" if is_all else "nothing is red; what is not proven is out of reach"


def _unpublished_words(status: Status) -> str:
    if status.last_run is None or status.last_run.reads_all_feeds:
        return "the last run published nothing"
    return "days were read that are not published yet"


def unread(status: Status) -> list[str]:
    """What was never read, and what reads it; nothing when all was."""
    found = status.unread
    if not found.is_any:
        return []
    new = [one.app for one in found.apps if one.is_new]
    parts = [f"the feeds {', '.join(found.feeds)}"] if found.feeds else []
    parts += [f"{_some(new)} on any day"] if new else []
    parts += [_days_of(one) for one in found.apps if not one.is_new][:SHOWN_APPS]
    more = len(found.apps) - len(new) - SHOWN_APPS
    parts += [f"days of {more:,} more apps"] if more > 0 else []
    return [
        f"Not read yet: {'; '.join(parts)}. The next night reads it, and so does `dify-etl sync`."
    ]


def _some(apps: list[str]) -> str:
    word = "app" if len(apps) == 1 else "apps"
    return f"{len(apps):,} {word} ({some_of(apps)})"


def _days_of(one: UnreadApp) -> str:
    days = "1 day" if one.days == 1 else f"{one.days:,} days"
    span = f"{one.first}" if one.first == one.last else f"{one.first} to {one.last}"
    return f"{days} of {one.app} ({span})"


def times(status: Status) -> list[str]:
    """When it was read and published, and when the next run is due."""
    lines = []
    if run := status.last_run:
        seconds = (run.ended_at - run.started_at).total_seconds()
        lines.append(
            f"Last run: {_at(run.started_at)}, {seconds:,.0f} s of reading, {run.requests:,} "
            f"requests, {run.rows_new:,} new rows."
        )
    if status.published_at:
        lines.append(f"Published: {_at(status.published_at)}, through {status.published_through}.")
    if status.is_unpublished:
        lines.append(
            "Not published: what was read since. Run `dify-etl sync`, or materialize the models "
            "and published_copy in Dagster."
        )
    if behind := status.shared_behind:
        lines.append(f"Not in the shared warehouse: {behind.reason}.")
    if others := ", ".join(status.other_homes):
        lines.append(f"Other homes hold the same workspace: {others}. {WHAT_TO_DO}")
    due = _at(status.next_run)
    lines.append(f"Next run: {due}, where `dify-etl serve` or `dify-etl dev` keeps the schedule.")
    if not status.is_live:
        lines.append("A sync is writing: this is what the published copy tells.")
    return lines


def feed_cells(feed: FeedStatus) -> tuple[str, ...]:
    """A row under FEED_HEADINGS; empty where there is nothing to say."""
    return (
        feed.feed,
        f"{feed.read_at:%Y-%m-%d %H:%M}",
        _day(feed.whole_through),
        _day(feed.proven_through),
        f"{feed.slices:,}",
        *(f"{count:,}" if count else "" for count in (feed.bad, feed.unproven, feed.waiting)),
    )


def waiting(status: Status) -> list[str]:
    """What waits for somebody beside the reading: documents, rotations, old keys."""
    documents, rotations = status.documents, status.rotations
    parts = _counted(
        {
            "documents whose indexing failed": documents.failed,
            "documents being indexed for over a day": documents.stuck,
            "paused documents": documents.paused,
            "rotations of API keys under way": rotations.under_way,
            "rotations that wait for a person": rotations.need_a_person,
            "API keys older than they may become": rotations.keys_over_age,
        }
    )
    return [f"Waiting: {', '.join(parts)}."] if parts else []


def size(status: Status) -> str:
    """Both files, and how the warehouse grows."""
    held = status.size
    growth = "" if held.daily_growth is None else f", {_measured(held.daily_growth)} more each day"
    copy = f", {_measured(held.copy)} of the copy" if held.copy else ""
    return f"Size: {_measured(held.live)} of the live file{growth}{copy}."


def _counted(found: dict[str, int]) -> list[str]:
    return [f"{count:,} {what}" for what, count in found.items() if count]


def _measured(count: int) -> str:
    """Bytes in the unit in which they have up to three digits."""
    held, unit = float(count), _UNITS[0]
    for unit in _UNITS:
        if abs(held) < 1000 or unit == _UNITS[-1]:
            break
        held /= 1000
    return f"{held:,.0f} {unit}"


def _at(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _day(day: date | None) -> str:
    return "" if day is None else day.isoformat()
