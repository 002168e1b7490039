"""`start` and `end` of lists and statistics: wall times of the account, to the minute.

There are four rules for the end: inclusive to second 59 (chat-conversations), exclusive of second
59 (completion-conversations), exclusive of second 0 (statistics), and in `workflow_logs`, in UTC,
inclusive of the instant itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum

from dify_etl.time_zones import zone_of
from dify_simulated.server.errors import bad_request
from dify_simulated.server.parameters import older_refusal
from dify_simulated.versions import ServerVersion

MINUTE_FORMAT = "%Y-%m-%d %H:%M"


class EndRule(Enum):
    """Which instants the last minute still covers."""

    SECOND_59_INCLUDED = "<= :59"
    SECOND_59_EXCLUDED = "< :59"
    SECOND_0_EXCLUDED = "< :00"


@dataclass(frozen=True)
class TimeWindow:
    """Instants in UTC; None = open."""

    start: datetime | None
    end: datetime | None
    end_inclusive: bool


def read_window(
    start: str | None, end: str | None, *, zone: str, rule: EndRule, version: ServerVersion
) -> TimeWindow:
    """Read both parameters in the account's time zone. Raises ApiError (400)."""
    first = _wall_time("start", start, version)
    last = _wall_time("end", end, version)
    if version.checks_time_range_itself and first and last and first > last:
        raise bad_request("start must be earlier than or equal to end")
    if last is not None and rule is not EndRule.SECOND_0_EXCLUDED:
        last = last.replace(second=59)
    return TimeWindow(
        None if first is None else _instant(first, zone),
        None if last is None else _instant(last, zone),
        end_inclusive=rule is EndRule.SECOND_59_INCLUDED,
    )


def _wall_time(name: str, raw: str | None, version: ServerVersion) -> datetime | None:
    if raw is None or (raw == "" and version.checks_time_range_itself):
        return None
    try:
        return datetime.strptime(raw, MINUTE_FORMAT)
    except ValueError as error:
        if version.checks_time_range_itself:
            raise bad_request(f"Invalid {name} time format: {error}") from None
        text = f"Invalid argument: {raw}. argument must be conform to the format {MINUTE_FORMAT}"
        raise older_refusal(name, text, version) from None


def _instant(wall: datetime, zone: str) -> datetime:
    """An ambiguous or missing wall time is taken for standard time, as pytz does.

    So the first of two hours named alike cannot be addressed, and 02:30 that a change of clocks
    leaves out means 03:30.
    """
    both = [wall.replace(tzinfo=zone_of(zone), fold=fold) for fold in (0, 1)]
    return min(both, key=lambda at: at.utcoffset() or timedelta()).astimezone(UTC)
