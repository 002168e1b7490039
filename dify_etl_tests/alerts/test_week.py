"""Seven nights with a trouble each: what status, report, alerts and Dagster say in the morning."""

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import dagster as dg
import httpx
import pytest

from dify_etl.alerts.evaluating import evaluate
from dify_etl.alerts.incidents import Moment, NightsDue
from dify_etl.alerts.source import Source
from dify_etl.alerts.targets import open_targets
from dify_etl.assembly.night import read_night
from dify_etl.assembly.status import read_status
from dify_etl.assembly.status_lines import headline, waiting
from dify_etl.defs.checks import IS_WHOLE, NOTHING_IN_QUARANTINE, check_specs, judged
from dify_etl.defs.location import ALONE
from dify_etl.defs.publication import sync_verdict
from dify_etl.defs.resources import home_held
from dify_etl.feeds.table import FEEDS
from dify_etl.home import COPY
from dify_etl.report.figures import read_figures
from dify_etl.settings import Settings
from dify_etl.sync.opening import OpenHome, open_home
from dify_etl.sync.run import SyncPlan
from dify_etl_tests.alerts.receivers import Received, webhook
from dify_etl_tests.defs.night import QUIET, settings_for
from dify_etl_tests.sync.answers_changed import ChangedAnswers, rows_changed
from dify_etl_tests.sync.small_worlds import app_of, quiet_world, talk
from dify_etl_tests.sync.workplace import NOW, Workplace

# What the troubles are about, and as much as alerts, status and report need.
READ = ("apps", "app_api_keys", "conversations", "messages")
KEY_AGE = timedelta(days=90)
ANSWERED_BEFORE_IT_DIED = 20


class Page(NamedTuple):
    """What Dagster shows: the newest verdict, whether its check is green, and the red checks."""

    verdict: str
    is_green: bool
    red: set[str]


class Morning(NamedTuple):
    """What is said after a night; `states` are the report's, of the slices of days."""

    headline: str
    waiting: str
    states: set[str]
    alerts: list[str]
    page: Page


class DyingServer(httpx.BaseTransport):
    """Answers some requests, then nobody listens any more."""

    def __init__(self, inner: httpx.BaseTransport) -> None:
        self._inner = inner
        self._left = ANSWERED_BEFORE_IT_DIED

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer one request. Raises ConnectError."""
        self._left -= 1
        if self._left < 0:
            raise httpx.ConnectError("nobody listens", request=request)
        return self._inner.handle_request(request)


class Week:
    """A workspace, its home, and who is told."""

    def __init__(self, home: Path, received: Received) -> None:
        self.world = quiet_world("chat", "advanced-chat")
        for days in range(14):
            self.talk(NOW - timedelta(days=days, hours=1), messages=2)
        app = app_of(self.world)
        made = NOW + timedelta(days=4, hours=12) - KEY_AGE  # too old in the fifth night
        self.world.add_api_key(tenant_id=self.world.workspace_id, at=made, app_id=app.id)
        self.place = Workplace(self.world, home, attempts=1)
        self.settings: Settings = settings_for(home)
        self.place.with_rules(start_date=self.settings.start_date, lookback_days=3)
        self.server = httpx.WSGITransport(app=self.place.server)
        self.received = received
        self.targets = open_targets([received.url], key=b"a key of the tests")

    def talk(self, at: Any, *, messages: int) -> None:
        """Somebody asks the chatflow, whose messages tell their price."""
        talk(self.world, at=at, messages=messages, mode="advanced-chat", seconds_apart=2)

    def night(self, through: Callable[["Week"], httpx.BaseTransport]) -> Morning:
        """A day, the night after it, and the morning."""
        now = self.place.pass_time(days=1)
        self.talk(now - timedelta(hours=1), messages=2)
        self.place.transport = through(self)
        how: dict[str, Any] = {"rules": self.place.rules, "watch": self.place.watch}
        with (
            self.place.client() as dify,
            open_home(dify, self.place.home, run_id=f"{now:%d}", wait_seconds=1.0, **how) as home,
        ):
            read_night(home, SyncPlan(), READ)
            page = page_of(home)
        return self.morning(page)

    def morning(self, page: Page) -> Morning:
        """What the others say now."""
        now = self.world.now() + timedelta(hours=1)
        due = NightsDue(now - timedelta(hours=2), now - timedelta(hours=26))
        moment = Moment(now, self.settings.zone, due)
        said: list[str] = []
        how: dict[str, Any] = {"tell": said.append, "wait_seconds": 1.0}
        evaluate(self.place.home, self.targets, moment, Source(), **how)
        assert said == []
        status = read_status(self.settings, now=now)
        slices = read_figures(self.place.home / COPY)["tables"]["slices"]
        told = headline(status).partition(": ")[2], " ".join(waiting(status))
        return Morning(*told, values_of(slices, "state"), self.received.titles(), page)


def page_of(home: OpenHome) -> Page:
    """The verdict as its asset tells it in a run, and what the checks of raw tables find."""
    with dg.DagsterInstance.ephemeral() as instance:
        run = dg.materialize(
            [sync_verdict()],
            instance=instance,
            resources={"dify_home": home_held(home)},
            run_config=QUIET,
            raise_on_error=False,
        )
    (check,) = run.get_asset_check_evaluations()
    (told,) = run.asset_materializations_for_node(ALONE.sync_verdict.to_python_identifier())
    assert run.success == check.passed
    with home.database() as database:
        found = [
            one
            for feed in FEEDS
            if feed.name in READ
            for one in judged(
                database,
                feed,
                [
                    spec.key
                    for spec in check_specs(feed, ALONE)
                    if spec.name in (IS_WHOLE, NOTHING_IN_QUARANTINE)
                ],
            )
        ]
    red = {
        f"{one.asset_key and one.asset_key.path[-1]}: {one.check_name}"
        for one in found
        if not one.passed
    }
    return Page(str(told.metadata["verdict"].value), check.passed, red)


def values_of(table: dict[str, Any], column: str) -> set[str]:
    """The different values of a column of the report's figures."""
    held = table["columns"][column]
    return set(held["values"] if isinstance(held, dict) else held)


