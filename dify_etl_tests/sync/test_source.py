"""A home belongs to one server, workspace, account and time zone; nothing else gets in."""

import contextlib
from datetime import timedelta

import httpx
import pytest

from dify_etl.sync.errors import SourceChanged
from dify_etl.time_zones import zone_of
from dify_etl_tests.sync.answers_changed import Without
from dify_etl_tests.sync.comparison import differences
from dify_etl_tests.sync.conftest import Open
from dify_etl_tests.sync.small_worlds import app_of, brief_world, quiet_world, talk
from dify_etl_tests.sync.workplace import NOW, TALK, Workplace
from dify_simulated import Faults, SimulatedDify


@pytest.fixture
def held(workplace: Open) -> Workplace:
    """A home that was loaded once; meanwhile something happened in Dify."""
    place = workplace(quiet_world("chat"))
    talk(place.world, at=NOW - timedelta(days=2))
    place.read(TALK)
    talk(place.world, at=NOW - timedelta(days=1))
    return place


def other_workspace(place: Workplace) -> str:
    """The id of the second workspace of the account."""
    return next(one for one in place.world.workspaces if one != place.world.workspace_id)


def assert_refused(place: Workplace, told: str) -> None:
    """A sync is refused with these words, and no table but the file's marks changed."""
    before = place.rows("SELECT * FROM raw.conversations"), place.rows("SELECT * FROM ops.source")
    with pytest.raises(SourceChanged, match=told):
        place.read(TALK)
    after = place.rows("SELECT * FROM raw.conversations"), place.rows("SELECT * FROM ops.source")
    assert after == before
    assert place.value("SELECT count(DISTINCT run_id) FROM ops.runs") == 1


def test_first_sync_pins_the_source(held: Workplace) -> None:
    """Server, workspace, account and zone of the first sync are kept, with name and version."""
    world = held.world
    columns = "server_origin, workspace_id, workspace_name, account_id, timezone, server_version"
    assert held.rows(f"SELECT {columns} FROM ops.source") == [
        (
            "http://dify.test",
            world.workspace_id,
            world.workspace.name,
            world.account_id,
            "UTC",
            "1.12.1",
        )
    ]


def test_other_workspace_is_refused(held: Workplace) -> None:
    """When somebody switched the account's workspace, nothing is read into this home."""
    held.world.switch_workspace(held.world.account_id, other_workspace(held))
    assert_refused(held, "workspace id .* answers")


def test_other_server_is_refused(held: Workplace) -> None:
    """The same workspace at another address is another source."""
    held.base_url = "http://elsewhere.test"
    held.transport = httpx.WSGITransport(app=held.server)
    assert_refused(held, "server origin http://dify.test, but now .*elsewhere")


def test_other_account_is_refused(held: Workplace) -> None:
    """Another account of the same workspace may see other rows, so it is another source."""
    accounts = held.world.accounts.values()
    held.world.account_id = next(one.id for one in accounts if one.email == "admin@dify.test")
    assert_refused(held, "account id")


def test_other_time_zone_is_refused(held: Workplace) -> None:
    """When the account's zone was changed, Dify counts other days: the line to set is named."""
    held.world.account.timezone = "Asia/Shanghai"
    assert_refused(held, "DIFY_ETL_TIMEZONE=Asia/Shanghai")


def test_home_of_another_zone_is_refused(held: Workplace) -> None:
    """A home whose days were kept in one zone is not continued in another."""
    held.world.account.timezone = "Asia/Shanghai"
    held.with_rules(zone=zone_of("Asia/Shanghai"))
    assert_refused(held, "timezone UTC, but now timezone Asia/Shanghai")


def test_alias_of_a_zone_is_the_same_zone(workplace: Open) -> None:
    """The account says Asia/Kolkata where it said Asia/Calcutta: the home goes on, under the name
    that it has, whichever name is set; no figure is taken for a new one.
    """
    place = workplace(quiet_world("chat", timezone="Asia/Calcutta"))
    place.with_rules(zone=zone_of("Asia/Calcutta"))
    talk(place.world, at=NOW - timedelta(days=2))
    feeds = ("apps", "daily_statistics", "conversations", "messages")
    place.read(feeds)
    figures = place.rows("SELECT * FROM raw.daily_statistics ORDER BY ALL")
    place.world.account.timezone = "Asia/Kolkata"
    for name in ("Asia/Calcutta", "Asia/Kolkata"):
        place.with_rules(zone=zone_of(name)).read(feeds)
    assert place.rows("SELECT * FROM raw.daily_statistics ORDER BY ALL") == figures
    assert place.value("SELECT timezone FROM ops.source") == "Asia/Calcutta"


