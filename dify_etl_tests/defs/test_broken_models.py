"""A SQL file that cannot be built keeps its last table, fails its check, and hinders no other."""

from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest

from dify_etl.defs.location import ALONE
from dify_etl.defs.model_assets import model_assets
from dify_etl.defs.publication import published_copy, sync_verdict
from dify_etl.defs.resources import home_held
from dify_etl.home import COPY
from dify_etl.sync.opening import open_home
from dify_etl.sync.run import NoWatcher
from dify_etl_tests.sync.small_worlds import brief_world
from dify_etl_tests.sync.workplace import Workplace

HEADER = "-- One row per app.\n-- app_id: the app\n"
FILES = {
    "staging/stg_apps": HEADER + "select app_id from raw.apps",
    "marts/good": HEADER + "select app_id from staging.stg_apps",
    "marts/no_syntax": HEADER + "select app_id frm raw.apps",
    "marts/no_header": "select app_id from raw.apps",
    "marts/reads_broken": HEADER + "select app_id from marts.no_syntax",
    "marts/left": HEADER + "select app_id from marts.right",
    "marts/right": HEADER + "select app_id from marts.left",
    "marts/after": HEADER + "select app_id from marts.right",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of SQL files, some of them broken."""
    for name, text in FILES.items():
        path = tmp_path / f"{name}.sql"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return tmp_path


def test_every_file_is_an_asset_broken_or_not(folder: Path) -> None:
    """The code location loads; a broken file says so in its description."""
    specs = {"/".join(spec.key.path): spec for spec in model_assets(folder).specs}
    assert set(specs) == {*FILES, "models_tried"}
    broken = {key for key, spec in specs.items() if "is broken" in str(spec.description)}
    assert broken == {
        "marts/no_syntax",
        "marts/no_header",
        "marts/left",
        "marts/right",
        "marts/after",
    }
    assert [dep.asset_key for dep in specs["marts/good"].deps] == [
        dg.AssetKey(["staging", "stg_apps"])
    ]


def test_sql_that_no_picture_is_made_of_is_an_asset(folder: Path) -> None:
    """Other SQL than lineage knows, and SQL over a broken file, loads all the same."""
    for name, query in {
        "recursive": "with recursive r as (select 1 as app_id union all select app_id + 1 from r "
        "where app_id < 3) select app_id from r",
        "over_broken": "select * from marts.no_syntax union all select app_id from raw.apps",
    }.items():
        (folder / "marts" / f"{name}.sql").write_text(HEADER + query)
    keys = {"/".join(key.path) for key in model_assets(folder).keys}
    assert {"marts/recursive", "marts/over_broken"} <= keys


def published(place: Workplace, sql: str) -> list[tuple[Any, ...]]:
    """What the analysts' copy answers."""
    with duckdb.connect(place.home / COPY, read_only=True) as connection:
        return connection.execute(sql).fetchall()


def build(
    place: Workplace, folder: Path, *names: str, behind: bool = True
) -> dg.ExecuteInProcessResult:
    """Run the models with copy and verdict behind them, or the chosen models alone."""
    assets = [model_assets(folder)]
    if behind:
        assets += [published_copy([ALONE.models_tried]), sync_verdict()]
    keys = [dg.AssetKey(name.split("/")) for name in names]
    with (
        place.client() as dify,
        open_home(dify, place.home, rules=place.rules, run_id="night", watch=NoWatcher()) as opened,
        dg.DagsterInstance.ephemeral() as instance,
    ):
        return dg.materialize(
            assets,
            instance=instance,
            resources={"dify_home": home_held(opened)},
            selection=dg.AssetSelection.assets(*keys) if keys else None,
            raise_on_error=False,
        )


@pytest.fixture
def place(tmp_path: Path) -> Workplace:
    """A workplace whose apps are read."""
    place = Workplace(brief_world(), tmp_path / "home")
    place.read(("apps",))
    return place


def test_broken_files_keep_nothing_from_the_others(place: Workplace, folder: Path) -> None:
    """What is good is built and published; each broken file is named, and the verdict fails."""
    result = build(place, folder)

    failed = [event for event in result.all_events if event.is_step_failure]
    assert [event.step_key for event in failed] == ["sync_verdict"]
    told = failed[0].step_failure_data.user_failure_data
    assert told is not None
    table = str(told.metadata["models"].value)
    assert [name for name in ("no_syntax", "left", "reads_broken") if name not in table] == []
    assert "syntax error" in table
    built = published(place, "SELECT model FROM ops.models WHERE state = 'built' ORDER BY ALL")
    assert built == [("marts.good",), ("staging.stg_apps",)]
    made = {
        event.asset_key.to_user_string()
        for event in result.get_asset_materialization_events()
        if event.asset_key
    }
    assert {"marts/good", "models_tried", "published_copy"} <= made
    assert "marts/no_syntax" not in made
    checks = {
        check.asset_key.to_user_string(): check.passed
        for check in result.get_asset_check_evaluations()
        if check.check_name == "is_built"
    }
    assert (checks["marts/good"], checks["marts/no_syntax"]) == (True, False)


def test_failed_model_keeps_its_last_table(place: Workplace, folder: Path) -> None:
    """Its file breaks, or its data do: the table of the last build is published beside new ones."""
    good = folder / "marts/good.sql"
    build(place, folder, "staging/stg_apps", "marts/good", behind=False)
    good.write_text(HEADER + "select app_id::INTEGER AS app_id from staging.stg_apps")

    build(place, folder)

    apps = published(place, "SELECT count(*) FROM marts.good")
    assert apps == published(place, "SELECT count(*) FROM raw.apps")
    ((state, reason, is_older),) = published(
        place,
        "SELECT state, reason, built_at < failed_since FROM ops.models WHERE model = 'marts.good'",
    )
    assert (state, is_older) == ("failed", True)
    assert "Could not convert" in reason

    good.write_text(FILES["marts/good"])
    build(place, folder)
    assert published(
        place, "SELECT state, reason, failed_since FROM ops.models WHERE model = 'marts.good'"
    ) == [("built", None, None)]


@pytest.mark.parametrize(
    ("name", "says"),
    [("no_syntax", "syntax error"), ("no_header", "grain"), ("left", "marts.right")],
)
def test_broken_file_chosen_alone_fails(
    place: Workplace, folder: Path, name: str, says: str
) -> None:
    """Nobody judges such a run: its step fails with what is wrong, which file, and what to do."""
    result = build(place, folder, f"marts/{name}", behind=False)
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    told = failure.step_failure_data.user_failure_data
    assert told is not None
    assert says in str(told.metadata["what"].value)
    assert told.metadata["where"].value == f"sql/marts/{name}.sql"
    assert told.metadata["error"].value == "ModelBroken"


def test_model_whose_file_is_gone_is_waited_for_no_more(place: Workplace, folder: Path) -> None:
    """A broken file that is deleted leaves no red verdict behind."""
    build(place, folder)
    for name in set(FILES) - {"staging/stg_apps", "marts/good"}:
        (folder / f"{name}.sql").unlink()

    assert build(place, folder).success
