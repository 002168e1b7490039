"""How the database is read: without a write, as far as granted, in bounds, and what fails alone."""

import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from pydantic import SecretStr

from dify_etl.dify.conversations import CompletionConversation, Conversation
from dify_etl.dify.http.server import Version
from dify_etl.dify.messages import Message
from dify_etl.dify.record import parse
from dify_etl.dify_database import chunks
from dify_etl.dify_database.connection import DifyDatabase
from dify_etl.dify_database.conversations import AppTables, conversations
from dify_etl.dify_database.errors import (
    DatabaseOdd,
    DatabaseRefused,
    DatabaseTooSlow,
    DatabaseUnreachable,
    DatabaseWrong,
)
from dify_etl.dify_database.messages import messages
from dify_etl.feeds.message_parts import CHILDREN, parts_of
from dify_etl.feeds.plain_conversations import split_plain_conversations
from dify_etl.feeds.plain_messages import PlainMessages, split_plain
from dify_etl.raw.frames import records_frame
from dify_etl.raw.privacy import Privacy
from dify_etl.raw.tables import raw_table
from dify_etl.sync.feed_loader import FeedLoader
from dify_etl.sync.run import SyncPlan
from dify_etl.warehouse.tables import Table
from dify_etl.warehouse.upsert import Changes
from dify_etl_tests.dify_database.conftest import DifyTables
from dify_etl_tests.dify_database.conftest import Open as OpenTables
from dify_etl_tests.dify_database.seen_both_ways import READ, TABLES
from dify_etl_tests.postgres import READER, Postgres
from dify_etl_tests.sync.small_worlds import brief_world, quiet_world, run, talk
from dify_etl_tests.sync.workplace import NOW, TALK, Workplace

OpenPlace = Callable[..., Workplace]
# What a session of the driver and of ours may send.
READS = re.compile(
    r"SELECT\s|COPY \(SELECT |DECLARE walk NO SCROLL CURSOR FOR SELECT |FETCH FORWARD \d+ FROM walk"
    r"|CLOSE walk|SET \w+ = |BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY|ROLLBACK"
    r"|(?:RELEASE )?SAVEPOINT tried$"
)


@pytest.fixture
def lively(workplace: OpenPlace, dify_tables: OpenTables) -> DifyTables:
    return dify_tables(workplace(brief_world("1.16.1"), "1.16.1"))


@pytest.fixture
def chat(workplace: OpenPlace, dify_tables: OpenTables) -> DifyTables:
    """One chat app with a talk of three messages."""
    place = workplace(quiet_world("chat"), "1.16.1")
    talk(place.world, at=NOW - timedelta(hours=2), messages=3)
    return dify_tables(place)


def test_nothing_is_sent_that_writes(lively: DifyTables) -> None:
    """By PostgreSQL's own log, of a whole run and of a night after it; as granted by the manual."""
    log = lively.postgres.log
    begin = log.stat().st_size
    place = lively.through()
    for _ in range(2):
        reports = place.read(("apps", *READ))
        assert {state for report in reports.values() for state in report.states} <= {
            *("proven", "unproven")
        }
    sent = lively.postgres.statements(begin)
    assert len(sent) > 50
    assert [one for one in sent if not READS.match(one.strip())] == []
    assert [one for one in sent if re.search(r"\btoken\b|access_token|password", one)] == []


@pytest.mark.parametrize(
    "secret",
    [
        "token FROM api_tokens",
        "password FROM accounts",
        "access_token FROM human_input_form_recipients",
    ],
)
def test_what_is_granted_shows_no_secret(lively: DifyTables, secret: str) -> None:
    """And the role writes nothing."""
    database = DifyDatabase(SecretStr(lively.url()))
    workspace = lively.place.world.workspace_id
    with pytest.raises(DatabaseRefused), database.snapshot(workspace) as shot:
        shot.frame(f"SELECT {secret}")
    with pytest.raises(DatabaseOdd, match="read-only"), database.snapshot(workspace) as shot:
        shot.run("CREATE TEMP TABLE x (y int)")


