"""What people see of a night in Dagster's pages, in a headless Chromium."""

from pathlib import Path
from tempfile import TemporaryDirectory

import dagster as dg

from dify_etl.defs.groups import GROUPS
from dify_etl.defs.indexing_assets import EVERYTHING_INDEXED
from dify_etl.defs.location import ALONE
from dify_etl.defs.markdown import plain, table
from dify_etl_tests.ui.chromium import Tab, chromium, wait_for

LOCATION = "dify_etl.definitions"
SHOW = "[Show Markdown]"
# A name under which a stranger runs a script, were it markup; the page would tell.
HOSTILE = '<img src=x onerror="window.planted=1"> **bold** [link](javascript:window.planted=2)'


def look_at_pages(url: str, dagster_home: Path) -> None:
    """The lineage, a raw table, a red check, report, status and a job, after a night.

    AssertionError, TimeoutError: what should be there is not, or the console tells of an error.
    """
    plant_red_check(dagster_home)
    with (
        TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        chromium(Path(folder, "profile"), "*.test") as new_tab,
    ):
        tab = new_tab()
        lineage = shown(tab, f"{url}/asset-groups", *GROUPS)
        places = [lineage.index(name) for name in GROUPS]
        assert places == sorted(places)

        shown(
            tab,
            f"{url}/assets/raw/messages",
            "One row per message",
            "conversation_id",
            "the question",
            "VARCHAR",
            "Row count",
            "dagster/partition_row_count",
        )
        shown(tab, f"{url}/assets/raw/messages?view=checks", "key_is_unique", "is_whole")
        shown(tab, f"{url}/assets/report", "last 28 days", "messages", "\u2588")
        shown(tab, f"{url}/assets/status", "what is known", "Last run:", "proven through")

        checks = f"{url}/assets/{ALONE.indexing_report.to_user_string()}?view=checks"
        # What to do comes with the check's description, which the page may ask for last.
        told = f"dify-etl docs {EVERYTHING_INDEXED}"
        shown(tab, checks, EVERYTHING_INDEXED, "Failed", SHOW, told)
        tab.click(SHOW)
        wait_for("the names", lambda: tab.text().count(HOSTILE) == 2, seconds=60)
        assert not tab.run("window.planted || document.querySelectorAll('img[src=x]').length")

        job = f"{url}/locations/{LOCATION}/jobs/retry_indexing/playground"
        shown(tab, job, "stuck_after_minutes", "dry_run", "No errors", "Launch Run")
        assert tab.complaints == []


def plant_red_check(dagster_home: Path) -> None:
    """A red check with a stranger's names in it, made as those of ours are."""
    told = table(("app",), [(HOSTILE,)], f"- {plain(HOSTILE)}")
    found = dg.AssetCheckEvaluation(
        asset_key=ALONE.indexing_report,
        check_name=EVERYTHING_INDEXED,
        passed=False,
        metadata={"troubles": dg.MetadataValue.md(told)},
    )
    with dg.DagsterInstance.from_config(str(dagster_home)) as instance:
        instance.report_runless_asset_event(found)


def shown(tab: Tab, url: str, *texts: str) -> str:
    """The text of a page once it shows all of these."""
    tab.open(url)
    read = ""

    def is_there() -> bool:
        nonlocal read
        read = tab.text()
        return all(one in read for one in texts)

    try:
        wait_for("the page", is_there, seconds=120)
    except TimeoutError:
        missing = [one for one in texts if one not in read]
        raise AssertionError(f"{url} does not show {missing}:\n{read}") from None
    return read