def well(week: Week) -> httpx.BaseTransport:
    """Nothing is wrong."""
    return week.server


def dies(week: Week) -> httpx.BaseTransport:
    """In the middle of the night nobody answers any more."""
    return DyingServer(week.server)


def app_refuses(week: Week) -> httpx.BaseTransport:
    """Whatever is asked of the chatflow."""
    closed = f"/apps/{app_of(week.world, 'advanced-chat').id}/"
    return ChangedAnswers(week.server, refuse=lambda path: 500 if closed in path else None)


def odd_rows(week: Week) -> httpx.BaseTransport:
    """A message without a time."""
    return ChangedAnswers(
        week.server, rows_changed("chat-messages", lambda at, row: row | {"created_at": "soon"})
    )


def expensive_day(week: Week) -> httpx.BaseTransport:
    """Fifteen times as many questions as on any other day."""
    week.talk(week.world.now() - timedelta(hours=3), messages=40)
    return week.server


@pytest.fixture(scope="module")
def received() -> Iterator[Received]:
    with webhook() as hook:
        yield hook


WELL = "nothing is red, but not everything was read yet."  # not all feeds are asked here
GREEN = Page("all slices were read", is_green=True, red=set())
RED = re.compile(r"\d+ slices could not be read whole; what is good is published")
OLD_KEY = "1 API keys older than they may become"


def test_every_morning_of_a_week(tmp_path: Path, received: Received) -> None:
    """Each trouble is told on its morning, by all four, once; and that it is over."""
    week = Week(tmp_path / "home", received)
    first = week.night(well)
    assert (first.headline, first.states, first.page) == (WELL, {"proven"}, GREEN)
    assert [title for title in first.alerts if "Documents" not in title] == []

    dead = week.night(dies)
    assert re.fullmatch(r"RED: \d+ slices that are not whole\.", dead.headline)
    assert "failed" in dead.states
    assert RED.fullmatch(dead.page.verdict)
    assert "conversations: is_whole" in dead.page.red
    assert "apps: is_whole" not in dead.page.red
    assert [title.rstrip("0123456789()") for title in dead.alerts] == ["Not read whole "]

    good = week.night(well)
    assert (good.headline, good.states, good.page) == (WELL, {"proven"}, GREEN)
    assert [title.rstrip("0123456789()") for title in good.alerts] == ["Read whole again "]

    refused = week.night(app_refuses)
    assert re.fullmatch(r"RED: \d+ slices that are not whole\.", refused.headline)
    assert "failed" in refused.states
    assert RED.fullmatch(refused.page.verdict)
    assert {"app_api_keys: is_whole", "messages: is_whole"} <= refused.page.red
    assert OLD_KEY not in refused.waiting

    odd = week.night(odd_rows)
    assert re.fullmatch(r"RED: \d+ objects in quarantine\.", odd.headline)
    assert "failed" not in odd.states
    assert "objects wait in quarantine" in odd.page.verdict
    assert "messages: nothing_in_quarantine" in odd.page.red
    assert "conversations: is_whole" not in odd.page.red
    assert OLD_KEY in odd.waiting
    assert {title.rstrip("0123456789() ") for title in odd.alerts} == {
        "Objects wait in quarantine",
        "API keys are older than the policy allows",
        "Read whole again",
    }

    dear = week.night(expensive_day)
    assert (dear.headline, dear.states, dear.page) == (WELL, {"proven"}, GREEN)
    assert set(dear.alerts) == {
        "The cost of a day is far above its usual",
        "Nothing waits in quarantine any more",
    }
    last = week.night(well)
    assert (last.alerts, last.page) == ([], GREEN)