def test_no_secret_of_the_tables_reaches_the_home(lively: DifyTables, tmp_path: Path) -> None:
    """Canaries: form tokens, keys, password hashes, a token in an answer, and what a person typed
    into a form; from the database as by the API, in every raw table.
    """
    world, canary = lively.place.world, "canary-0123456789abcdef"
    message = next(iter(world.messages.values()))
    message.answer = f"see https://x.test/?access_token={canary}"
    for form in world.human_input_forms.values():
        form.form_content = f"see https://x.test/?access_token={canary}"
        node = world.node_executions[form.node_execution_id]
        if form.submitted_data is not None and node.outputs is not None:
            form.submitted_data["api_key"] = node.outputs["api_key"] = canary
            node.outputs["__rendered_content"] = form.form_content
    lively.fill()
    secrets = [one.token for one in world.api_keys.values()]
    secrets += [one.form_token for one in world.human_input_forms.values()]
    secrets += ["hash-of-password", canary]
    assert len(secrets) > 4
    for place in (lively.beside(tmp_path / "by_api"), lively.through()):
        place.read(("apps", *READ))
        texts = {name: repr(place.rows(f"FROM raw.{name}")) for name in TABLES}
        assert [one for one in secrets for text in texts.values() if one in text] == []
        assert "(secret)" in texts["messages"]
        forms = place.rows(
            "SELECT submitted_data::VARCHAR FROM raw.human_inputs WHERE is_submitted"
        )
        assert len(forms) > 0
        assert all("(secret)" in text for (text,) in forms)


def test_texts_and_people_are_kept_by_the_same_rules(lively: DifyTables) -> None:
    """Dropped texts and pseudonyms, whichever way a row came."""
    privacy = Privacy("drop", "hash", b"salt of a home")
    place = lively.through().with_rules(privacy=privacy)
    place.read(("apps", *READ))
    assert place.rows("SELECT DISTINCT query FROM raw.messages") == [("(dropped)",)]
    people = place.rows(
        "SELECT DISTINCT from_end_user_session_id FROM raw.conversations "
        "WHERE from_end_user_session_id IS NOT NULL"
    )
    assert people
    assert all(name.startswith("person-") for (name,) in people)
    assert place.value("SELECT count(*) FROM raw.human_inputs WHERE answered_by LIKE 'person-%'")


def test_only_what_a_table_lacks_fails(lively: DifyTables) -> None:
    """A table that is not granted costs the feeds that need it; the next night reads them."""
    lively.postgres.execute(f"REVOKE SELECT ON workflow_runs FROM {READER}", lively.name)
    lively.postgres.execute(f"REVOKE SELECT (id) ON workflow_runs FROM {READER}", lively.name)
    place = lively.through()
    reports = place.read(("apps", *READ))
    assert set(reports["workflow_runs"].states) == {"failed"}
    assert "may not read" in (reports["workflow_runs"].failures[0].reason or "")
    assert reports["conversations"].states["proven"] > 0


def test_a_database_that_is_gone_fails_its_feeds_alone(chat: DifyTables) -> None:
    """No connection: the days are failed, and read as soon as it answers."""
    place = chat.place.with_rules(
        dify_database=DifyDatabase(SecretStr("postgresql://a:s3cret@127.0.0.1:1/dify"))
    )
    reports = place.read(TALK)
    assert set(reports["messages"].states) == {"failed"}
    reason = reports["messages"].failures[0].reason or ""
    assert "cannot be reached" in reason
    assert "s3cret" not in reason
    assert set(chat.through().read(TALK)["messages"].states) == {"proven"}
    assert place.value("SELECT count(*) FROM raw.messages") == 3


def test_errors_are_told_apart(postgres: Postgres, chat: DifyTables) -> None:
    """Another workspace, another database, a wrong role, a lock."""
    database, workspace = DifyDatabase(SecretStr(chat.url())), chat.place.world.workspace_id
    assert "postgresql" not in repr(database)
    other = database.snapshot("00000000-0000-4000-8000-000000000000")
    with pytest.raises(DatabaseWrong, match="no workspace"), other:
        pass
    none = DifyDatabase(SecretStr(chat.postgres.url("postgres")))
    with pytest.raises(DatabaseWrong, match="not Dify's database") as wrong:
        none.check(workspace)
    assert "name at the end of the URL" in wrong.value.hint
    nobody = DifyDatabase(SecretStr(chat.postgres.url(chat.name, "nobody:s3cret")))
    with pytest.raises(DatabaseUnreachable) as caught, nobody.snapshot(workspace):
        pass
    assert "s3cret" not in str(caught.value)
    with database.snapshot(workspace) as shot:
        shot.run("SET LOCAL statement_timeout = '50ms'")
        with pytest.raises(DatabaseTooSlow):
            shot.frame("SELECT count(*) FROM generate_series(1, 1000000000)")


