"""After a first sync the warehouse holds exactly what the workspace has, and left no trace there.

The promises of `whole` are about one read of a lively workspace of five modes by its owner.
"""

import re
from datetime import timedelta

import pytest

from dify_etl.feeds.table import FEEDS
from dify_etl.raw.tables import RAW_TABLES
from dify_etl.sync.run import SyncPlan
from dify_etl_tests.sync.comparison import EXPECTED, NOT_OF_THE_WORLD, differences
from dify_etl_tests.sync.conftest import Open
from dify_etl_tests.sync.expected_values import Told
from dify_etl_tests.sync.expected_workspace import FINGERPRINT_KEY
from dify_etl_tests.sync.small_worlds import lively_world, quiet_world, run, talk
from dify_etl_tests.sync.workplace import NOW, TALK, Workplace

# Every route that a sync may ask, ids left out.
ROUTES = {
    "GET /ping",
    "POST /login",
    "GET /account/profile",
    "POST /workspaces/current",
    "GET /workspaces/current/members",
    "GET /apps",
    "GET /apps/{id}",
    "GET /apps/{id}/api-keys",
    "GET /datasets/api-keys",
    "GET /datasets",
    "GET /datasets/{id}/documents",
    "GET /datasets/{id}/documents/{id}/segments",
    "GET /apps/{id}/annotations",
    "GET /apps/{id}/feedbacks/export",
    "GET /apps/{id}/chat-conversations",
    "GET /apps/{id}/agent/logs",
    "GET /apps/{id}/chat-messages",
    "GET /apps/{id}/completion-conversations",
    "GET /apps/{id}/completion-conversations/{id}",
    "GET /apps/{id}/workflow-app-logs",
    "GET /apps/{id}/workflows",
    "GET /apps/{id}/triggers",
    "GET /apps/{id}/workflow-archived-logs",
    "GET /workflow/{id}/pause-details",
    "GET /apps/{id}/workflow-runs",
    "GET /apps/{id}/advanced-chat/workflow-runs",
    "GET /apps/{id}/workflow-runs/{id}",
    "GET /apps/{id}/workflow-runs/{id}/node-executions",
    "GET /apps/{id}/statistics/daily-messages",
    "GET /apps/{id}/statistics/daily-conversations",
    "GET /apps/{id}/statistics/daily-end-users",
    "GET /apps/{id}/statistics/token-costs",
    "GET /apps/{id}/statistics/average-session-interactions",
    "GET /apps/{id}/statistics/user-satisfaction-rate",
    "GET /apps/{id}/statistics/average-response-time",
    "GET /apps/{id}/statistics/tokens-per-second",
    "GET /apps/{id}/workflow/statistics/daily-conversations",
    "GET /apps/{id}/workflow/statistics/daily-terminals",
    "GET /apps/{id}/workflow/statistics/token-costs",
    "GET /apps/{id}/workflow/statistics/average-app-interactions",
}
ID = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}")


@pytest.mark.parametrize("table", EXPECTED)
def test_table_holds_exactly_the_rows_of_the_world(whole: Workplace, table: str) -> None:
    """Every row is there once, no other row is, and every value is the one that Dify has."""
    assert differences(whole, (table,)) == []


# Servers before 1.15 have no agents: test_agents.py reads and compares them.
OF_AGENTS = {"agent_versions"}


@pytest.mark.parametrize("table", sorted(EXPECTED.keys() - OF_AGENTS))
def test_every_column_is_compared(whole: Workplace, table: str) -> None:
    """The comparison looks at all columns but those that the simulated world does not decide."""
    compared = {column for row in EXPECTED[table](Told(whole.world, (1, 13, 0))) for column in row}
    named = {column.name for column in RAW_TABLES[table].table.columns}
    if "odd_fields" in named:  # nothing that the simulated Dify answers is odd
        assert whole.value(f"SELECT count(odd_fields) FROM raw.{table}") == 0
    local = {column.name for column in RAW_TABLES[table].table.local_columns}
    assert compared | NOT_OF_THE_WORLD.get(table, set()) == named - {"odd_fields"} - local


@pytest.mark.parametrize(
    "table", sorted(name for name, raw in RAW_TABLES.items() if raw.table.local_columns)
)
def test_every_instant_has_its_local_day(whole: Workplace, table: str) -> None:
    """Days and hours are those of their instants in the account's zone, which is UTC here; where
    there is no instant, there is no day.
    """
    for column in RAW_TABLES[table].table.local_columns:
        of = "DATE" if column.type == "DATE" else "hour"
        wanted = f"{column.local_of}::DATE" if of == "DATE" else f"hour({column.local_of})"
        wrong = f"{column.name} IS DISTINCT FROM {wanted}"
        assert whole.rows(f"SELECT {column.local_of} FROM raw.{table} WHERE {wrong}") == []


