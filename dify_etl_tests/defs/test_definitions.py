"""What Dagster is shown: assets, partitions, checks, the schedule; what a night does with them."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from dify_etl.defs.code_location import code_location
from dify_etl.defs.groups import GROUPS
from dify_etl.defs.location import ALONE
from dify_etl.defs.schedules import NIGHTLY_SYNC, RANGE_END, RANGE_START
from dify_etl.feeds.table import FEEDS
from dify_etl.raw.tables import RAW_TABLES
from dify_etl.sync.opt_in import OPT_IN
from dify_etl_tests.defs.night import Night, night_of, settings_for
from dify_etl_tests.sync.small_worlds import app_of, quiet_world, run, talk
from dify_etl_tests.sync.workplace import NOW, Workplace
from dify_etl_tests.warehouse.good_models import load_models

SCHEMAS = ("raw", "staging", "marts", "exports")
MODES = ("chat", "agent-chat", "workflow", "completion", "advanced-chat")
DAILY = {name for feed in FEEDS if feed.is_daily for name in feed.tables}


@pytest.fixture(scope="module")
def definitions(tmp_path_factory: pytest.TempPathFactory) -> dg.Definitions:
    return code_location(settings_for(tmp_path_factory.mktemp("home")))


@pytest.fixture(scope="module")
def specs(definitions: dg.Definitions) -> dict[str, dg.AssetSpec]:
    return {"/".join(spec.key.path): spec for spec in definitions.resolve_all_asset_specs()}


def busy_place(home: Path) -> Workplace:
    place = Workplace(quiet_world(*MODES), home)
    for days in range(3):
        talk(place.world, at=NOW - timedelta(days=days, hours=1))
        run(place.world, at=NOW - timedelta(days=days, hours=1))
    return place


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workplace, Night]:
    place = busy_place(tmp_path_factory.mktemp("night"))
    return place, night_of(place)


def test_definitions_load_in_a_fresh_interpreter() -> None:
    """`dagster definitions validate` accepts the code location of workspace.yaml."""
    validated = subprocess.run(
        [sys.executable, "-m", "dagster", "definitions", "validate", "-m", "dify_etl.definitions"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert validated.returncode == 0, validated.stderr


def test_every_table_and_model_is_an_asset(specs: dict[str, dg.AssetSpec]) -> None:
    """One asset per raw table, feed and SQL file, the copy, the verdict, indexing, the API keys."""
    raw = {f"raw/{name}" for name in RAW_TABLES}
    models = {f"{model.schema}/{model.name}" for model in load_models()}
    keys = {"/".join(key.path) for key in ALONE.rotation}
    others = {"models_tried", "published_copy", "report", "status", "sync_verdict"}
    others |= {"indexing_report"}
    feeds = {f"feeds/{feed.name}" for feed in FEEDS}
    assert set(specs) == raw | feeds | models | keys | others


def test_assets_say_what_they_are(specs: dict[str, dg.AssetSpec]) -> None:
    """Each asset has a description and a group; tables have kinds and a schema with sentences."""
    for key, spec in specs.items():
        assert spec.description, key
        assert spec.group_name in GROUPS, key
        assert key.split("/")[0] not in SCHEMAS or spec.group_name.endswith(key.split("/")[0]), key
        if "/" in key and not key.startswith("feeds/"):
            schema = spec.metadata["dagster/column_schema"]
            assert "duckdb" in spec.kinds, key
            assert all(column.description for column in schema.columns), key


def test_groups_come_in_the_order_of_the_data(specs: dict[str, dg.AssetSpec]) -> None:
    """Dagster sorts them by name; what is done to Dify hangs on what nights read of it."""
    assert list(GROUPS) == sorted({spec.group_name or "" for spec in specs.values()})
    for key, feed in {
        "api_key_inventory": "app_api_keys",
        "indexing_report": "documents",
    }.items():
        assert dg.AssetKey(["feeds", feed]) in {dep.asset_key for dep in specs[key].deps}


def test_feeds_with_days_have_daily_partitions(specs: dict[str, dg.AssetSpec]) -> None:
    """Exactly the daily feeds have partitions: local days from the start date to today."""
    partitioned = {key for key, spec in specs.items() if spec.partitions_def is not None}
    assert partitioned == {f"raw/{name}" for name in DAILY}
    days = specs["raw/messages"].partitions_def
    assert isinstance(days, dg.DailyPartitionsDefinition)
    assert days.get_first_partition_key() == (NOW - timedelta(days=20)).date().isoformat()
    assert days.get_last_partition_key() == datetime.now(UTC).date().isoformat()


def test_schedules_say_what_turning_them_on_does(definitions: dg.Definitions) -> None:
    """All are described; those that change Dify are off, and say that nobody agrees to a run."""
    found = {one.name: one for one in definitions.schedules or ()}
    assert {*found} == {
        "nightly_sync_schedule",
        "retry_indexing_schedule",
        "rotate_api_keys_schedule",
    }
    night = found.pop("nightly_sync_schedule")
    assert isinstance(night, dg.ScheduleDefinition)
    assert night.default_status == dg.DefaultScheduleStatus.RUNNING
    assert "changes nothing in Dify" in str(night.description)
    for one in found.values():
        assert isinstance(one, dg.ScheduleDefinition)
        assert one.default_status == dg.DefaultScheduleStatus.STOPPED
        assert "nobody is shown a plan or asked to agree" in str(one.description)
    assert "revokes API keys" in str(found["rotate_api_keys_schedule"].description)


def test_schedule_asks_for_one_run_over_the_lookback(definitions: dg.Definitions) -> None:
    """At 1:30 one run is asked for: from the look-back's first day to today, catching up."""
    schedule = definitions.resolve_schedule_def("nightly_sync_schedule")
    with dg.build_schedule_context(
        scheduled_execution_time=datetime(2026, 11, 20, 1, 30, tzinfo=UTC)
    ) as context:
        (request,) = schedule.evaluate_tick(context).run_requests or ()
    assert schedule.cron_schedule == "30 1 * * *"
    assert schedule.job_name == NIGHTLY_SYNC
    assert (request.tags[RANGE_START], request.tags[RANGE_END]) == ("2026-11-17", "2026-11-20")
    assert request.run_config["resources"] == {"dify_home": {"config": {"catch_up": True}}}


