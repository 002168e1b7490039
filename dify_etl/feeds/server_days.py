"""Whether Dify's rules of the account's zone are ours: told by its newest conversations."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from zoneinfo import ZoneInfo

from dify_etl.dify.app_modes import CHAT_MODES
from dify_etl.dify.app_records import App
from dify_etl.dify.client import DifyClient
from dify_etl.dify.conversations import Conversation
from dify_etl.dify.statistics import StatisticMetric
from dify_etl.sync.fetching import attempt
from dify_etl.time_zones import ONE_DAY, day_start, local_date

MOST_APPS = 5
ONE_MINUTE = timedelta(minutes=1)
# By how much rules of one zone ever differ between releases of tzdata.
SHIFTS = tuple(
    timedelta(minutes=minutes * side) for minutes in (60, 30, 120, 180) for side in (1, -1)
)


def day_difference(dify: DifyClient) -> str | None:
    """A sentence when the server puts rows into other local days than we do; None when it agrees,
    or when no conversation is there to ask about.

    Dify has two sets of rules: Python's, by which its lists read the bounds of a window, and the
    database's, by which its statistics count. Three small requests when all is well.
    """
    apps = attempt("apps", lambda: list(dify.apps.list())).result or []
    for app in [one for one in apps if one.mode in CHAT_MODES][:MOST_APPS]:
        newest = attempt(app.app_id, partial(_newest, dify, app)).result
        if newest:
            return attempt(app.app_id, partial(_difference, dify, app, newest)).result
    return None


def _newest(dify: DifyClient, app: App) -> Sequence[Conversation]:
    return dify.conversations.chat_page(app.app_id, 1, 100, sort_by="-created_at").records


def _difference(dify: DifyClient, app: App, newest: Sequence[Conversation]) -> str | None:
    zone = dify.account.zone()
    nearest = min(newest, key=lambda one: _to_midnight(one.created_at, zone))
    return _of_lists(dify, app, newest[0]) or _of_statistics(dify, app, nearest.created_at)


def _of_lists(dify: DifyClient, app: App, newest: Conversation) -> str | None:
    """GET chat-conversations of the minute in which it began, by our rules: a server with the same
    rules finds it there, another one so much earlier or later.
    """
    at = newest.created_at
    for shift in (timedelta(0), *SHIFTS):
        page = dify.conversations.chat_page(
            app.app_id, 1, 100, start=at + shift, end=at + shift, sort_by="created_at"
        )
        if newest.conversation_id in {one.conversation_id for one in page.records}:
            if not shift:
                return None
            side = "ahead of" if shift > timedelta(0) else "behind"
            minutes = abs(shift) // ONE_MINUTE
            zone = dify.account.zone().key
            return f"the server's clock of {zone} is {minutes} minutes {side} that of tzdata"
    return None


def _of_statistics(dify: DifyClient, app: App, at: datetime) -> str | None:
    """GET statistics/daily-conversations of the minutes round a conversation: the database's rules
    name its day. Near midnight those of an hour's difference name another one.
    """
    zone = dify.account.zone()
    asked = (at - ONE_MINUTE, at + 2 * ONE_MINUTE)
    ours = {local_date(one, zone) for one in asked}
    told = dify.statistics.daily(app.app_id, StatisticMetric.DAILY_CONVERSATIONS, *asked).records
    for one in told:
        if one.statistic_date not in ours:
            day = local_date(at, zone)
            return (
                f"Dify's statistics have {at:%Y-%m-%d %H:%M} UTC on {one.statistic_date}, "
                f"by tzdata it is {day} in {zone.key}"
            )
    return None


def _to_midnight(at: datetime, zone: ZoneInfo) -> timedelta:
    """How far the nearest begin of a local day is."""
    day = local_date(at, zone)
    return min(at - day_start(day, zone), day_start(day + ONE_DAY, zone) - at)