def test_every_table_is_filled(whole: Workplace) -> None:
    """No comparison is empty: the world has rows for each raw table."""
    counts = {name: whole.value(f"SELECT count(*) FROM raw.{name}") for name in RAW_TABLES}
    assert {name for name, count in counts.items() if count == 0} == OF_AGENTS
    assert counts.keys() == EXPECTED.keys() == {name for feed in FEEDS for name in feed.tables}


def test_every_slice_is_proven_but_those_of_closed_logs(whole: Workplace) -> None:
    """A calm workspace leaves no doubt, except that closed completion logs tell no message id."""
    found = whole.rows(
        "SELECT DISTINCT s.feed, s.state, a.mode, s.reason LIKE '%COMPLETION_DETAIL%' "
        "FROM ops.slices s LEFT JOIN raw.apps a USING (app_id) WHERE s.state <> 'proven'"
    )
    assert found == [("messages", "unproven", "completion", True)]


def test_nothing_is_quarantined_or_unknown(whole: Workplace) -> None:
    """Answers of a known version fit the records: no rejected row, no unknown field."""
    assert whole.rows("SELECT * FROM ops.quarantine") == []
    assert whole.rows("SELECT feed, field FROM ops.schema_drift") == []


def secrets_of(place: Workplace) -> list[str]:
    """API keys, codes of web pages, the password and the key of the fingerprints."""
    secrets = [key.token for key in place.world.api_keys.values()]
    secrets += [app.site.code for app in place.world.apps.values()]
    return [*secrets, place.world.account.password or "", FINGERPRINT_KEY.decode()]


def test_no_secret_is_in_the_files_of_the_home(whole: Workplace) -> None:
    """Not a byte of a secret is in any file, freed pages of the warehouse included."""
    stored = b"".join(path.read_bytes() for path in whole.home.iterdir())
    assert [one[:6] for one in secrets_of(whole) if one.encode() in stored] == []


def test_no_secret_is_in_any_row(whole: Workplace) -> None:
    """No table holds a secret, also not in a form that the file compresses."""
    tables = whole.rows("SELECT schema_name || '.' || table_name FROM duckdb_tables()")
    held = repr(whole.answers([f"FROM {name}" for (name,) in tables]))
    assert "owner@dify.test" in held
    assert [one[:6] for one in secrets_of(whole) if one in held] == []


def test_only_known_routes_are_asked(whole: Workplace) -> None:
    """A sync asks the routes of its feeds and no other: none that acts, none that leaves marks."""
    asked = {
        f"{one.method} {ID.sub('{id}', one.path.removeprefix('/console/api'))}"
        for one in whole.server.requests
    }
    assert asked == ROUTES


def test_only_logs_that_are_read_already_are_opened(whole: Workplace) -> None:
    """The one route that could leave a mark is asked only where the mark is there."""
    opened = whole.server.requests_of("/apps/{app_id}/completion-conversations/{id}")
    ids = {one.path.rsplit("/", 1)[1] for one in opened}
    assert ids
    assert all(whole.world.conversations[found].read_at for found in ids)


def test_reading_leaves_no_trace(read_once: tuple[Workplace, object]) -> None:
    """The whole world is the same before and after a sync."""
    place, before = read_once
    assert place.world.snapshot() == before


def test_completion_detail_reads_every_log(workplace: Open) -> None:
    """When it is wanted, all messages of completion apps have their ids, tokens and parts."""
    place = workplace(quiet_world("completion")).with_rules(completion_detail=True)
    talk(place.world, at=NOW - timedelta(days=1), messages=1, mode="completion")
    place.read(TALK)
    assert differences(place, ("messages", "message_feedbacks", "message_files")) == []
    assert place.rows("SELECT DISTINCT message_source FROM raw.messages") == [("detail",)]
    assert place.rows("SELECT DISTINCT state FROM ops.slices WHERE feed = 'messages'") == [
        ("proven",)
    ]


def test_days_before_the_start_are_not_read(workplace: Open) -> None:
    """What happened within the start date's days is there; older days are not asked for.

    A cursor list has no time filter: its last page may bring older runs.
    """
    place = workplace(quiet_world("chat", "workflow"))
    place.with_rules(start_date=NOW.date() - timedelta(days=2))
    inside = talk(place.world, at=NOW - timedelta(days=1))
    talk(place.world, at=NOW - timedelta(days=9))
    run_id = run(place.world, at=NOW - timedelta(days=1))
    run(place.world, at=NOW - timedelta(days=9))
    place.read((*TALK, "workflow_runs"))
    assert place.rows("SELECT conversation_id FROM raw.conversations") == [(inside.id,)]
    assert (run_id,) in place.rows("SELECT workflow_run_id FROM raw.workflow_runs")
    assert place.value("SELECT min(slice_date) FROM ops.slices") == place.rules.start_date