def test_night_passes_with_all_its_checks(night: tuple[Workplace, Night]) -> None:
    """Every step succeeds; tables are whole, keys unique, feeds fresh, quarantine empty."""
    _, ran = night
    checks = ran.result.get_asset_check_evaluations()
    assert ran.failed_steps() == []
    of_the_workspace = 2  # the verdict's own, and that no figure differs
    of_data = 2 * len(RAW_TABLES) + 2 * len(FEEDS) - len(OPT_IN) + len(load_models())
    assert len(checks) == of_data + of_the_workspace
    assert [check.check_name for check in checks if not check.passed] == []


def test_feed_that_is_off_is_not_read(night: tuple[Workplace, Night]) -> None:
    """Its step passes and says which setting asks for it; no table is told, nothing stands there,
    and no check of freshness waits for it.
    """
    place, ran = night
    told = ran.metadata_of_key(ALONE.feed("document_segments"))
    assert told == {"not read": "DIFY_ETL_SEGMENTS is not set to true"}
    made = {event.asset_key for event in ran.result.get_asset_materialization_events()}
    assert ALONE.raw("document_segments") not in made
    checks = ran.result.get_asset_check_evaluations()
    names = {one.check_name for one in checks if one.asset_key == ALONE.raw("document_segments")}
    assert names == {"is_whole", "key_is_unique", "nothing_in_quarantine"}
    assert place.rows("FROM ops.slices WHERE feed = 'document_segments'") == []


