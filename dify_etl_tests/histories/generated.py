"""Generate histories: any changes at any moment, in any zone, the odd days more often."""

from datetime import UTC, date, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from dify_etl.time_zones import day_start, zone_names, zone_of
from dify_etl_tests.histories.history import Change, History, Night
from dify_etl_tests.histories.run_changes import RUNS
from dify_etl_tests.histories.talk_changes import TALK
from dify_etl_tests.histories.trouble_changes import TROUBLES
from dify_etl_tests.histories.workspace_changes import WORKSPACE

VERSIONS = ("1.12.1", "1.14.2", "1.7.2")
CHAT_MODES = ("chat", "agent-chat", "advanced-chat", "completion")
COMMON_ZONES = ("UTC", "America/New_York", "Asia/Shanghai", "Europe/Berlin")
ODD_ZONES = (
    *("Asia/Kathmandu", "Australia/Lord_Howe", "Pacific/Chatham", "Pacific/Kiritimati"),
    *("Africa/Cairo", "Asia/Beirut", "America/Santiago", "America/Havana", "Africa/Casablanca"),
    *("Asia/Gaza", "America/St_Johns", "Etc/GMT+12", "Antarctica/Troll"),
)
# What there must be before anything else can happen.
MAKERS = {
    "talk": ("ask", "say_more", "rate"),
    "runs": ("run", "start"),
    "workspace": ("ask", "add_key", "upload"),
}
NO_ZONE = "Factory"  # what machines have before they are given one


@cache
def all_zones() -> tuple[str, ...]:
    """Every zone that an account may have."""
    return tuple(sorted(zone_names() - {NO_ZONE}))


@cache
def odd_days(zone: str) -> tuple[date, ...]:
    """The days of 2025 and 2026 that have not 24 hours."""
    days = (date(2025, 1, 1) + timedelta(days=number) for number in range(720))
    return tuple(day for day in days if _hours(day, zone_of(zone)) != 24)


def _hours(day: date, zone: ZoneInfo) -> float:
    length = day_start(day + timedelta(days=1), zone) - day_start(day, zone)
    return length.total_seconds() / 3600


def zones() -> st.SearchStrategy[str]:
    """Common, odd and any zones."""
    return st.one_of(
        st.sampled_from(COMMON_ZONES), st.sampled_from(ODD_ZONES), st.deferred(_any_zone)
    )


def _any_zone() -> st.SearchStrategy[str]:
    return st.sampled_from(all_zones())


@st.composite
def beginnings(draw: st.DrawFn, zone: str) -> datetime:
    """Some instant; in zones with daylight saving mostly a day or two before a change of clocks."""
    odd = odd_days(zone)
    if len(odd) > 0 and draw(st.booleans()):
        day = draw(st.sampled_from(odd)) - timedelta(days=draw(st.integers(0, 2)))
        start = day_start(day, zone_of(zone))
    else:
        start = datetime(2026, 3, 12, tzinfo=UTC)
    return start + timedelta(seconds=draw(st.integers(0, 86_399)))


@st.composite
def changes(draw: st.DrawFn, verbs: tuple[str, ...]) -> Change:
    """One change; whole pages of rows come seldom, since they cost much."""
    verb = draw(st.sampled_from(verbs))
    after = draw(st.sampled_from((0.0, 0.0, 0.4, 1.0, 70.0)))
    return Change(verb, draw(st.integers(0, 20)), draw(st.integers(1, 5)), after)


@st.composite
def nights(draw: st.DrawFn, verbs: tuple[str, ...], troubles: tuple[str, ...]) -> Night:
    """Hours pass, perhaps up to a midnight; things happen before the run and during it, and with
    `troubles` some go wrong.
    """
    one = changes(verbs)
    wrong = draw(st.lists(changes(troubles), max_size=2)) if troubles else []
    meanwhile = changes(verbs + troubles)
    return Night(
        hours=draw(st.sampled_from((0.1, 1.0, 20.0, 24.0, 24.0, 30.0, 75.0))),
        to_midnight=draw(st.sampled_from((None, None, -1.0, 0.0, 0.6, 90.0))),
        before=(*draw(st.lists(one, min_size=3, max_size=10)), *wrong),
        during=tuple(draw(st.lists(st.tuples(st.integers(0, 24), meanwhile), max_size=6))),
    )


@st.composite
def histories(draw: st.DrawFn, family: str) -> History:
    """A history of one family: talk, runs or workspace; every other one has troubles."""
    zone = draw(zones())
    troubles = draw(st.sampled_from(((), tuple(TROUBLES))))
    one = nights(_verbs(family), troubles)
    return History(
        family=family,
        modes=_modes(draw, family),
        nights=tuple(draw(st.lists(one, min_size=1, max_size=5 if troubles else 3))),
        version=draw(st.sampled_from(VERSIONS)),
        timezone=zone,
        began=draw(beginnings(zone)),
        lookback_days=draw(st.integers(1, 2)),
        completion_detail=draw(st.sampled_from((False, False, True))),
    )


def _verbs(family: str) -> tuple[str, ...]:
    """The changes of a family: those that make rows often, those of a page full of rows seldom."""
    verbs = {"talk": TALK, "runs": RUNS, "workspace": WORKSPACE}[family]
    small = tuple(name for name in verbs if not name.startswith("burst"))
    return MAKERS[family] * 4 + small * 2 + tuple(verbs)


def _modes(draw: st.DrawFn, family: str) -> tuple[str, ...]:
    if family == "runs":
        return draw(st.sampled_from((("workflow",), ("advanced-chat",))))
    modes = draw(st.lists(st.sampled_from(CHAT_MODES), min_size=1, max_size=2, unique=True))
    return tuple(modes)
