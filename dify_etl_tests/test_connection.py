"""The Dify of the settings: a server with its session store, or the simulated one."""

import hashlib
import json
import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from dify_etl.assembly.connection import (
    effective_settings,
    home_of,
    kept_sessions,
    open_dify,
    rules_of,
)
from dify_etl.assembly.demo import DEMO_PLAN
from dify_etl.assembly.home_files import fingerprint_key
from dify_etl.dify.http.redis_tokens import RedisTokenStore
from dify_etl.dify.http.tokens import FileTokenStore, MemoryTokenStore
from dify_etl.settings import SettingWrong, setting_names
from dify_etl.warehouse.errors import WarehouseUnwritable
from dify_simulated import SimulatedDify, WorldPlan, build_world, serve

SIMULATED: dict[str, Any] = {"DIFY_ETL_SIMULATED": True}
NEWER = '{"now": "2026-11-02T08:00:00+00:00", "version": "2.0.0"}'


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An empty folder, and no variable of whoever runs the tests."""
    for name in setting_names():
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def test_nothing_set_is_no_simulated_dify() -> None:
    """A schedule without its environment must not end well on pretended data."""
    settings = effective_settings()
    assert not settings.is_simulated
    with pytest.raises(SettingWrong, match="DIFY_BASE_URL is not set"), open_dify(settings):
        raise AssertionError("opened without a server")
    assert list(Path().iterdir()) == []


def test_home_remembers_of_which_dify_it_is() -> None:
    """A home of the simulated Dify takes no server's data, and the other way round."""
    world = build_world(WorldPlan(apps=1, days=1, conversations_per_day=0))
    lines: list[str] = []
    with open_dify(effective_settings(**SIMULATED), tell=lines.append):
        pass
    assert lines[0].startswith("the simulated Dify")
    assert str(Path("dify_data/demo").absolute()) in lines[0]
    account = {"DIFY_EMAIL": world.account.email, "DIFY_PASSWORD": world.account.password}
    with serve(SimulatedDify(world)) as server:
        given = {"DIFY_BASE_URL": server.base_url, **account}
        mixed = effective_settings(DIFY_ETL_HOME="dify_data/demo", **given)
        with pytest.raises(SettingWrong, match="belongs to the simulated Dify"), open_dify(mixed):
            raise AssertionError("mixed")
        with open_dify(effective_settings(DIFY_ETL_HOME="other/demo", **given), tell=lines.append):
            pass
    back = effective_settings(DIFY_ETL_HOME="other", **SIMULATED)
    with pytest.raises(SettingWrong, match="belongs to a server's Dify"), open_dify(back):
        raise AssertionError("mixed")
    assert lines[1].startswith(server.base_url)
    assert world.workspace_id in lines[1]


def test_demo_has_a_home_of_its_own() -> None:
    """Simulated rows never mix with a server's."""
    simulated = effective_settings(**SIMULATED)
    real = effective_settings(DIFY_BASE_URL="https://dify.example.com")
    assert home_of(simulated) == Path("dify_data/demo")
    assert home_of(real) == Path("dify_data")


def test_demo_covers_all_days_of_its_workspace_in_its_zone() -> None:
    """Whatever zone is set, the demo counts in that of its account, from its first day."""
    settings = effective_settings(**SIMULATED, DIFY_ETL_TIMEZONE="Asia/Tokyo")
    assert settings.timezone == DEMO_PLAN.timezone
    with open_dify(settings) as dify:
        first = dify.server_time().date() - timedelta(days=DEMO_PLAN.days)
        assert dify.account.profile().timezone == settings.timezone
    assert settings.start_date == first
    assert rules_of(settings).start_date == first


def test_demo_stands_still() -> None:
    """Every run into the same home sees the same workspace at the same moment."""
    settings = effective_settings(**SIMULATED)
    seen = []
    for _ in range(2):
        with open_dify(settings) as dify:
            moment = dify.server_time().replace(microsecond=0)
            seen.append((moment, sorted(app.app_id for app in dify.apps.list())))
    assert seen[0] == seen[1]


def test_demo_is_the_newest_dify_with_agents() -> None:
    """A new home simulates Dify 1.16.1, and keeps what it simulates."""
    settings = effective_settings(**SIMULATED)
    with open_dify(settings) as dify:
        assert dify.server_version == "1.16.1"
        assert [app.mode for app in dify.apps.list(mode="agent")] == ["agent", "agent"]
    kept = json.loads((home_of(settings) / "world.json").read_text())
    assert kept["version"] == "1.16.1"


