"""One glance tells what is red, what waits and what is missing, from whichever file can be read."""

import io
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from dify_etl.assembly.night import read_night
from dify_etl.assembly.status import Status, missed_run, read_status
from dify_etl.assembly.status_lines import headline, size, times, unread, waiting
from dify_etl.cli.consoles import HarmlessConsole
from dify_etl.cli.json_answers import json_text
from dify_etl.cli.showing_status import as_json_object, show_status
from dify_etl.home import Home
from dify_etl.settings import Settings
from dify_etl.sync.lock import home_lock
from dify_etl.sync.opening import open_home
from dify_etl.sync.run import SyncPlan
from dify_etl.sync.shared_note import noted_publication
from dify_etl.warehouse.database import Database, open_database
from dify_etl.warehouse.errors import NothingPublished, WarehouseNewer
from dify_etl_tests.defs.night import settings_for
from dify_etl_tests.sync.small_worlds import app_of, brief_world
from dify_etl_tests.sync.workplace import NOW, Workplace

MORNING = NOW + timedelta(hours=2)


@pytest.fixture(scope="module")
def read_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home after one night."""
    place = Workplace(brief_world(), tmp_path_factory.mktemp("status") / "home")
    settings = settings_for(place.home)
    place.with_rules(start_date=settings.start_date, lookback_days=settings.lookback_days)
    how: dict[str, Any] = {"rules": place.rules, "run_id": "night", "watch": place.watch}
    with place.client() as dify, open_home(dify, place.home, wait_seconds=1.0, **how) as home:
        assert read_night(home, SyncPlan()).is_published
    return place.home


@pytest.fixture
def settings(read_home: Path, tmp_path: Path) -> Settings:
    """Of a copy of that home."""
    shutil.copytree(read_home, tmp_path / "home")
    return settings_for(tmp_path / "home")


@contextmanager
def live(settings: Settings) -> Iterator[Database]:
    with open_database(Home(settings.home).live) as database:
        yield database


def look(settings: Settings) -> Status:
    """In the morning after that night."""
    return read_status(settings, now=MORNING)


def shown(status: Status) -> str:
    text = io.StringIO()
    show_status(HarmlessConsole(file=text, width=120), status)
    return text.getvalue()


def test_good_morning(settings: Settings) -> None:
    """Nothing is red; what Dify cannot show holds back what is proven alone."""
    found = look(settings)
    assert found.is_good
    assert found.is_live
    messages = next(one for one in found.feeds if one.feed == "messages")
    assert messages.whole_through == NOW.date()
    assert messages.proven_through is not None
    assert (messages.unproven > 0) == (messages.proven_through < NOW.date())
    assert messages.bad == messages.waiting == 0
    assert found.published_through == NOW.date()
    assert found.last_run is not None
    assert found.last_run.rows_new > 0
    assert headline(found).startswith("Workspace ")
    assert "red" not in headline(found).replace("nothing is red", "")
    assert "messages" in shown(found)


def test_red_morning_says_what_and_since_when(settings: Settings) -> None:
    """A failed day, an object in quarantine and a model that does not build."""
    app = app_of(brief_world(), "chat")
    with live(settings) as database:
        database.execute(
            "UPDATE ops.slices SET state = 'failed', reason = 'GET /apps: 503', bad_since = "
            "TIMESTAMPTZ '2026-01-02 03:04:05Z' WHERE feed = 'messages' AND app_id = ? "
            "AND slice_date = ?",
            [app.id, NOW.date() - timedelta(days=2)],
        )
        database.execute(
            "INSERT INTO ops.quarantine BY NAME SELECT 'messages' AS feed, 'x' AS record_id"
        )
        database.execute(
            "UPDATE ops.models SET state = 'failed', reason = 'no such column', hint = 'Mend it.' "
            "WHERE model = 'marts.people'"
        )
    found = look(settings)
    assert not found.is_good
    told = headline(found)
    assert "RED: 1 slices that are not whole" in told
    assert "1 objects in quarantine, 1 models that do not build" in told
    messages = next(one for one in found.feeds if one.feed == "messages")
    assert (messages.bad, messages.waiting) == (1, 1)
    assert messages.whole_through == NOW.date() - timedelta(days=3)
    page = shown(found)
    for word in ("2026-01-02", "GET /apps: 503", "no such column"):
        assert word in page


def test_what_waits_for_a_person(settings: Settings) -> None:
    """Documents, rotations and keys are counted; nothing of it is red."""
    with live(settings) as database:
        database.execute(
            "UPDATE marts.document_health SET failed_documents = 0, stuck_documents = 0"
        )
        database.execute("UPDATE marts.document_health SET paused_documents = 0")
        database.execute("UPDATE marts.api_key_posture SET is_over_age = false")
    assert waiting(look(settings)) == []
    with live(settings) as database:
        name = database.value("SELECT min(dataset_id) FROM marts.document_health")
        database.execute(
            "UPDATE marts.document_health SET failed_documents = 3, stuck_documents = 2 "
            "WHERE dataset_id = ?",
            [name],
        )
        for state, needs in (("overlap", True), ("current", False), ("proven", True)):
            database.execute(
                "INSERT INTO ops.key_rotations BY NAME SELECT ? AS rotation_id, ? AS state, "
                "? AS needs_person",
                [state, state, needs],
            )
    found = look(settings)
    assert found.is_good
    assert waiting(found) == [
        "Waiting: 3 documents whose indexing failed, 2 documents being indexed for over a day, "
        "2 rotations of API keys under way, 1 rotations that wait for a person."
    ]


def test_copy_is_read_while_a_sync_writes(settings: Settings) -> None:
    """Another process holds the live file: what is told is of the copy, and says so."""
    hidden = Home(settings.home).live.rename(settings.home / "held")
    found = look(settings)
    hidden.rename(Home(settings.home).live)
    assert not found.is_live
    assert found.as_of == found.published_at
    assert "published copy" in " ".join(times(found))
    assert [one.feed for one in found.feeds] == [one.feed for one in look(settings).feeds]


def test_sync_under_way_does_not_stop_a_look(settings: Settings) -> None:
    """The lock of the home is the sync's; the status needs it not."""
    with home_lock(settings.home, wait_seconds=1.0):
        assert look(settings).is_good