def test_run_tells_of_each_table_what_all_its_feeds_did(whole: Workplace) -> None:
    """Messages of completion apps come with the lists of conversations, before their own feed; a
    feed tells its requests even where it is not the first to fill its table.
    """
    counts = dict(whole.rows("SELECT feed, rows_new FROM ops.runs"))
    held = {name: whole.value(f"SELECT count(*) FROM raw.{name}") for name in counts}
    assert counts == held
    assert whole.value("SELECT requests FROM ops.runs WHERE feed = 'messages'") > 0


@pytest.mark.slow
@pytest.mark.parametrize("room", [1, 1_000])
def test_lists_in_many_parts_are_held_and_counted_once(
    workplace: Open, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    """Large apps are loaded in parts, and cut by days, each part alone or with what came beside
    it: each row counts once in the report.
    """
    for module in ("sync.walks", "feeds.conversation_lists", "feeds.run_lists"):
        monkeypatch.setattr(f"dify_etl.{module}.MOST_ROWS", 3)
    monkeypatch.setattr("dify_etl.feeds.conversations.BUFFERED", room)
    place = workplace(lively_world())

    reports = place.read(("apps", "conversations", "workflow_runs"))

    for table in ("conversations", "workflow_runs"):
        assert differences(place, (table,)) == []
        changes = reports[table].changes
        held = place.value(f"SELECT count(*) FROM raw.{table}")
        assert (changes.new, changes.changed, changes.unchanged) == (held, 0, 0)
        assert reports[table].states.keys() <= {"proven", "unproven"}


def test_long_answers_are_committed_a_few_at_a_time(workplace: Open) -> None:
    """A text takes ten times its memory while it is loaded: a commit has about 5 MB of it."""
    place = workplace(quiet_world())
    at = NOW - timedelta(days=2)
    for _ in range(12):
        row = talk(place.world, at=at, messages=0)
        place.world.add_message(row.id, at=at, answer="long " * 200_000)

    place.read(TALK)

    sizes = place.rows("SELECT sum(length(answer)) FROM raw.messages GROUP BY loaded_at")
    assert sum(size for (size,) in sizes) == 12_000_000
    assert max(size for (size,) in sizes) <= 6_000_000


def test_old_conversation_with_a_new_message_is_read(chat: Workplace) -> None:
    """A conversation from before the start that somebody continued comes with all its messages."""
    chat.with_rules(start_date=NOW.date() - timedelta(days=2))
    old = talk(chat.world, at=NOW - timedelta(days=30))
    chat.world.add_message(old.id, at=NOW - timedelta(days=1))
    chat.read(TALK)
    assert differences(chat, ("conversations", "messages")) == []


def test_log_whose_run_is_gone_makes_no_row(workplace: Open) -> None:
    """A log row with a null run is an absence, not a run."""
    place = workplace(quiet_world("workflow"))
    place.world.delete_run(run(place.world, at=NOW - timedelta(days=1)))
    kept = run(place.world, at=NOW - timedelta(days=1))
    place.read(("apps", "workflow_runs", "node_executions"))
    assert place.rows("SELECT workflow_run_id FROM raw.workflow_runs") == [(kept,)]


def test_run_that_never_ends_is_named_a_zombie(workplace: Open) -> None:
    """After seven days an unfinished run is not waited for any more, and the ledger says so."""
    place = workplace(quiet_world("workflow"))
    dead = run(place.world, at=NOW - timedelta(days=9), status="running")
    going = run(place.world, at=NOW - timedelta(days=1), status="running")
    place.read(("apps", "workflow_runs"))
    told = place.rows("SELECT workflow_run_id, is_detail_settled, detail_reason FROM ops.run_reads")
    assert sorted(told) == sorted(
        [(dead, True, "zombie: running since 2026-03-03 15:30 UTC"), (going, False, None)]
    )


def test_apps_filter_limits_the_read(workplace: Open) -> None:
    """With an app named, conversations of the others are not asked for."""
    place = workplace(quiet_world("chat", "agent-chat"))
    kept = talk(place.world, at=NOW - timedelta(days=1))
    talk(place.world, at=NOW - timedelta(days=1), mode="agent-chat")
    place.read(TALK, SyncPlan(apps=("the chat app",)))
    assert place.rows("SELECT conversation_id FROM raw.conversations") == [(kept.id,)]