def test_one_snapshot_is_one_state(chat: DifyTables) -> None:
    """What is written meanwhile is not in it."""
    database = DifyDatabase(SecretStr(chat.url()))
    with database.snapshot(chat.place.world.workspace_id) as shot:
        assert shot.frame("SELECT count(*) AS n FROM messages").item() == 3
        chat.postgres.execute("DELETE FROM messages", chat.name)
        assert shot.frame("SELECT count(*) AS n FROM messages").item() == 3


def test_chunks_are_all_rows_in_order(lively: DifyTables, monkeypatch: pytest.MonkeyPatch) -> None:
    """However small they are."""
    monkeypatch.setattr(chunks, "FIRST_ROWS", 3)
    monkeypatch.setattr(chunks, "_next_rows", lambda frame: 7)
    world = lively.place.world
    app_id = next(app.id for app in world.apps.values() if app.mode == "chat")
    with DifyDatabase(SecretStr(lively.url())).snapshot(world.workspace_id) as shot:
        tables = AppTables(app_id, "chat", (1, 16, 1))
        found = pl.concat([chunk.rows for chunk in messages(shot, tables, "true")])
    wanted = [one for one in world.messages.values() if one.app_id == app_id]
    assert len(found) == len(wanted) > 20
    assert found.sort("created_at", maintain_order=True)["id"].to_list() == found["id"].to_list()


def test_plain_messages_are_what_their_records_are(lively: DifyTables) -> None:
    """The short cut by columns, row for row and cell for cell, with the parts of messages; it takes
    most of them.
    """
    world = lively.place.world
    _rate_some(lively)
    heights: Counter[str] = Counter()
    for app in world.apps.values():
        if app.mode not in ("chat", "completion", "advanced-chat", "agent-chat"):
            continue
        with DifyDatabase(SecretStr(lively.url())).snapshot(world.workspace_id) as shot:
            tables = AppTables(app.id, app.mode, (1, 16, 1))
            for chunk in messages(shot, tables, "true"):
                plain, others = split_plain(app.id, chunk)
                context = {"app_id": app.id}
                batch = parse(Message, list(chunk.answers()), endpoint="x", context=context)
                records = records_frame(raw_table("messages"), Message, batch.records)
                assert plain.rows.height + others.rows.height == chunk.rows.height == records.height
                assert_frame_equal(plain.rows, _those_of(plain, records), check_row_order=False)
                heights["messages"] += plain.rows.height
                for name, found in plain.parts.items():
                    table, kind = raw_table(name), CHILDREN[name]
                    told = [part for one in batch.records for part in parts_of(one, name)]
                    wanted = _those_of(plain, records_frame(table, kind, told))
                    assert_frame_equal(found, wanted, check_row_order=False)
                    heights[name] += found.height
    assert heights["messages"] > 50
    assert min(heights.values()) > 0, heights
    assert set(heights) == {"messages", "message_feedbacks", "message_citations", "message_files"}


@pytest.mark.parametrize("version", [(1, 0, 0), (1, 10, 0), (1, 16, 1)])
def test_plain_conversations_are_what_their_records_are(
    lively: DifyTables, version: Version
) -> None:
    """The short cut by columns, cell for cell; one with a value that no record takes is left to its
    record, and a configuration that is no JSON is text.
    """
    world = lively.place.world
    _rate_some(lively)
    lively.postgres.execute(
        """UPDATE conversations SET summary = CASE WHEN name < 'm' THEN '' ELSE 'a summary' END;
        INSERT INTO app_model_configs (id, app_id, model, pre_prompt, created_at, updated_at)
        SELECT gen_random_uuid(), id, '{"name": ' || CASE WHEN name < 'm' THEN '1e400}' ELSE '' END,
            'see https://x.test/?access_token=canary-0123456789abcdef', created_at, created_at
        FROM apps;
        UPDATE conversations c SET app_model_config_id = (SELECT min(m.id::text)::uuid
            FROM app_model_configs m WHERE m.app_id = c.app_id AND m.pre_prompt LIKE 'see%')
        WHERE c.id::text < '8';
        UPDATE conversations SET created_at = '1999-05-05' WHERE id::text < '2'""",
        lively.name,
    )
    heights: Counter[str] = Counter()
    for app in world.apps.values():
        if app.mode not in ("chat", "completion", "advanced-chat", "agent-chat"):
            continue
        with DifyDatabase(SecretStr(lively.url())).snapshot(world.workspace_id) as shot:
            tables = AppTables(app.id, app.mode, version)
            for chunk in conversations(shot, tables, "true", lambda chunk: chunk):
                plain, others = split_plain_conversations(chunk)
                kind = CompletionConversation if tables.is_completion else Conversation
                answers, context = list(chunk.answers()), {"app_id": app.id}
                batch = parse(kind, answers, endpoint="x", context=context)
                records = records_frame(raw_table("conversations"), kind, batch.records)
                assert plain.height + others.rows.height == chunk.rows.height == len(answers)
                wanted = records.join(
                    plain.select("conversation_id"), on="conversation_id", how="semi"
                )
                assert_frame_equal(plain, wanted, check_row_order=False)
                assert plain.is_empty() == tables.is_completion
                heights["plain"] += plain.height
                heights["others"] += others.rows.height
                heights["odd"] += len(batch.rejected)
    assert heights["plain"] > heights["others"] > 0, heights
    assert heights["odd"] > 0


