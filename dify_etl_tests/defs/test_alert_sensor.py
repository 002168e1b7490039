"""The sensor of alerts: nights of Dagster are heard of, once, and one that did not happen."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest

from dify_etl.alerts.ledger import open_ledger
from dify_etl.assembly.connection import effective_settings
from dify_etl.defs import alert_sensor as sensing
from dify_etl.defs.alert_sensor import alert_sensor
from dify_etl.defs.code_location import code_location
from dify_etl.defs.location import ALONE, Location
from dify_etl.defs.schedules import NIGHTLY_SYNC, night_config
from dify_etl.home import Home
from dify_etl.sync.lock import home_lock
from dify_etl.time_zones import utc_now
from dify_etl_tests.alerts.receivers import SECRET, Received, webhook
from dify_etl_tests.cli.small_servers import served, small_world, some_days_ago
from dify_etl_tests.defs.night import QUIET


@pytest.fixture
def received(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Received]:
    """A webhook, and settings that send to it; the simulated Dify is yet to come."""
    monkeypatch.chdir(tmp_path)
    with webhook() as hook:
        monkeypatch.setenv("DIFY_ETL_HOME", str(tmp_path / "home"))
        monkeypatch.setenv("DIFY_ETL_NOTIFY", hook.url)
        yield hook


def tick(
    instance: dg.DagsterInstance, cursor: str | None, at: Location = ALONE
) -> tuple[str, str | None]:
    """What a tick says, and its cursor."""
    with dg.build_sensor_context(instance=instance, cursor=cursor) as context:
        data = alert_sensor(effective_settings(), at).evaluate_tick(context)
        return str(data.skip_message), data.cursor


def run_night(instance: dg.DagsterInstance) -> None:
    code_location(effective_settings()).resolve_job_def(NIGHTLY_SYNC).execute_in_process(
        instance=instance, run_config=night_config() | QUIET, raise_on_error=False
    )


def test_nights_of_dagster_are_heard_of_once(
    received: Received, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A night that could not log in, and the good one after it; a tick without a night looks at
    nothing. No event of Dagster holds the address of a target.
    """
    with served(small_world()) as dify, dg.DagsterInstance.ephemeral() as instance:
        for name, value in dify.variables(some_days_ago(1)).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("DIFY_PASSWORD", "wrong-password-9")
        run_night(instance)
        said, cursor = tick(instance, None)
        assert "1 messages sent" in said
        ((title, body),) = received.take()
        assert title.endswith("The nightly sync failed")
        assert "LoginRefused" in body
        assert tick(instance, cursor)[0] == "No night ended since the last look."
        monkeypatch.setenv("DIFY_PASSWORD", str(dify.world.account.password))
        run_night(instance)
        said, cursor = tick(instance, cursor)
        assert "A nightly sync went through again" in received.titles()
        tick(instance, None)
        assert received.take() == []
        events = [
            dg.serialize_value(log)
            for run in instance.get_runs()
            for log in instance.all_logs(run.run_id)
        ]
    assert SECRET not in "".join(events) + said + str(cursor)


def test_nights_of_other_workspaces_are_theirs(received: Received) -> None:
    """In one instance the night of each is told by its own sensor."""
    support = Location("support", "dify.example.com:443")

    @dg.op
    def fail() -> None:
        raise dg.Failure("the server is away")

    @dg.job(name=NIGHTLY_SYNC, tags=support.tags)
    def night() -> None:
        fail()

    with dg.DagsterInstance.ephemeral() as instance:
        night.execute_in_process(instance=instance, run_config=QUIET, raise_on_error=False)
        tick(instance, None, Location("sales", "dify.example.com:443"))
        assert received.take() == []
        tick(instance, None, support)
        assert received.titles() == ["The nightly sync failed"]


def test_night_that_did_not_happen_is_heard_of(
    received: Received, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not while a sync runs, and not again an hour later."""
    with dg.DagsterInstance.ephemeral() as instance:
        _, cursor = tick(instance, None)
        home = Home(effective_settings().home)
        for days in (2, 3):
            later = utc_now() + timedelta(days=days)
            later = later.replace(hour=12)
            monkeypatch.setattr(sensing, "utc_now", lambda later=later: later)
            monkeypatch.setattr("dify_etl.assembly.alerting.utc_now", lambda later=later: later)
            if days == 2:
                with home_lock(home.path, wait_seconds=1):
                    tick(instance, cursor)
                assert received.take() == []
            tick(instance, cursor)
            assert received.titles() == ["The nightly sync did not happen"] * (days == 2)
    with open_ledger(home.path) as ledger:
        assert ledger.nights() == []


def test_without_targets_the_sensor_is_off(
    received: Received, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is there, stopped, and says why it does nothing."""
    assert (
        alert_sensor(effective_settings(), ALONE).default_status is dg.DefaultSensorStatus.RUNNING
    )
    monkeypatch.delenv("DIFY_ETL_NOTIFY")
    assert (
        alert_sensor(effective_settings(), ALONE).default_status is dg.DefaultSensorStatus.STOPPED
    )
    with dg.DagsterInstance.ephemeral() as instance:
        assert tick(instance, None)[0].startswith("DIFY_ETL_NOTIFY is not set")