@pytest.mark.parametrize(
    ("ended", "asked", "missed"),
    [
        ("2026-11-28 01:40", "2026-11-28 09:00", None),
        ("2026-11-28 01:40", "2026-11-29 01:31", None),  # it runs just now
        ("2026-11-28 01:40", "2026-11-29 07:29", None),
        ("2026-11-28 01:40", "2026-11-29 07:31", "2026-11-29 01:30"),
        ("2026-11-20 01:40", "2026-11-29 02:00", "2026-11-28 01:30"),
        (None, "2026-11-29 07:31", None),
    ],
)
def test_missing_night(ended: str | None, asked: str, missed: str | None, tmp_path: Path) -> None:
    """Six hours after the schedule a run that never ended is missed."""

    def at(text: str | None) -> datetime | None:
        return None if text is None else datetime.fromisoformat(text).replace(tzinfo=UTC)

    now = at(asked)
    assert now is not None
    assert missed_run(settings_for(tmp_path), at(ended), now) == at(missed)


def test_missing_night_is_red(settings: Settings) -> None:
    """Also where everything that was read is proven."""
    found = read_status(settings, now=MORNING + timedelta(days=3))
    assert found.verdict.is_good
    assert not found.is_good
    assert "RED: no whole run since" in headline(found)


def test_nickname_is_a_schedule_too(settings: Settings) -> None:
    """A night that does not come is missed by it as well."""
    daily = settings.model_copy(update={"schedule": "@daily"})
    late = read_status(daily, now=MORNING + timedelta(days=3))
    assert not late.is_good


def test_run_that_published_nothing_is_red(settings: Settings) -> None:
    """All of it may be proven: analysts have the copy of before. The live file has noted the
    publication by then where the run was killed while it copied.
    """
    make_older(Home(settings.home).copy)
    found = look(settings)
    assert found.verdict.is_good
    assert not found.is_good
    assert "RED: the last run published nothing" in headline(found)
    assert any("Run `dify-etl sync`" in line for line in times(found))
    assert found.published_at is not None
    assert f"Published: {found.published_at:%Y-%m-%d %H:%M}" in " ".join(times(found))
    with home_lock(settings.home, wait_seconds=1.0):  # the run goes on
        assert look(settings).is_good


def make_older(copy: Path) -> None:
    """The copy of a publication nine hours before."""
    with open_database(copy, wait_seconds=1.0) as database:
        database.connection.execute(
            "UPDATE ops.published SET published_at = published_at - INTERVAL 9 HOUR"
        )