def _those_of(plain: PlainMessages, records: pl.DataFrame) -> pl.DataFrame:
    return records.join(plain.rows.select("message_id"), on="message_id", how="semi")


def _rate_some(tables: DifyTables) -> None:
    """Of every app some messages are rated, by the person who asked and by an admin."""
    world = tables.place.world
    for message in list(world.messages.values())[::3]:
        world.give_feedback(message.id, "like", at=world.now())
    tables.fill()
    tables.postgres.execute(
        """INSERT INTO message_feedbacks (id, app_id, conversation_id, message_id, rating, content,
            from_source, from_account_id, created_at, updated_at)
        SELECT gen_random_uuid(), app_id, conversation_id, message_id, 'dislike',
            'see https://x.test/?access_token=canary-0123456789abcdef', 'admin',
            (SELECT min(id::text)::uuid FROM accounts), created_at, created_at
        FROM message_feedbacks WHERE from_source = 'user'""",
        tables.name,
    )


PASSAGE = {"position": 1, "dataset_id": "d", "score": 0.5, "content": "a passage"}


@pytest.mark.parametrize(
    "passages",
    [
        [{**PASSAGE, "score": 1}],
        [{**PASSAGE, "score": "high"}],
        [{**PASSAGE, "new": "key"}],
        [{**PASSAGE, "content": 5}],
        [{**PASSAGE, "hit_count": 1 << 63}],
        [{**PASSAGE, "message_id": "another"}],
        [PASSAGE, "no object"],
        {"no": "list"},
    ],
)
def test_odd_citations_are_left_to_the_record(
    chat: DifyTables, passages: object, tmp_path: Path
) -> None:
    """What the API's own door makes of them: the same rows, and the same waits in quarantine."""
    told = json.dumps({"retriever_resources": passages})
    for message in chat.place.world.messages.values():
        message.message_metadata = json.loads(told)
    chat.fill()
    database = DifyDatabase(SecretStr(chat.url()))
    app_id = next(iter(chat.place.world.apps))
    with database.snapshot(chat.place.world.workspace_id) as shot:
        for chunk in messages(shot, AppTables(app_id, "chat", (1, 16, 1)), "true"):
            plain, others = split_plain(app_id, chunk)
            assert (plain.rows.height, others.rows.height) == (0, 3)
    beside = chat.beside(tmp_path / "by_api")
    found = []
    for place in (beside, chat.through()):
        place.read(TALK)
        cited = "SELECT * EXCLUDE (loaded_at, changed_at) FROM raw.message_citations ORDER BY ALL"
        waits = "SELECT record_id, error_path FROM ops.quarantine ORDER BY ALL"
        found.append((place.rows(cited), place.rows(waits)))
    assert found[0] == found[1]


def test_a_citation_without_its_place_is_placed(chat: DifyTables) -> None:
    """By columns as by the record: servers of old send none."""
    told: dict[str, object] = {
        "retriever_resources": [{"content": "first"}, {"content": "second", "page": [1, "a"]}]
    }
    for message in chat.place.world.messages.values():
        message.message_metadata = told
    chat.fill()
    place = chat.through()
    place.read(TALK)
    assert (
        place.rows("SELECT citation_number, content, page FROM raw.message_citations ORDER BY ALL")
        == [(1, "first", None)] * 3 + [(2, "second", '[1,"a"]')] * 3
    )


