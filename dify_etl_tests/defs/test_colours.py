"""What Dagster shows after bad nights: no green where something is missing."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import httpx
import pytest
from dagster._core.loader import LoadingContextForTest

from dify_etl.defs.code_location import code_location
from dify_etl.defs.location import ALONE
from dify_etl.defs.resources import home_held
from dify_etl.defs.schedules import NIGHTLY_SYNC, RANGE_END, RANGE_START, night_config
from dify_etl.feeds.table import FEEDS
from dify_etl.home import COPY, LIVE
from dify_etl.sync.accepting import accept, find_bad
from dify_etl.sync.opening import open_home
from dify_etl.sync.run import NoWatcher
from dify_etl.warehouse.database import open_database
from dify_etl_tests.defs.night import QUIET, settings_for
from dify_etl_tests.duckdb_files import opened_to_read
from dify_etl_tests.sync.answers_changed import ChangedAnswers
from dify_etl_tests.sync.small_worlds import app_of, quiet_world, talk
from dify_etl_tests.sync.workplace import NOW, Workplace

DAYS = [(NOW - timedelta(days=back)).date().isoformat() for back in (3, 2, 1, 0)]
RANGE = {RANGE_START: DAYS[0], RANGE_END: DAYS[-1]}
CONVERSATIONS = dg.AssetKey(["raw", "conversations"])
WHOLE = dg.AssetCheckKey(CONVERSATIONS, "is_whole")
VERDICT = dg.AssetKey("sync_verdict")
# Whole nights are for what the whole of them shows: of most it is one list.
LISTS = [dg.AssetKey(["raw", "apps"]), CONVERSATIONS]


class Nights:
    """Runs on one home and one instance, with a Dify that refuses what it is told to."""

    def __init__(self, place: Workplace, instance: dg.DagsterInstance) -> None:
        self.place, self.instance = place, instance
        self.refuse: Callable[[str], int | None] = lambda path: None
        inner = httpx.WSGITransport(app=place.server)
        self.change: Callable[[str, Any], Any] = lambda path, answer: answer
        place.transport = ChangedAnswers(
            inner,
            lambda path, answer: self.change(path, answer),
            refuse=lambda path: self.refuse(path),
        )
        self.settings = settings_for(place.home)
        place.with_rules(
            start_date=self.settings.start_date, lookback_days=self.settings.lookback_days
        )
        self.runs = 0

    def run(self, tags: dict[str, str] | None = None, **chosen: Any) -> dg.ExecuteInProcessResult:
        """One run of the nightly job, over the look-back when no tags are given."""
        with self.location() as location:
            return location.resolve_job_def(NIGHTLY_SYNC).execute_in_process(
                instance=self.instance,
                tags=RANGE if tags is None else tags,
                run_config=chosen.pop("config", night_config()) | QUIET,
                raise_on_error=False,
                **chosen,
            )

    def judge(self, checks: dg.Definitions) -> dg.ExecuteInProcessResult:
        """A run of the job `checks`, which reads nothing."""
        with self.location() as location:
            job = dg.Definitions.merge(location, checks).resolve_job_def("checks")
            return job.execute_in_process(
                instance=self.instance, run_config=QUIET, raise_on_error=False
            )

    @contextmanager
    def location(self) -> Iterator[dg.Definitions]:
        """The code location over the open home, for one run."""
        self.runs += 1
        with (
            self.place.client() as dify,
            open_home(
                dify,
                self.place.home,
                rules=self.place.rules,
                run_id=f"night {self.runs}",
                watch=NoWatcher(),
                wait_seconds=1.0,
            ) as opened,
        ):
            yield code_location(self.settings, home_held(opened))

    def told_days(self, run: dg.ExecuteInProcessResult) -> list[str]:
        """Days of raw/conversations that the run materialised."""
        events = run.get_asset_materialization_events()
        return sorted(str(event.partition) for event in events if event.asset_key == CONVERSATIONS)

    def check(self, name: str = "is_whole", table: str = "conversations") -> tuple[bool, str]:
        """The last evaluation of a check, and what it says."""
        key = dg.AssetCheckKey(dg.AssetKey(["raw", table]), name)
        (record,) = self.instance.event_log_storage.get_asset_check_execution_history(key, limit=1)
        assert record.event is not None
        assert record.event.dagster_event is not None
        found = record.event.dagster_event.asset_check_evaluation_data
        return found.passed, " ".join(str(one.value) for one in found.metadata.values())


@pytest.fixture
def nights(tmp_path: Path) -> Iterator[Nights]:
    """A chat app with a talk on each of two days, and a quiet one."""
    world = quiet_world("chat", "agent-chat")
    talk(world, at=NOW - timedelta(days=1))
    talk(world, at=NOW - timedelta(days=2))
    with dg.DagsterInstance.ephemeral() as instance:
        yield Nights(Workplace(world, tmp_path / "home"), instance)


def refuses(app_id: str) -> Callable[[str], int | None]:
    """The lists of conversations of an app answer 403."""
    return lambda path: 403 if f"/apps/{app_id}/chat-conv" in path else None


def test_new_day_that_failed_is_not_materialised(nights: Nights) -> None:
    """No event for the days, an ERROR that names the app; models and copy come all the same. The
    verdict alone fails, and names feed, app and days; what is good of another app is published.
    """
    talk(nights.place.world, at=NOW - timedelta(days=1), mode="agent-chat")
    app = app_of(nights.place.world, "chat")
    nights.refuse = refuses(app.id)
    run = nights.run()
    (failure,) = [event for event in run.all_events if event.is_step_failure]
    assert failure.step_key == "sync_verdict"
    verdict = failure.step_failure_data.user_failure_data
    assert verdict is not None
    table = str(verdict.metadata["slices"].value)
    assert "| conversations |" in table
    assert app.name in table
    with opened_to_read(nights.place.home / COPY) as copy:
        assert copy.execute("SELECT count(*) FROM marts.app_daily_usage").fetchall()[0][0]
    assert nights.told_days(run) == []
    passed, told = nights.check()
    assert not passed
    assert app.name in told
    assert DAYS[-1] in told
    assert not nights.check(table="message_citations")[0]
    made = {event.asset_key for event in run.get_asset_materialization_events()}
    behind = {dg.AssetKey("published_copy"), dg.AssetKey("report")}
    assert {dg.AssetKey(["marts", "app_daily_usage"])} | behind <= made


def test_day_that_was_good_before_turns_red_and_heals(nights: Nights) -> None:
    """A bad night tells no day anew and its check says so; the next good one tells all again."""
    assert nights.told_days(nights.run(asset_selection=LISTS)) == DAYS
    assert nights.check()[0]
    nights.refuse = refuses(app_of(nights.place.world, "chat").id)
    assert nights.told_days(nights.run(asset_selection=LISTS)) == []
    assert not nights.check()[0]
    seen = nights.instance.fetch_observations(CONVERSATIONS, limit=1).records[0]
    assert seen.asset_observation is not None
    assert "missing" in seen.asset_observation.metadata
    nights.refuse = lambda path: None
    # Days of history that the bad night's deep read could not list are told again, too.
    assert nights.told_days(nights.run(asset_selection=LISTS))[-len(DAYS) :] == DAYS
    assert nights.check()[0]


def test_run_over_one_app_tells_no_day_that_others_lack(nights: Nights) -> None:
    """Not of the feeds that it read, nor of those that were never asked; each day says who lacks
    it. A run over all apps tells them; after it a run over one app leaves nothing out.
    """
    raw = ("apps", "conversations", "workflow_runs", "daily_statistics", "annotations")
    chosen = [key for name in raw for key in (ALONE.raw(name), ALONE.feed(name))]
    tables = {ALONE.raw(name) for name in raw}
    nights.place.world.add_app(
        name="a flow",
        mode="workflow",
        at=NOW - timedelta(days=50),
        created_by=nights.place.world.account_id,
        tenant_id=nights.place.world.workspace_id,
    )
    name = app_of(nights.place.world, "chat").name
    config: dict[str, Any] = {"resources": {"dify_home": {"config": {"apps": [name]}}}}
    run = nights.run(asset_selection=chosen, config=config)
    assert run.success
    assert [one.asset_key for one in _made(run) if one.asset_key in tables] == [ALONE.raw("apps")]
    for key, lacking in (
        ("conversations", "the agent-chat app"),
        ("workflow_runs", "a flow"),
        ("daily_statistics", "a flow"),
        ("annotations", "the agent-chat app"),
    ):
        seen = nights.instance.fetch_observations(dg.AssetKey(["raw", key]), limit=9).records
        days = {one.partition_key for one in seen}
        assert days == ({None} if key == "annotations" else set(DAYS)), key
        observed = seen[0].asset_observation
        assert observed is not None
        assert lacking in str(observed.metadata["never read"].value)
    for narrowed in ({}, config):
        run = nights.run(asset_selection=chosen, config=narrowed)
        told = {
            (one.asset_key.path[-1], one.partition) for one in _made(run) if one.asset_key in tables
        }
        assert told == {
            *(("apps", None), ("annotations", None)),
            *((key, day) for key in ("conversations", "workflow_runs", "daily_statistics")
              for day in DAYS),
        }  # fmt: skip


def _made(run: dg.ExecuteInProcessResult) -> list[dg.AssetMaterialization]:
    return [
        event.step_materialization_data.materialization
        for event in run.get_asset_materialization_events()
    ]


def test_days_without_an_app_that_has_them_are_whole(nights: Nights) -> None:
    """A workspace without workflows misses no run, on days after those of a workflow that is gone,
    too.
    """
    runs = dg.AssetKey(["raw", "workflow_runs"])
    chosen = [dg.AssetKey(["raw", "apps"]), runs]
    told = {one.partition for one in _made(nights.run(asset_selection=chosen))}
    assert set(DAYS) <= told
    with open_database(nights.place.home / LIVE) as database:
        database.execute(
            "INSERT INTO ops.slices BY NAME SELECT 'workflow_runs' AS feed, 'gone' AS app_id, "
            "'proven' AS state, ?::DATE AS slice_date",
            [NOW.date() - timedelta(days=9)],
        )
    told = {one.partition for one in _made(nights.run(asset_selection=chosen))}
    assert set(DAYS) <= told


def test_backfill_of_raw_assets_tells_whole_days_only(nights: Nights) -> None:
    """A range of partitions of daily assets alone, as the UI asks for it in one run."""
    daily = [dg.AssetKey(["raw", n]) for feed in FEEDS if feed.is_daily for n in feed.tables]
    apps = [dg.AssetKey(["raw", "apps"])]
    nights.run(asset_selection=apps)
    config: dict[str, Any] = {"resources": {"dify_home": {"config": {}}}}
    assert nights.told_days(nights.run(asset_selection=daily, config=config)) == DAYS
    nights.refuse = refuses(app_of(nights.place.world, "chat").id)
    run = nights.run(asset_selection=daily, config=config)
    assert run.success
    assert nights.told_days(run) == []
    assert not nights.check()[0]


def test_full_list_that_failed_is_not_materialised(nights: Nights) -> None:
    """Members that were refused: no event, a red check, and what needs them is read."""
    nights.refuse = lambda path: 500 if path.endswith("/members") else None
    lists = [dg.AssetKey(["raw", name]) for name in ("apps", "members", "datasets", "documents")]
    run = nights.run(asset_selection=lists)
    made = {event.asset_key for event in run.get_asset_materialization_events()}
    assert dg.AssetKey(["raw", "members"]) not in made
    assert dg.AssetKey(["raw", "datasets"]) in made
    assert not nights.check(table="members")[0]


def test_a_read_that_failed_makes_nothing_fresh(nights: Nights) -> None:
    """Freshness is that of the last read that brought something."""
    nights.refuse = lambda path: 500 if path.endswith("/members") else None
    nights.run(asset_selection=[dg.AssetKey(["raw", "members"])])
    assert nights.check("is_fresh", "members") == (False, "never")


def test_verdict_shows_the_last_night(nights: Nights) -> None:
    """After a good night and a bad one its newest event is the bad verdict, with its table."""
    nights.run(asset_selection=[*LISTS, VERDICT])
    nights.refuse = refuses(app_of(nights.place.world, "chat").id)
    nights.run(asset_selection=[*LISTS, VERDICT])
    event = nights.instance.get_latest_materialization_event(VERDICT)
    assert event is not None
    assert event.asset_materialization is not None
    told = event.asset_materialization.metadata
    assert "could not be read whole" in str(told["verdict"].value)
    assert "| conversations |" in str(told["slices"].value)


def test_run_without_partitions_is_the_night(nights: Nights) -> None:
    """As "Launch run" without a partition: the look-back's days are told, checks have results."""
    run = nights.run({}, config={}, asset_selection=[*LISTS, VERDICT])
    assert run.success
    assert nights.told_days(run) == DAYS
    assert nights.check()[0]
    assert nights.place.value("SELECT count(DISTINCT slice_date) FROM ops.slices") == 21