@pytest.mark.parametrize("bytes_left", [None, b"no database"])
def test_copy_that_is_not_there_is_red(settings: Settings, bytes_left: bytes | None) -> None:
    """Whatever the live file has noted."""
    copy = Home(settings.home).copy
    copy.unlink()
    if bytes_left is not None:
        copy.write_bytes(bytes_left)
    found = look(settings)
    assert (found.is_unpublished, found.published_at, found.is_good) == (True, None, False)
    assert "RED: the last run published nothing" in headline(found)


def test_publication_without_a_run_is_compared_too(settings: Settings) -> None:
    """Rows that were rewritten are published without a read: killed amid it, the copy is old."""
    with live(settings) as database:
        database.execute(
            "INSERT INTO ops.published BY NAME SELECT published_at + INTERVAL 1 HOUR AS "
            "published_at, 'rewriting' AS run_id, through_date FROM ops.published"
        )
    assert look(settings).is_unpublished


def test_days_that_somebody_read_alone_are_to_be_published(settings: Settings) -> None:
    """As one raw asset that is materialised in Dagster: red, with what to do."""
    with live(settings) as database:
        database.execute(
            "INSERT INTO ops.runs BY NAME SELECT 'by hand' AS run_id, feed, "
            "started_at + INTERVAL 1 HOUR AS started_at, ended_at + INTERVAL 1 HOUR AS ended_at, "
            "requests, rows_new FROM ops.runs WHERE feed = 'messages'"
        )
    found = look(settings)
    assert not found.is_good
    assert "RED: days were read that are not published yet." in headline(found)
    assert "materialize the models and published_copy" in " ".join(times(found))


def test_apps_that_were_never_read_are_named(settings: Settings) -> None:
    """As after a first run over one app and some days: green by exit code, since the next night
    reads them, but not all is proven. Who reads that app alone, night after night, misses none.
    """
    chat = app_of(brief_world(), "chat")
    first = NOW.date() - timedelta(days=4)
    with live(settings) as database:
        database.execute("DELETE FROM ops.slices WHERE app_id <> ?", [chat.id])
        database.execute("DELETE FROM ops.slices WHERE slice_date < ?", [first])
        database.execute("UPDATE ops.slices SET state = 'proven'")
    found = look(settings)
    assert found.is_good
    assert "all is proven" not in headline(found)
    assert headline(found).endswith("nothing is red, but not everything was read yet.")
    others = sorted(one.name for one in brief_world().apps.values() if one.id != chat.id)
    assert sorted(one.app for one in found.unread.apps if one.is_new) == others
    (own,) = [one for one in found.unread.apps if not one.is_new]
    assert (own.app_id, own.days, own.feeds) == (
        chat.id,
        16,
        ["conversations", "daily_statistics", "messages"],
    )
    assert (own.first, own.last) == (settings.start_date, first - timedelta(days=1))
    (line,) = unread(found)
    assert "Not read yet: 4 apps (" in line
    assert f"{others[0]}, " in line
    assert f"16 days of {chat.name} ({own.first} to {own.last})" in line
    assert "`dify-etl sync`" in line
    assert line in shown(found).replace("\n", " ")
    told = json.loads(json_text(as_json_object(found)))["unread"]
    assert {one["app_id"] for one in told["apps"]} == {one.app_id for one in found.unread.apps}
    with live(settings) as database:
        later = NOW + timedelta(days=2)
        database.execute("UPDATE ops.slices SET read_at = ?", [later])
        database.execute("UPDATE raw.apps SET loaded_at = ?", [NOW], is_told=True)
    assert "no whole run since" not in headline(read_status(settings, now=later))


def test_all_is_read_after_a_night(settings: Settings) -> None:
    """Apps of every mode, from the start date on; another start date asks for more days."""
    assert not look(settings).unread.is_any
    earlier = settings.start_date - timedelta(days=2)
    found = look(settings.model_copy(update={"start_date": earlier})).unread
    assert {one.app for one in found.apps} == {one.name for one in brief_world().apps.values()}
    assert {(one.days, one.first, one.is_new) for one in found.apps} == {(2, earlier, False)}