@pytest.mark.parametrize(
    "metadata",
    [
        '{"usage": {"prompt_tokens": "12"}}',
        '{"usage": {"total_price": "a lot"}}',
        '{"usage": {"total_price": 0.25}}',
        '{"usage": {"latency": "soon"}}',
        '["no object"]',
        '{"usage": {"total_tokens": 9223372036854775808}}',
        "no JSON at all",
    ],
)
def test_odd_metadata_is_left_to_the_record(chat: DifyTables, metadata: str) -> None:
    """A figure that is none waits in quarantine, and the message is there without it."""
    with chat.postgres.connected(chat.name) as cursor:
        cursor.execute(
            "UPDATE messages SET message_metadata = %s WHERE query = 'question 0'", [metadata]
        )
    place = chat.through()
    place.read(TALK)
    held = place.rows("SELECT query, odd_fields IS NOT NULL FROM raw.messages ORDER BY created_at")
    is_odd = "0.25" not in metadata and "[" not in metadata
    assert [query for query, _ in held] == ["question 0", "question 1", "question 2"]
    waits = place.value("SELECT count(*) FROM ops.quarantine WHERE resolved_at IS NULL")
    assert (bool(waits), held[0][1]) == (is_odd or "[" in metadata, is_odd or "[" in metadata)


@pytest.mark.parametrize("figure", ["NaN", "Infinity"])
def test_odd_latency_is_left_to_the_record(chat: DifyTables, figure: str) -> None:
    """One that is no number would spoil every average of its day."""
    sql = f"UPDATE messages SET provider_response_latency = '{figure}' WHERE query = 'question 0'"
    chat.postgres.execute(sql, chat.name)
    place = chat.through()
    place.read(TALK)
    held = place.rows("SELECT latency_seconds, odd_fields FROM raw.messages WHERE query LIKE '% 0'")
    assert [(seconds, "latency_seconds" in str(odd)) for seconds, odd in held] == [(None, True)]


def test_what_changes_later_is_found(chat: DifyTables) -> None:
    """A rating of an old message, a message that was deleted, a talk that was."""
    place = chat.through()
    place.read(TALK)
    world, postgres, name = place.world, chat.postgres, chat.name
    place.pass_time(days=20)
    first, second, _ = sorted(world.messages.values(), key=lambda one: one.created_at)
    world.give_feedback(first.id, "like", at=world.now())
    chat.fill()
    place.read(TALK)
    assert place.rows("SELECT message_id, rating FROM raw.message_feedbacks") == [
        (first.id, "like")
    ]
    assert (
        place.value("SELECT count(*) FROM raw.message_feedbacks WHERE feedback_id IS NOT NULL") == 1
    )
    postgres.execute(f"DELETE FROM messages WHERE id = '{second.id}'", name)
    place.read(TALK, SyncPlan(is_full=True))
    assert place.rows("SELECT message_id FROM raw.messages WHERE absent_since IS NOT NULL") == [
        (second.id,)
    ]
    postgres.execute("DELETE FROM conversations; DELETE FROM messages", name)
    place.read(TALK, SyncPlan(is_full=True))
    assert place.value("SELECT count(*) FROM raw.messages WHERE absent_since IS NULL") == 0
    assert place.value("SELECT count(*) FROM raw.conversations WHERE absent_since IS NULL") == 0


def test_node_that_ends_after_its_run_is_read(
    workplace: OpenPlace, dify_tables: OpenTables
) -> None:
    """A run of six days ago ended this morning, a node of it is written later: the day of the node
    is not due any more. Afterwards the run is settled.
    """
    world = quiet_world("workflow")
    run_id = run(world, at=NOW - timedelta(days=6), status="running")
    tables = dify_tables(workplace(world, "1.16.1"))
    place = tables.through().with_rules(deep_read_days=0)
    place.read(("apps", *READ))
    world.finish_run(run_id, at=NOW - timedelta(hours=6), status="succeeded")
    node = world.node_executions[world.nodes_of_run[run_id][1]]
    node.status = "running"
    tables.fill()
    place.read(("apps", *READ))
    assert place.rows("SELECT is_detail_settled, is_nodes_settled FROM ops.run_reads") == [
        (True, False)
    ]
    node.status = "succeeded"
    tables.fill()
    place.pass_time(days=1)
    place.read(("apps", *READ))
    assert place.rows("SELECT DISTINCT status FROM raw.node_executions") == [("succeeded",)]
    assert place.rows("SELECT is_nodes_settled FROM ops.run_reads") == [(True,)]


