"""A published copy of a lively world in which strangers wrote HTML, scripts and control codes."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from dify_etl.assembly.ops_copies import fill_ops_tables
from dify_etl.home import LIVE
from dify_etl.warehouse.model_builds import build_all
from dify_etl.warehouse.publish import publish
from dify_etl.warehouse.sql_files import sql_files
from dify_etl_tests.sql.conftest import open_for_few_rows
from dify_etl_tests.strangers.planting import planted
from dify_etl_tests.sync.answers_changed import ChangedAnswers
from dify_etl_tests.sync.small_worlds import shortened
from dify_etl_tests.sync.workplace import NOW, Workplace
from dify_simulated import WorldPlan, build_world

VERSION = "1.16.1"
OWNED = "owned by a stranger"
MARKUP = (
    f"</script><script>document.title='{OWNED}'</script><!--<img src=x onerror=\"throw '{OWNED}'\">"
)


def with_markup(path: str, answer: Any) -> Any:
    """What a stranger plants everywhere, and HTML behind it."""
    return _marked(planted(answer))


def _marked(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _marked(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_marked(inner) for inner in value]
    return value + MARKUP if isinstance(value, str) and "<img src=x>" in value else value


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home after one night; do not change it."""
    plan = WorldPlan(seed=3, apps=5, days=2, conversations_per_day=2, now=NOW, version=VERSION)
    place = Workplace(shortened(build_world(plan)), tmp_path_factory.mktemp("home"), VERSION)
    place.with_rules(start_date=NOW.date() - timedelta(days=3))
    place.transport = ChangedAnswers(httpx.WSGITransport(app=place.server), with_markup)
    place.read()
    with open_for_few_rows(place.home / LIVE) as database:
        fill_ops_tables(database, place.home)
        broken = [error for _, error in build_all(database, sql_files(), run_id="run") if error]
    assert broken == []
    publish(place.home, run_id="run", through=NOW.date())
    return place.home