def test_check_of_a_run_without_partitions_is_of_its_days(nights: Nights) -> None:
    """A hole of before, in a feed that is read well within one second: the UI shows the check as
    evaluated for the newest materialisation, and red.
    """
    nights.run({}, config={}, asset_selection=LISTS)
    with open_database(nights.place.home / LIVE) as database:
        database.execute(
            "UPDATE ops.slices SET state = 'incomplete', reason = 'planted', tries = 6 "
            "WHERE feed = 'conversations' AND slice_date = ?",
            [NOW.date() - timedelta(days=12)],
        )
    assert nights.told_days(nights.run({}, config={}, asset_selection=LISTS)) == DAYS
    for name in ("is_whole", "nothing_in_quarantine", "is_fresh"):
        key = dg.AssetCheckKey(CONVERSATIONS, name)
        storage = nights.instance.event_log_storage
        (record,) = storage.get_asset_check_execution_history(key, limit=1)
        # Dagster without what the check is of compares whole seconds.
        record = record._replace(create_timestamp=int(record.create_timestamp) - 1)
        loading = LoadingContextForTest(nights.instance)
        assert asyncio.run(record.targets_latest_materialization(loading)), name
        assert record.evaluation is not None
        assert record.evaluation.passed == (name != "is_whole")


def test_accepted_hole_is_named_and_fails_no_check(nights: Nights) -> None:
    """Of its table, and until it changes; the day is as the ledger has it, not whole."""
    nights.run({}, config={}, asset_selection=LISTS)
    day = NOW.date() - timedelta(days=1)
    with open_database(nights.place.home / LIVE) as database:
        database.execute(
            "UPDATE ops.slices SET state = 'incomplete', reason = 'planted' "
            "WHERE feed = 'conversations' AND slice_date = ? AND app_id = ?",
            [day, app_of(nights.place.world, "chat").id],
        )
        how: dict[str, Any] = {"until": None, "by": "ops", "now": NOW}
        with database.transaction():
            accept(database, find_bad(database, ["conversations"]), why="purged [x](y)", **how)
    checks = dg.Definitions(jobs=[dg.define_asset_job("checks", dg.AssetSelection.checks(WHOLE))])
    assert nights.judge(checks).success
    passed, told = nights.check()
    assert passed
    assert told == f"- the chat app, {day}: purged \\[x\\](y)"
    with open_database(nights.place.home / LIVE) as database:
        database.execute("UPDATE ops.slices SET reason = 'another' WHERE reason = 'planted'")
    nights.judge(checks)
    passed, told = nights.check()
    assert not passed
    assert "another" in told


