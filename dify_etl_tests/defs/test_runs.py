"""What the run config means, how a run opens its home, and how it ends when it cannot."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from dify_etl.assembly.connection import effective_settings
from dify_etl.defs.checks import IS_FRESH, check_specs
from dify_etl.defs.code_location import code_location
from dify_etl.defs.location import ALONE
from dify_etl.defs.partitions import PARTITION
from dify_etl.defs.resources import MAX_RETRIES, clear_failures, home_held
from dify_etl.defs.schedules import NIGHTLY_SYNC, RANGE_END, RANGE_START, lookback_tags
from dify_etl.dify.errors import DifyUnavailable, LoginRefused
from dify_etl.errors import ActionableError
from dify_etl.feeds.table import FEEDS
from dify_etl.home import LIVE
from dify_etl.sync.lock import home_lock
from dify_etl.sync.opening import OpenHome, open_home
from dify_etl.sync.opt_in import is_read
from dify_etl.sync.run import NoWatcher
from dify_etl.warehouse.database import open_database
from dify_etl.warehouse.errors import WarehouseBusy
from dify_etl_tests.cli.command_line import ServedDify
from dify_etl_tests.cli.small_servers import some_days_ago, today
from dify_etl_tests.defs.night import QUIET, night_of, settings_for
from dify_etl_tests.sync.small_worlds import quiet_world, talk
from dify_etl_tests.sync.workplace import NOW, Workplace

# What brings the rows of DAYS_READ; the other assets of the job would have no part in it.
LISTS = ("apps", "conversations")
DAYS_READ = "SELECT DISTINCT slice_date FROM ops.slices WHERE feed = 'conversations' ORDER BY 1"


def home_config(**given: object) -> dict[str, object]:
    """Run config of the resource."""
    return {"resources": {"dify_home": {"config": given}}}


@pytest.fixture
def place(tmp_path: Path) -> Workplace:
    """One chat app with a talk of yesterday."""
    world = quiet_world("chat")
    talk(world, at=NOW - timedelta(days=1))
    return Workplace(world, tmp_path / "home")


def days_back(*back: int) -> list[tuple[date]]:
    """Rows of local days, so many days before the tests' now."""
    return [((NOW - timedelta(days=days)).date(),) for days in back]


def test_partitions_alone_are_the_window(place: Workplace) -> None:
    """Without catch_up a run reads the days of its partitions, and no other."""
    night_of(place, home_config(), LISTS)
    assert place.rows(DAYS_READ) == days_back(3, 2, 1, 0)


def test_catch_up_reads_what_was_never_read(place: Workplace) -> None:
    """As every night: all days since the start date that the ledger do not know."""
    night_of(place, home_config(catch_up=True), LISTS)
    assert place.rows(DAYS_READ) == days_back(*range(20, -1, -1))


def test_full_reads_all_days_whatever_the_partitions(place: Workplace) -> None:
    """Settled or not, since the start date."""
    night_of(place, home_config(), LISTS)
    night_of(place, home_config(full=True), LISTS)
    assert place.rows(DAYS_READ) == days_back(*range(20, -1, -1))


def test_old_read_fails_the_freshness_check(place: Workplace) -> None:
    """A feed that was last read two days ago is not fresh; the check says when it was."""
    night_of(place, only=(*LISTS, "workflow_runs", "node_executions"))
    with open_database(place.home / LIVE) as database:
        database.execute("UPDATE ops.runs SET ended_at = ended_at - INTERVAL 2 DAY")
    failed = {check.asset_key.path[-1] for check in checks_of(place) if not check.passed}
    assert {"apps", "conversations", "node_executions"} <= failed


def checks_of(place: Workplace) -> list[dg.AssetCheckEvaluation]:
    """What the freshness checks alone say."""
    settings = settings_for(place.home)
    read = [feed for feed in FEEDS if is_read(feed.name, settings)]
    keys = [spec.key for feed in read for spec in check_specs(feed, ALONE) if spec.name == IS_FRESH]
    chosen = dg.AssetSelection.checks(*keys)
    checks = dg.Definitions(jobs=[dg.define_asset_job("checks", selection=chosen)])
    with open_by_hand(place) as opened, dg.DagsterInstance.ephemeral() as instance:
        location = code_location(settings, home_held(opened))
        job = dg.Definitions.merge(location, checks).resolve_job_def("checks")
        assert job.execute_in_process(instance=instance, run_config=QUIET).success
        storage = instance.event_log_storage
        found = [storage.get_asset_check_execution_history(key, limit=1)[0] for key in keys]
    events = [one.event.dagster_event for one in found if one.event is not None]
    return [one.asset_check_evaluation_data for one in events if one is not None]