def test_older_demo_keeps_its_workspace() -> None:
    """A home of dify-etl 0.1, which kept only the time, is served by the same Dify 1.12.1: none of
    its rows is gone.
    """
    home = Path("dify_data/demo")
    home.mkdir(parents=True)
    (home / "world.json").write_text('{"now": "2026-11-28T03:00:00+00:00"}')
    with open_dify(effective_settings(**SIMULATED)) as dify:
        assert dify.server_version == "1.12.1"
        apps = sorted(app.app_id for app in dify.apps.list())
    # The ids as 0.1 made them of this time.
    assert hashlib.sha1("".join(apps).encode()).hexdigest()[:12] == "241737a2980c"


@pytest.mark.parametrize(
    "content",
    ["{", "{}", "[]", '{"now": 7}', '{"now": "soon"}', '{"now": "2026-11-02T08:00:00"}', NEWER],
)
def test_damaged_world_file_is_named(content: str) -> None:
    """A file that was cut off says what to delete, instead of a traceback."""
    home = Path("dify_data/demo")
    home.mkdir(parents=True)
    (home / "world.json").write_text(content)
    with pytest.raises(WarehouseUnwritable, match=r"world\.json is damaged"):
        effective_settings(**SIMULATED)


def test_fingerprint_key_is_private_and_stays(tmp_path: Path) -> None:
    """Made once for a home, 32 bytes that only the owner may read."""
    key = fingerprint_key(tmp_path / "home")
    assert len(key) == 32
    assert fingerprint_key(tmp_path / "home") == key
    assert stat.S_IMODE((tmp_path / "home" / "fingerprint.key").stat().st_mode) == 0o600
    assert fingerprint_key(tmp_path / "other") != key


def test_fingerprint_key_of_a_race_is_one(tmp_path: Path) -> None:
    """Whoever comes first decides; nobody reads half a key."""
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(lambda _: fingerprint_key(tmp_path / "home"), range(32)))
    assert len(keys) == 1


def test_home_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """A file where the folder should be."""
    (tmp_path / "taken").write_text("mine")
    with pytest.raises(WarehouseUnwritable, match="a file is in the way"):
        fingerprint_key(tmp_path / "taken")


STORES: tuple[tuple[dict[str, str], type], ...] = (
    ({}, FileTokenStore),
    ({"DIFY_TOKEN_STORE": "memory"}, MemoryTokenStore),
    ({"REDIS_URL": "redis://localhost/0"}, RedisTokenStore),
    ({"REDIS_URL": "redis://localhost/0", "DIFY_TOKEN_STORE": "file"}, FileTokenStore),
    ({"DIFY_TOKEN_STORE": "redis://localhost/1"}, RedisTokenStore),
)


@pytest.mark.parametrize(("given", "kind"), STORES, ids=lambda one: str(one)[:60])
def test_session_is_kept_where_the_settings_say(given: dict[str, str], kind: type) -> None:
    """A file by default, Redis when there is one, and what was chosen before both."""
    assert type(kept_sessions(effective_settings(DIFY_BASE_URL="https://d", **given))) is kind


def test_server_without_an_account_is_refused_before_any_request() -> None:
    """The missing setting is named."""
    settings = effective_settings(DIFY_BASE_URL="http://127.0.0.1:9")
    with pytest.raises(SettingWrong, match="DIFY_EMAIL is not set"), open_dify(settings):
        raise AssertionError("opened without an account")


WAYS = ("account", "admin key")


@pytest.mark.parametrize("way", WAYS)
def test_both_ways_to_sign_in_reach_the_workspace(way: str) -> None:
    """E-mail and password, or the admin key: the same workspace; the session file is private."""
    world = build_world(WorldPlan(apps=2, days=1, conversations_per_day=0))
    account = {"DIFY_EMAIL": world.account.email, "DIFY_PASSWORD": world.account.password}
    admin = {"DIFY_ADMIN_API_KEY": world.admin_api_key, "DIFY_WORKSPACE_ID": world.workspace_id}
    chosen: dict[str, Any] = account if way == "account" else admin
    with serve(SimulatedDify(world)) as server:
        settings = effective_settings(DIFY_BASE_URL=server.base_url, **chosen)
        with open_dify(settings) as dify:
            assert len(list(dify.apps.list())) == 2
    session = home_of(settings) / "session.json"
    assert session.exists() == (way == "account")
    if session.exists():
        assert stat.S_IMODE(session.stat().st_mode) == 0o600
        assert str(world.account.password) not in json.dumps(session.read_text())