def test_feed_that_was_never_read_is_named(settings: Settings) -> None:
    """As after `sync --feed` in a new home, or an update that reads more. Its apps lack its days
    and are not named beside it.
    """
    with live(settings) as database:
        for name in ("messages", "members"):
            database.execute("DELETE FROM ops.slices WHERE feed = ?", [name])
            database.execute("DELETE FROM ops.runs WHERE feed = ?", [name])
    found = look(settings)
    assert found.unread.feeds == ("members", "messages")
    assert found.unread.apps == ()
    assert "Not read yet: the feeds members, messages." in " ".join(unread(found))


def test_home_of_a_newer_version_is_refused(settings: Settings) -> None:
    """By the live file and by the copy: what it means by its rows, nobody here knows."""
    for path in (Home(settings.home).live, Home(settings.home).copy):
        with open_database(path) as database:
            database.connection.execute(
                "INSERT INTO ops.migrations (number, step) VALUES (900, 'of tomorrow')"
            )
    with pytest.raises(WarehouseNewer, match="step 900: of tomorrow"):
        look(settings)
    Home(settings.home).live.unlink()
    with pytest.raises(WarehouseNewer, match="newer version"):
        look(settings)


def test_run_over_one_app_is_no_night(settings: Settings) -> None:
    """Others were read days ago."""
    with live(settings) as database:
        database.execute(
            "UPDATE ops.slices SET read_at = read_at - INTERVAL 3 DAY WHERE app_id = ?",
            [app_of(brief_world(), "chat").id],
        )
    assert "no whole run since" in headline(look(settings))


def test_day_that_was_never_read_ends_what_is_whole(settings: Settings) -> None:
    """As after two reads of chosen days."""
    gone = NOW.date() - timedelta(days=4)
    with live(settings) as database:
        database.execute("DELETE FROM ops.slices WHERE slice_date = ?", [gone])
    found = next(one for one in look(settings).feeds if one.feed == "messages")
    assert found.whole_through == gone - timedelta(days=1)
    assert found.proven_through is not None
    assert found.proven_through < gone


def test_growth_is_of_four_weeks(settings: Settings) -> None:
    """Bytes a day between the first and the last publication of them; one alone tells nothing."""
    assert look(settings).size.daily_growth is None
    with live(settings) as database:
        database.execute("DELETE FROM ops.published")
        for days, held in ((60, 9_000_000), (20, 1_000_000), (10, 5_000_000), (0, 3_000_000)):
            database.execute(
                "INSERT INTO ops.published BY NAME SELECT ? AS published_at, 'r' AS run_id, "
                "DATE '2026-11-01' AS through_date, ? AS live_bytes",
                [MORNING - timedelta(days=days), held],
            )
    found = look(settings)
    assert found.size.daily_growth == 100_000
    assert "100 kB more each day" in size(found)


def test_json_is_one_object(settings: Settings) -> None:
    """Instants in UTC as ISO 8601, days as dates; the names of feeds as everywhere."""
    told = json.loads(json_text(as_json_object(look(settings))))
    assert told["is_good"] is True
    assert datetime.fromisoformat(told["last_run"]["ended_at"]).tzinfo == UTC
    assert {"apps", "messages"} <= {one["feed"] for one in told["feeds"]}
    assert told["verdict"]["bad"] == []
    assert told["size"]["live"] > 0


def test_before_the_first_sync(tmp_path: Path) -> None:
    """It says what to run."""
    with pytest.raises(NothingPublished, match="nothing was read yet"):
        read_status(settings_for(tmp_path))


def test_home_of_an_earlier_version(settings: Settings) -> None:
    """What it lacks is no bug, and nothing is written into it by a look."""
    with live(settings) as database:
        database.execute("ALTER TABLE ops.published DROP COLUMN live_bytes")
    with pytest.raises(NothingPublished, match="earlier version") as raised:
        look(settings)
    assert "dify-etl sync" in raised.value.hint


def test_shared_warehouse_that_is_behind_is_red(settings: Settings) -> None:
    """Since when and why, as long as the settings name one, and no sync is about to publish."""
    with pytest.raises(OSError, match="no space"), noted_publication(settings.home):
        raise OSError("no space left")
    assert look(settings).is_good
    shared = settings.model_copy(update={"warehouse": SecretStr(str(settings.home / "all.duckdb"))})
    status = look(shared)
    assert not status.is_good
    assert "the shared warehouse is behind since" in headline(status)
    assert "Not in the shared warehouse: OSError." in times(status)
    told = json.loads(json_text(as_json_object(status)))["shared_behind"]
    assert told["reason"] == "OSError"
    with home_lock(settings.home, wait_seconds=0.0):
        assert look(shared).is_good