def run_nightly(
    config: dict[str, object], only: Sequence[str] = (), tags: dict[str, str] | None = None
) -> dg.ExecuteInProcessResult:
    """Run the job as Dagster does: the resource opens the home by the settings; `only` chooses of
    the assets of raw, `tags` the days.
    """
    settings = effective_settings()
    job = code_location(settings).resolve_job_def(NIGHTLY_SYNC)
    yesterday = {RANGE_START: some_days_ago(1), RANGE_END: today().isoformat()}
    with dg.DagsterInstance.ephemeral() as instance:
        return job.execute_in_process(
            instance=instance,
            tags=yesterday if tags is None else tags,
            run_config=config | QUIET,
            asset_selection=[dg.AssetKey(["raw", name]) for name in only] or None,
            raise_on_error=False,
        )


def test_everything_can_be_materialised_on_a_fresh_install(own_settings: ServedDify) -> None:
    """ "Materialize all" without a policy file is green; what needs the file, or a setting, is
    skipped.
    """
    definitions = code_location(effective_settings())
    tags = {RANGE_START: some_days_ago(1), RANGE_END: today().isoformat()}
    with dg.DagsterInstance.ephemeral() as instance:
        result = definitions.resolve_implicit_global_asset_job_def().execute_in_process(
            instance=instance, tags=tags, run_config=QUIET
        )
    assert result.success
    made = {event.asset_key for event in result.get_asset_materialization_events()}
    expected = {*definitions.resolve_all_asset_keys()}
    assert {key.to_user_string() for key in expected - made} == {
        "api_key_rotation_plan",
        "api_keys_rotated",
        "api_keys_revoked",
        "raw/document_segments",
    }


def failures_of(result: dg.ExecuteInProcessResult) -> str:
    """All that the failed events say."""
    events = [event for event in result.all_events if event.is_failure]
    told = [event.message or "" for event in events]
    told += [str(event.event_specific_data) for event in events]
    return " ".join(told)


def test_run_opens_its_home_by_the_settings(own_settings: ServedDify, tmp_path: Path) -> None:
    """Nothing but the environment is needed; afterwards lock and file are free."""
    assert run_nightly(home_config(catch_up=True), ("apps",)).success
    with (
        home_lock(tmp_path / "home", wait_seconds=0),
        open_database(tmp_path / "home" / LIVE) as db,
    ):
        assert db.value("SELECT count(*) FROM raw.apps") == 3


def test_unknown_app_ends_the_run_before_anything_is_read(
    own_settings: ServedDify, tmp_path: Path
) -> None:
    """A name that Dify does not have is told once, not by every asset."""
    result = run_nightly(home_config(apps=["no such app"]))
    assert not result.success
    assert "Dify has no app with the id or name 'no such app'" in failures_of(result)
    assert result.get_asset_materialization_events() == []
    with open_database(tmp_path / "home" / LIVE) as database:
        assert database.value("SELECT count(*) FROM ops.slices") == 0


def test_days_that_cannot_be_read_end_the_run(own_settings: ServedDify, tmp_path: Path) -> None:
    """In the future, reversed or before the start date: as on the command line. Dagster
    starts such runs, by tags that the UI or its API is given.
    """
    start, now = some_days_ago(2), today().isoformat()
    for tags, says in (
        ({PARTITION: "2030-01-01"}, "2030-01-01 lies in the future"),
        ({RANGE_START: now, RANGE_END: start}, f"the end {start} is before the start {now}"),
        ({PARTITION: "2020-01-01"}, f"2020-01-01 is before the start date {start}"),
    ):
        result = run_nightly(home_config(catch_up=True), only=LISTS, tags=tags)
        assert not result.success
        assert says in failures_of(result)
        assert f"Choose days from {start}" in failures_of(result)
        assert result.get_asset_materialization_events() == []
    assert run_nightly(home_config(), only=("apps",), tags={PARTITION: now}).success
    with open_database(tmp_path / "home" / LIVE) as database:
        assert database.rows("SELECT DISTINCT feed FROM ops.slices") == [("apps",)]