def test_feed_that_is_asked_for_is_read(tmp_path: Path) -> None:
    """With the setting it is an asset as any other, and has to be fresh."""
    place = Workplace(quiet_world("chat"), tmp_path).with_rules(segments=True)
    for document_id in list(place.world.documents)[2:]:
        place.world.delete_document(document_id)
    place.read(("datasets", "documents"))
    ran = night_of(place, only=("document_segments",))
    assert ran.metadata_of("document_segments")["rows new"] == 4
    checks = ran.result.get_asset_check_evaluations()
    fresh = [one.passed for one in checks if one.asset_key == ALONE.raw("document_segments")]
    assert fresh == [True] * 4


def test_materialisation_tells_what_it_took(night: tuple[Workplace, Night]) -> None:
    """Rows by kind of change, requests, bytes, seconds, slices, and the rows of each day."""
    place, ran = night
    day = (NOW - timedelta(days=1)).date().isoformat()
    told = ran.metadata_of("conversations", day)
    assert told["rows new"] == 3
    assert (told["rows changed"], told["rows unchanged"], told["retries"]) == (0, 0, 0)
    assert isinstance(told["received bytes"], int)
    assert told["received bytes"] > 0
    assert isinstance(told["slices"], dict)
    assert set(told["slices"]) == {"proven"}
    assert told["dagster/partition_row_count"] == place.value(
        f"SELECT count(*) FROM raw.conversations WHERE created_at::DATE = '{day}'"
    )


def test_models_show_the_types_that_duckdb_found(night: tuple[Workplace, Night]) -> None:
    """Columns of marts and views with type and sentence, in the order of the table."""
    _, ran = night
    told = ran.metadata_of_key(ALONE.model("marts.costs"))["dagster/column_schema"]
    assert isinstance(told, dg.TableSchema)
    found = {column.name: (column.type, column.description) for column in told.columns}
    assert found["total_price"][0] == "DECIMAL(38,10)"
    assert found["usage_date"] == (
        "DATE",
        "Local day of the question, in workflow apps of the node's start.",
    )
    assert next(iter(found)) == "workspace_id"


def test_models_show_what_their_columns_are_made_of(night: tuple[Workplace, Night]) -> None:
    """Columns of other assets, through views and parts of the query; a count of rows is of none."""
    _, ran = night
    told = ran.metadata_of_key(ALONE.model("marts.latency"))["dagster/column_lineage"]
    assert isinstance(told, dg.TableColumnLineage)
    found = {
        column: [(one.asset_key, one.column_name) for one in deps]
        for column, deps in told.deps_by_column.items()
    }
    messages = ALONE.model("staging.stg_messages")
    assert found["p95_seconds"] == [(messages, "latency_seconds")]
    assert found["tokens_per_second"] == [
        (messages, "answer_tokens"),
        (messages, "latency_seconds"),
    ]
    assert found["messages"] == []


def test_doubled_key_fails_its_check(tmp_path: Path) -> None:
    """A table whose key is not unique is found out by its check, which names the key."""
    place = busy_place(tmp_path)
    place.read(("apps",))
    with place.opened() as sync:
        sync.database.execute("INSERT INTO raw.members (account_id) VALUES ('twice'), ('twice')")
    ran = night_of(place, only=("members",))
    (bad,) = [check for check in ran.result.get_asset_check_evaluations() if not check.passed]
    assert (bad.asset_key.path[-1], bad.check_name) == ("members", "key_is_unique")
    assert "twice" in str(bad.metadata["keys"].value)


def test_config_reads_only_the_chosen_app(tmp_path: Path) -> None:
    """`apps` in the run config limits the read to them, by name."""
    place = busy_place(tmp_path)
    chosen = app_of(place.world, "workflow")
    config: dict[str, object] = {"resources": {"dify_home": {"config": {"apps": [chosen.name]}}}}
    night_of(place, config, ("apps", *sorted(DAILY)))
    assert place.rows("SELECT DISTINCT app_id FROM ops.slices WHERE slice_date IS NOT NULL") == [
        (chosen.id,)
    ]