def test_newer_server_is_the_same_source(held: Workplace) -> None:
    """An upgrade of the server is no other source; the version is noted."""
    held.server = SimulatedDify(held.world, "1.13.0")
    held.read(TALK)
    assert held.rows("SELECT server_version FROM ops.source") == [("1.13.0",)]


@pytest.mark.parametrize("number", [5, 9, 16, 28, 40])
def test_switch_in_the_middle_loads_nothing_of_the_other_tenant(
    workplace: Open, number: int
) -> None:
    """At whatever request the workspace is switched: no foreign row, nothing absent or proven."""
    place = workplace(quiet_world("chat", "workflow"))
    world = place.world
    talk(world, at=NOW - timedelta(days=1))
    place.read((*TALK, "members", "datasets", "documents", "dataset_api_keys"))
    other = other_workspace(place)
    foreign = world.add_app(
        name="foreign", mode="chat", at=NOW, created_by=world.account_id, tenant_id=other
    )
    at = world.add_conversation(foreign.id, at=NOW - timedelta(hours=2))
    world.add_message(at.id, at=NOW - timedelta(hours=2))

    def switch(count: int, method: str, path: str) -> None:
        if count == number:
            world.switch_workspace(world.account_id, other)

    place.server = SimulatedDify(world, faults=Faults(before_request=switch))
    with contextlib.suppress(SourceChanged):
        assert "failed" in {report.state for report in place.read().values()}
    assert world.account.tenant_id == other
    for table in ("apps", "members", "datasets", "dataset_api_keys", "conversations", "documents"):
        assert place.value(f"SELECT count(absent_since) FROM raw.{table}") == 0
    assert place.value(f"SELECT count(*) FROM raw.apps WHERE app_id = '{foreign.id}'") == 0
    assert place.value("SELECT count(*) FROM raw.conversations") == 1


def test_switch_back_is_read_as_before(held: Workplace) -> None:
    """After the person switched back, the next sync goes on as if nothing had been."""
    held.world.switch_workspace(held.world.account_id, other_workspace(held))
    with pytest.raises(SourceChanged):
        held.read(TALK)
    held.world.switch_workspace(held.world.account_id, held.world.workspace_id)
    held.read(TALK)
    assert differences(held, ("conversations", "messages")) == []


def test_days_are_those_of_the_account(workplace: Open) -> None:
    """In a zone far from UTC, statistics and counts per day use the account's local days."""
    world = brief_world()
    world.account.timezone = "Pacific/Auckland"
    place = workplace(world).with_rules(zone=zone_of("Pacific/Auckland"))
    place.read(("apps", "daily_statistics", "conversations"))
    assert differences(place, ("daily_statistics", "conversations")) == []
    assert app_of(world).id in {row[0] for row in place.rows("SELECT app_id FROM ops.slices")}


@pytest.mark.parametrize(
    ("gone", "failing"),
    [
        (("/workspaces/current",), set()),
        (("/workspaces",), set()),
        (("/workspaces/current", "/workspaces/current/members"), {"members"}),
        (("/ping",), set()),
        (("/datasets/api-keys",), {"dataset_api_keys"}),
        (("/annotations",), {"annotations"}),
    ],
)
def test_route_that_is_gone_fails_only_what_needs_it(
    workplace: Open, gone: tuple[str, ...], failing: set[str]
) -> None:
    """As on a newer server, a route answers 404: what needs it says so, all else is read."""
    place = workplace(quiet_world("chat", "workflow"))
    talk(place.world, at=NOW - timedelta(days=1))
    place.transport = Without(httpx.WSGITransport(app=place.server), *gone)
    reports = place.read()
    assert {name for name, report in reports.items() if report.failures} == failing
    reasons = [
        reason for (reason,) in place.rows("SELECT reason FROM ops.slices WHERE state = 'failed'")
    ]
    assert all("this server has no such endpoint" in reason for reason in reasons)
    assert place.rows("SELECT DISTINCT workspace_id FROM ops.source") == [
        (place.world.workspace_id,)
    ]
    assert place.value("SELECT count(*) FROM raw.messages") == 2
