"""A night without Dagster does what one with it does, and ends as clearly."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import httpx
import pytest

from dify_etl.assembly.night import read_night
from dify_etl.defs.code_location import code_location
from dify_etl.defs.resources import home_held
from dify_etl.defs.schedules import NIGHTLY_SYNC, lookback_tags, night_config
from dify_etl.home import COPY
from dify_etl.settings import Settings
from dify_etl.sync.opening import OpenHome, open_home
from dify_etl.sync.report import FeedReport
from dify_etl.sync.run import NoWatcher, SyncPlan
from dify_etl.sync.verdict import Verdict, judge
from dify_etl.warehouse.errors import WarehouseUnwritable
from dify_etl_tests.defs.night import QUIET, settings_for
from dify_etl_tests.duckdb_files import opened_to_read
from dify_etl_tests.sync.small_worlds import app_of, brief_world, talk
from dify_etl_tests.sync.workplace import NOW, Workplace
from dify_simulated import SimulatedDify, World

# What differs from run to run by its nature.
OF_THE_RUN = "run_id|read_at|.*_seconds|seconds|.*_bytes|(loaded|changed|started|ended|built)_at"
OF_THE_RUN += (
    "|(published|proven|pinned|migrated|seen|applied|since|rewritten|forgotten)_at|bad_since"
)
OF_THE_RUN += "|built_whole_at|change_id|change_number|(held_)?digest|(whole_)?fingerprint"
OF_THE_RUN += "|(icon_)?url|site"  # links are signed anew


def short_settings(place: Workplace) -> Settings:
    """With a look-back of one day: Dagster keeps events of every asset of every day."""
    return settings_for(place.home).model_copy(update={"lookback_days": 1})


@contextmanager
def opened(place: Workplace) -> Iterator[OpenHome]:
    settings = short_settings(place)
    place.with_rules(start_date=settings.start_date, lookback_days=settings.lookback_days)
    how: dict[str, Any] = {"rules": place.rules, "run_id": "night", "watch": place.watch}
    with place.client() as dify, open_home(dify, place.home, wait_seconds=1.0, **how) as home:
        yield home


def plain_night(place: Workplace) -> Verdict:
    with opened(place) as home:
        return read_night(home, SyncPlan()).verdict


def dagster_night(place: Workplace) -> Verdict:
    settings = short_settings(place)
    with opened(place) as home, dg.DagsterInstance.ephemeral() as instance:
        code_location(settings, home_held(home)).resolve_job_def(NIGHTLY_SYNC).execute_in_process(
            instance=instance,
            tags=lookback_tags(settings, NOW),
            run_config=night_config() | QUIET,
            raise_on_error=False,
        )
        with home.database() as database:
            return judge(database)


def held_by(place: Workplace) -> dict[str, list[tuple[Any, ...]]]:
    """All tables and views of the published copy, without what is of the run alone."""
    with opened_to_read(place.home / COPY) as connection:
        names = connection.execute(
            "SELECT schema_name || '.' || table_name FROM duckdb_tables() UNION ALL "
            "SELECT schema_name || '.' || view_name FROM duckdb_views() WHERE NOT internal"
        ).fetchall()
        return {
            name: connection.execute(
                f"SELECT columns(lambda c: NOT regexp_full_match(c, '{OF_THE_RUN}')) FROM {name} "
                "ORDER BY ALL"
            ).fetchall()
            for (name,) in sorted(names)
        }


def test_night_is_the_same_with_and_without_dagster(tmp_path: Path) -> None:
    """Two nights of one world, the second with a new talk and an app that refuses: all tables, the
    ledger and the verdicts are equal after each.
    """
    found, verdicts = [], []
    for read in (plain_night, dagster_night):
        world = brief_world()
        answer = RefusingServer(world)
        place = Workplace(world, tmp_path / read.__name__, transport=answer)
        for refused in (None, f"/apps/{app_of(world, 'workflow').id}/"):
            talk(world, at=NOW - timedelta(minutes=5))
            answer.refused = refused
            verdicts.append(read(place))
            found.append(held_by(place))
    for plain, in_dagster in zip(found[:2], found[2:], strict=True):
        assert len(plain) > 40
        assert {name for name in plain if plain[name] != in_dagster[name]} == set()
    assert verdicts[:2] == verdicts[2:]
    assert [verdict.is_good for verdict in verdicts[:2]] == [True, False]


class RefusingServer(httpx.WSGITransport):
    """The simulated Dify; whatever has `refused` in its path is answered with 500."""

    def __init__(self, world: World) -> None:
        super().__init__(app=SimulatedDify(world, "1.12.1"))
        self.refused: str | None = None

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if self.refused is not None and self.refused in request.url.path:
            return httpx.Response(500, json={"code": "internal_server_error"})
        return super().handle_request(request)


class Breaking(NoWatcher):
    """A watcher that fails when a feed ends, as a full disk does."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def ends(self, report: FeedReport) -> None:
        """Fail after the members were read."""
        if report.feed == "members":
            raise self._error


FULL = WarehouseUnwritable("the disk is full", where="home", hint="Free disk space.")


def test_what_concerns_all_feeds_ends_the_night(tmp_path: Path) -> None:
    """Nothing more is begun or published; what was committed is in the verdict's ledger."""
    place = Workplace(brief_world(), tmp_path / "home", watch=Breaking(FULL))
    with opened(place) as home:
        result = read_night(home, SyncPlan())
    assert result.failure is FULL
    assert not result.is_published
    assert not (place.home / COPY).exists()
    read = {feed for (feed,) in place.rows("SELECT DISTINCT feed FROM ops.slices")}
    assert {"apps", "members"} <= read
    assert read.isdisjoint({"documents", "messages", "workflow_runs", "node_executions"})


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("Query interrupted")])
def test_ctrl_c_is_no_failure(tmp_path: Path, error: BaseException) -> None:
    """Also where DuckDB makes an error of it."""
    place = Workplace(brief_world(), tmp_path / "home", watch=Breaking(error))
    with opened(place) as home, pytest.raises(KeyboardInterrupt):
        read_night(home, SyncPlan())