def test_night_tells_the_days_that_a_run_over_one_app_left_open(nights: Nights) -> None:
    """Older than those that it reads anew: it brings what the other apps lack of them."""
    days = [(NOW - timedelta(days=back)).date().isoformat() for back in (12, 11)]
    config = {"resources": {"dify_home": {"config": {"apps": ["the chat app"]}}}}
    tags = {RANGE_START: days[0], RANGE_END: days[1]}
    assert nights.told_days(nights.run(tags, asset_selection=LISTS, config=config)) == []
    assert [day for day in nights.told_days(nights.run(asset_selection=LISTS)) if day in days] == (
        days
    )


def test_list_whose_only_hole_is_accepted_is_told(nights: Nights) -> None:
    """Else it would count as stale for ever, while its check passes."""
    api_keys = dg.AssetKey(["raw", "app_api_keys"])
    chat = app_of(nights.place.world, "chat").id
    nights.refuse = lambda path: 500 if f"/apps/{chat}/api-keys" in path else None

    def is_told() -> bool:
        apps = [dg.AssetKey(["raw", "apps"]), dg.AssetKey(["feeds", "apps"])]
        run = nights.run(asset_selection=[*apps, api_keys])
        return api_keys in {one.asset_key for one in run.get_asset_materialization_events()}

    assert not is_told()
    with open_database(nights.place.home / LIVE) as database, database.transaction():
        bad = find_bad(database, ["app_api_keys"])
        assert bad
        accept(database, bad, why="gone", until=None, by="ops", now=NOW)
    assert is_told()


def test_run_without_partitions_says_what_failed(nights: Nights) -> None:
    """A bad night is red in that way of starting it, too."""
    nights.refuse = refuses(app_of(nights.place.world, "chat").id)
    run = nights.run({}, config={}, asset_selection=[*LISTS, VERDICT])
    assert [event.step_key for event in run.all_events if event.is_step_failure] == ["sync_verdict"]
    assert nights.told_days(run) == []
    assert not nights.check()[0]


def test_day_with_rows_in_quarantine_is_not_materialised(nights: Nights) -> None:
    """Conversations without an id: their days are not told, and two checks are red."""

    def spoiled(path: str, answer: Any) -> Any:
        for row in answer["data"] if "/chat-conversations" in path else ():
            row["id"] = None
        return answer

    nights.change = spoiled
    told = nights.told_days(nights.run(asset_selection=LISTS))
    assert DAYS[1] not in told
    assert DAYS[2] not in told
    passed, why = nights.check()
    assert not passed
    assert "in quarantine" in why
    assert not nights.check("nothing_in_quarantine")[0]