def test_wrong_password_ends_the_run_clearly(
    own_settings: ServedDify, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The events name endpoint and remedy, and hold no password."""
    monkeypatch.setenv("DIFY_PASSWORD", "Wrong-pass-1")
    result = run_nightly(home_config())
    told = failures_of(result)
    assert not result.success
    assert "POST /console/api/login" in told
    assert "Check e-mail and password" in told
    assert "Wrong-pass-1" not in " ".join(str(event) for event in result.all_events)


PASSING = (
    WarehouseBusy("held", where="live", hint="Wait."),
    DifyUnavailable("down", where="GET /apps", hint="Wait."),
)
LASTING = LoginRefused("refused", where="POST /login", hint="Correct it.")


@pytest.mark.parametrize(("failed_tries", "seconds"), [(0, 30), (1, 60)])
@pytest.mark.parametrize("error", PASSING, ids=lambda error: type(error).__name__)
def test_passing_error_is_tried_again_later(
    error: ActionableError, failed_tries: int, seconds: float
) -> None:
    """A held file or a server that is down may be well in half a minute, or a whole one."""
    with (
        pytest.raises(dg.RetryRequested) as caught,
        clear_failures(failed_tries=failed_tries),
    ):
        raise error
    assert caught.value.seconds_to_wait == seconds


def test_tries_end() -> None:
    """After the last one the error is told."""
    with pytest.raises(dg.Failure), clear_failures(failed_tries=MAX_RETRIES):
        raise PASSING[0]


def test_lasting_error_fails_at_once() -> None:
    """A refused login is never repeated: the account would be locked."""
    with pytest.raises(dg.Failure) as caught, clear_failures(failed_tries=0):
        raise LASTING
    assert not caught.value.allow_retries
    told = {key: value.value for key, value in caught.value.metadata.items()}
    assert told == {
        "error": "LoginRefused",
        "what": "refused",
        "where": "POST /login",
        "what to do": "Correct it.",
    }


def test_bug_is_neither_hidden_nor_repeated() -> None:
    """What is no error of ours passes through as it is."""
    with pytest.raises(KeyError), clear_failures(failed_tries=0):
        raise KeyError("bug")


def test_nothing_is_repeated_where_somebody_waits(place: Workplace) -> None:
    """On a terminal a passing error shows at once."""
    context = dg.build_asset_context()
    with open_by_hand(place) as opened:
        tries = home_held(opened).failed_tries(context)
    with pytest.raises(dg.Failure), clear_failures(failed_tries=tries):
        raise PASSING[0]


@contextmanager
def open_by_hand(place: Workplace) -> Iterator[OpenHome]:
    """The home of the workplace, open as the command line opens it."""
    how: dict[str, Any] = {"rules": place.rules, "run_id": "by hand", "watch": NoWatcher()}
    with place.client() as dify, open_home(dify, place.home, **how) as opened:
        yield opened


def test_definitions_load_without_a_warning(tmp_path: Path) -> None:
    """In a fresh interpreter, with every warning an error."""
    code = (
        "import dify_etl.definitions as loaded; print(len(loaded.defs.resolve_all_asset_specs()))"
    )
    loaded = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert loaded.returncode == 0, loaded.stderr
    assert loaded.stderr == ""
    assert int(loaded.stdout) > 30


def test_lookback_never_begins_before_the_start_date(tmp_path: Path) -> None:
    """A young start date shortens the first nights."""
    settings = settings_for(tmp_path).model_copy(update={"lookback_days": 300})
    tags = lookback_tags(settings, NOW)
    assert tags == {RANGE_START: settings.start_date.isoformat(), RANGE_END: "2026-03-12"}


def test_lookback_counts_days_of_the_zone(tmp_path: Path) -> None:
    """At 15:30 UTC it is tomorrow in Auckland."""
    settings = settings_for(tmp_path).model_copy(update={"timezone": "Pacific/Auckland"})
    assert lookback_tags(settings, NOW)[RANGE_END] == "2026-03-13"
