"""A figure that differs fails a check of the reconciliation, and is shown by every night."""

from pathlib import Path

import dagster as dg
import pytest
from rich.console import Console

from dify_etl.cli.summary import show_differing
from dify_etl.defs.figure_checks import NO_FIGURE_DIFFERS
from dify_etl.defs.location import ALONE
from dify_etl.defs.model_assets import model_assets
from dify_etl.defs.publication import published_copy, sync_verdict
from dify_etl.defs.resources import home_held
from dify_etl.sync.opening import open_home
from dify_etl.sync.run import NoWatcher
from dify_etl.sync.verdict import judge
from dify_etl_tests.sync.small_worlds import quiet_world
from dify_etl_tests.sync.workplace import Workplace

COLUMNS = (
    "app_id", "app_name", "statistic_date", "metric", "verdict", "dify_figure", "our_figure",
    "reason", "command",
)  # fmt: skip
HEADER = "-- One row per figure.\n" + "".join(f"-- {name}: It.\n" for name in COLUMNS)


def reconciliation(folder: Path, differing: int) -> Path:
    """A folder whose reconciliation has so many figures that differ, and one that does not."""
    path = folder / "marts" / "statistics_reconciliation.sql"
    path.parent.mkdir()
    path.write_text(
        f"""{HEADER}
select 'id' as app_id, 'A *bold* app' as app_name, '2026-03-09'::date as statistic_date,
    'metric ' || format('{{:02d}}', number) as metric,
    if(number < {differing}, 'differs', 'equal') as verdict, 12.50::decimal(38, 10) as dify_figure,
    null::decimal(38, 10) as our_figure, 'No rule explains it.' as reason,
    'dify-etl sync --full --app id' as command
from (select unnest(range({differing + 1})) as number)""",
        encoding="utf-8",
    )
    return folder


def materialized(folder: Path, place: Workplace) -> tuple[dg.ExecuteInProcessResult, str]:
    """The models of a folder, copy and verdict; and what a night shows of figures."""
    assets = [model_assets(folder), published_copy([ALONE.models_tried]), sync_verdict()]
    with (
        place.client() as dify,
        open_home(dify, place.home, rules=place.rules, run_id="night", watch=NoWatcher()) as opened,
        dg.DagsterInstance.ephemeral() as instance,
    ):
        result = dg.materialize(
            assets,
            instance=instance,
            resources={"dify_home": home_held(opened)},
            raise_on_error=False,
        )
        console = Console(record=True, width=300)
        with opened.database() as database:
            show_differing(console, judge(database).differing)
    return result, console.export_text()


@pytest.mark.parametrize(("differing", "lines"), [(2, 2), (25, 20)])
def test_differing_figures_fail_the_check(tmp_path: Path, differing: int, lines: int) -> None:
    """With both figures and what reads the app again, on 20 lines; the copy is published."""
    place = Workplace(quiet_world(), tmp_path / "home")
    place.read(("apps",))
    result, shown = materialized(reconciliation(tmp_path, differing), place)
    (check,) = [
        one for one in result.get_asset_check_evaluations() if one.check_name == NO_FIGURE_DIFFERS
    ]
    assert not check.passed
    assert check.severity == dg.AssetCheckSeverity.ERROR
    told = str(check.metadata["differing"].value).splitlines()
    assert len(told) == lines
    assert told[0] == (
        r"- A \*bold\* app, 2026-03-09, metric 00: Dify tells 12.5, our rows give nothing. "
        "No rule explains it. dify-etl sync --full --app id"
    )
    assert "Dify tells 12.5, our rows give nothing" in shown
    assert "Read again: dify-etl sync --full --app id" in shown
    assert result.success


def test_no_differing_figure_passes(tmp_path: Path) -> None:
    """Nothing is shown either."""
    place = Workplace(quiet_world(), tmp_path / "home")
    place.read(("apps",))
    result, shown = materialized(reconciliation(tmp_path, 0), place)
    passed = {one.check_name: one.passed for one in result.get_asset_check_evaluations()}
    assert passed[NO_FIGURE_DIFFERS]
    assert shown == ""