def test_unused_it_is_not_even_imported() -> None:
    """A run without the setting loads neither the driver nor what reads with it."""
    code = (
        "import sys, dify_etl.feeds.table, dify_etl.assembly.night, dify_etl.assembly.connection; "
        "print([one for one in sys.modules if 'adbc' in one or 'dify_database' in one])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_what_was_touched_is_found_whatever_the_deep_read_reads(chat: DifyTables) -> None:
    """On the night, too, on which it begins at the first day of all."""
    place, world = chat.through(), chat.place.world
    place.read(TALK)
    place.pass_time(days=3)
    place.read(TALK)  # settles the day of the talk
    cycle = place.rules.deep_read_days
    place.pass_time(days=2 * cycle - world.now().date().toordinal() % cycle)
    oldest = min(world.messages.values(), key=lambda one: one.created_at)
    world.give_feedback(oldest.id, "like", at=world.now())
    chat.fill()
    place.read(TALK)
    assert place.rows("SELECT message_id FROM raw.message_feedbacks") == [(oldest.id,)]


@pytest.mark.parametrize("days_of_window", [1, 16])
def test_a_window_keeps_no_night_from_what_was_touched(
    chat: DifyTables, days_of_window: int
) -> None:
    """After a pause somebody reads a day, or all days of it, by hand; the night finds the rating of
    an old message that was given meanwhile.
    """
    place, world = chat.through().with_rules(deep_read_days=0), chat.place.world
    place.read(TALK)
    place.pass_time(days=30)
    place.read(TALK)
    place.pass_time(days=5)
    oldest = min(world.messages.values(), key=lambda one: one.created_at)
    world.give_feedback(oldest.id, "like", at=world.now())
    place.pass_time(days=15)
    chat.fill()
    today = world.now().date()
    place.read_days(today - timedelta(days=days_of_window - 1), today, TALK)
    place.pass_time(hours=3)
    place.read(TALK)
    assert place.rows("SELECT message_id FROM raw.message_feedbacks") == [(oldest.id,)]
    likes = "SELECT user_like_count FROM raw.conversations"
    assert place.rows(likes) == [(1,)]
    assert place.rows("SELECT DISTINCT state FROM ops.slices") == [("proven",)]


def test_rows_that_may_change_are_committed_chunk_by_chunk(
    chat: DifyTables, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Changed rows stay in memory until their commit; where nothing is held none can change, and
    all chunks are one commit.
    """
    monkeypatch.setattr(chunks, "FIRST_ROWS", 1)
    monkeypatch.setattr(chunks, "_next_rows", lambda frame: 1)
    commits: list[int] = []
    commit, load_frame = FeedLoader.commit, FeedLoader.load_frame

    @contextmanager
    def noted(loader: FeedLoader) -> Iterator[None]:
        commits.append(0)
        with commit(loader):
            yield

    def counted(loader: FeedLoader, table: Table, rows: pl.DataFrame, **how: Any) -> Changes:
        commits[-1] += table.name == "messages" and rows.height
        return load_frame(loader, table, rows, **how)

    monkeypatch.setattr(FeedLoader, "commit", noted)
    monkeypatch.setattr(FeedLoader, "load_frame", counted)
    place = chat.through()
    found = []
    for answer in ("answer", "another answer"):
        for message in chat.place.world.messages.values():
            message.answer = answer
        chat.fill()
        commits.clear()
        place.read(TALK)
        found.append([rows for rows in commits if rows])
    assert found == [[3], [1, 1, 1]]
    assert place.rows("SELECT DISTINCT answer FROM raw.messages") == [("another answer",)]


def test_ratings_that_are_held_call_for_no_whole_build(lively: DifyTables) -> None:
    """To find them again, by the account that gave them, changes none of their rows."""
    _rate_some(lively)
    place = lively.through()
    for _ in range(2):
        place.read(TALK)
    assert place.value("SELECT count(*) FROM raw.message_feedbacks") > 10
    marks = "SELECT table_name FROM ops.table_changes WHERE contains(table_name, 'feedbacks')"
    assert ("raw.message_feedbacks (rewritten)",) not in place.rows(marks)
