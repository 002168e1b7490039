"""What the console shows of a world, and what the database behind it holds, are the same rows."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from dify_etl.sync.run import SyncPlan
from dify_etl.time_zones import utc_now
from dify_etl_tests.dify_database.conftest import DifyTables
from dify_etl_tests.dify_database.conftest import Open as OpenTables
from dify_etl_tests.dify_database.dify_tables import TOOL_FILES
from dify_etl_tests.dify_database.seen_both_ways import READ, differences, moved
from dify_etl_tests.postgres import READER
from dify_etl_tests.sync.small_worlds import brief_world, first_message, quiet_world, talk
from dify_etl_tests.sync.test_citations import CITED, REPEATING, citing
from dify_etl_tests.sync.workplace import NOW, TALK, Workplace

OpenPlace = Callable[..., Workplace]

# Logs of completions that nobody opened: their list tells neither id nor figures nor parts.
UNOPENED = {
    *(("messages", name) for name in ("(API)", "(database)")),
    *(("message_citations", "(database)"), ("message_files", "(database)")),
    # The export names no account.
    *(("message_feedbacks", "(API)"), ("message_feedbacks", "(database)")),
}
# Servers before 1.10.1 export no feedback; those before 1.9.2 list no published run of a chatflow,
# and tell of others only that they are.
EXPORTED = ("message_feedbacks", "(API)")
OLD = {
    *(("message_feedbacks", name) for name in ("feedback_id", "created_at")),
    *(("message_feedbacks", name) for name in ("created_date", "created_hour")),
    *(("workflow_runs", name) for name in ("(database)", "triggered_from", "retry_index")),
    ("node_executions", "(database)"),
    ("workflow_runs", "sequence_number"),  # a column of 1.0 alone, which nobody is asked to grant
}


@pytest.fixture
def tables(
    workplace: OpenPlace, dify_tables: OpenTables, request: pytest.FixtureRequest
) -> DifyTables:
    version = getattr(request, "param", "1.16.1")
    return dify_tables(workplace(brief_world(version), version))


@pytest.mark.parametrize(
    ("tables", "known"),
    [("1.0.0", (UNOPENED | OLD) - {EXPORTED}), ("1.12.1", UNOPENED), ("1.16.1", UNOPENED)],
    indirect=["tables"],
)
def test_every_cell_is_the_same(
    tables: DifyTables, known: set[tuple[str, str]], tmp_path: Path
) -> None:
    """But for a short list; in three versions, whose tables have other columns."""
    beside = tables.beside(tmp_path / "by_api")
    beside.read(("apps", *READ))
    place = tables.through()
    with place.requests() as requests:
        reports = place.read(("apps", *READ))
    found = differences(beside.home, place.home)
    assert {name: rows[:2] for name, rows in found.items() if name not in known} == {}
    assert known - set(found) == set()
    told = {feed: set(report.states) for feed, report in reports.items()}
    agents = {"unproven"} if tables.place.version == "1.16.1" else set()
    assert told == {
        **{feed: {"proven"} for feed in ("apps", *READ)},
        "messages": {"proven"} | agents,
    }
    of_agents = [app.id for app in place.world.apps.values() if app.mode == "agent"]
    of_agents += place.world.agents
    asked = [one.path for one in requests if "conversations" in one.path or "messages" in one.path]
    assert [path for path in asked if not any(app_id in path for app_id in of_agents)] == []


FILES = (
    "SELECT filename, mime_type, size_bytes, upload_file_id, transfer_method "
    "FROM raw.message_files ORDER BY transfer_method"
)


def test_citations_of_equal_position_are_the_same_rows(
    workplace: OpenPlace, dify_tables: OpenTables, tmp_path: Path
) -> None:
    """Positions that repeat or are not told cost no row, whichever way is read."""
    place = citing(workplace(quiet_world("advanced-chat"), "1.16.1"), *REPEATING)
    tables = dify_tables(place)
    beside = tables.beside(tmp_path / "by_api")
    beside.read(TALK)
    tables.through().read(TALK)
    rows = place.rows(CITED)
    assert len(rows) == sum(len(positions) for positions in REPEATING)
    assert beside.rows(CITED) == rows


def test_files_keep_what_one_way_tells(workplace: OpenPlace, dify_tables: OpenTables) -> None:
    """The server asks another host for the size of a remote file; files of tools stand in a table
    of their own, and are named by their address alone.
    """
    place = workplace(quiet_world("chat"), "1.16.1")
    message_id = first_message(place.world, talk(place.world, at=NOW - timedelta(hours=2)))
    place.world.attach_remote_file(message_id, "https://cdn.test/picture.png")
    made = place.world.attach_tool_file(message_id, "drawn.png", 4711)
    tables = dify_tables(place)
    drawn = ("drawn.png", "image/png", 4711, made.upload_file_id, "tool_file")
    remote = ("picture.png", "image/png", -1, None, "remote_url")
    tables.through().read(TALK)
    assert place.rows(FILES) == [(*[None] * 4, "remote_url"), drawn]
    for way in (tables.by_api, tables.through):
        place.pass_time(hours=1)
        began = utc_now()
        way().read(TALK, SyncPlan(is_full=True))
        assert place.rows(FILES) == [remote, drawn]
        assert moved(place.home, began.isoformat()) == {}


def test_without_files_of_tools_the_rest_is_read(
    workplace: OpenPlace, dify_tables: OpenTables
) -> None:
    """Homes of before have no GRANT for them: what their table tells is null, and no day fails."""
    place = workplace(quiet_world("chat"), "1.16.1")
    message_id = first_message(place.world, talk(place.world, at=NOW - timedelta(hours=2)))
    made = place.world.attach_tool_file(message_id, "drawn.png", 4711)
    tables = dify_tables(place)
    columns = ", ".join(f"SELECT ({name})" for name in TOOL_FILES)
    tables.postgres.execute(f"REVOKE {columns} ON tool_files FROM {READER}", tables.name)
    tables.through().read(TALK)
    assert place.rows(FILES) == [(None, None, None, made.upload_file_id, "tool_file")]
    assert place.rows("SELECT DISTINCT state FROM ops.slices") == [("proven",)]


@pytest.mark.parametrize(("version", "told"), [("1.12.1", "user"), ("1.16.1", None)])
def test_files_of_old_belong_to_their_question(
    version: str, told: str | None, workplace: OpenPlace, dify_tables: OpenTables
) -> None:
    """Rows of 2023 do not say whose they are; servers before 1.16 tell the user's."""
    place = workplace(quiet_world("chat"), version)
    message_id = first_message(place.world, talk(place.world, at=NOW - timedelta(hours=2)))
    place.world.attach_tool_file(message_id, "drawn.png", 4711)
    tables = dify_tables(place)
    tables.postgres.execute("UPDATE message_files SET belongs_to = NULL", tables.name)
    tables.through().read(TALK)
    assert place.rows("SELECT belongs_to FROM raw.message_files") == [(told,)]


def test_an_annotation_that_answered_tells_its_own_time(
    workplace: OpenPlace, dify_tables: OpenTables
) -> None:
    """Not that of the answer: Dify's answer is the annotation, whatever its table of hits knows."""
    place = workplace(quiet_world("chat"), "1.16.1")
    world, written = place.world, NOW - timedelta(days=30)
    asked = first_message(world, talk(world, at=written))
    annotation = world.annotate(asked, at=written, content="the better answer")
    answered = first_message(world, talk(world, at=NOW - timedelta(hours=2)))
    world.hit_annotation(annotation.id, answered, at=NOW - timedelta(hours=2))
    tables = dify_tables(place)
    for way in (tables.by_api, tables.through):
        way().read(TALK)
        assert place.rows(
            "SELECT annotation_hit_id, annotation_hit_created_at FROM raw.messages "
            "WHERE annotation_hit_id IS NOT NULL"
        ) == [(annotation.id, written)]
        place.pass_time(hours=1)


@pytest.mark.parametrize(
    ("version", "mode", "is_asked", "told"),
    [
        ("1.0.0", "chat", False, 0),
        ("1.7.2", "chat", True, 0),
        ("1.7.2", "chat", False, None),
        ("1.12.1", "chat", True, None),
        ("1.12.1", "advanced-chat", True, 1),
        ("1.12.1", "advanced-chat", False, None),
        ("1.16.1", "advanced-chat", False, None),
    ],
)
def test_runs_are_counted_where_the_console_counts_them(
    version: str,
    mode: str,
    is_asked: bool,
    told: int | None,
    workplace: OpenPlace,
    dify_tables: OpenTables,
) -> None:
    """As recorded: 1.7.2 counts none behind the messages of a chat, later servers say nothing; and
    none but the oldest says anything of a conversation without a message.
    """
    place = workplace(quiet_world(mode), version)
    talk(place.world, at=NOW - timedelta(hours=2), messages=int(is_asked), mode=mode)
    tables = dify_tables(place)
    for way in (tables.by_api, tables.through):
        began = utc_now()
        way().read(TALK)
        counted = "SELECT message_count, success_count FROM raw.conversations"
        assert place.rows(counted) == [(int(is_asked), told)]
        assert way == tables.by_api or moved(place.home, began.isoformat()) == {}
        place.pass_time(hours=1)


def test_price_of_a_message_that_was_being_written_is_not_kept(tables: DifyTables) -> None:
    """The database tells 0 until the answer is there. Where the API tells the tokens of it, the 0
    is gone, and the database tells the price another night.
    """
    world = tables.place.world
    talk = next(one for one in world.conversations.values() if one.mode == "chat")
    message = world.add_message(talk.id, at=world.now() - timedelta(minutes=5), answer=None)
    message.total_price = Decimal(0)

    def read(place: Workplace) -> tuple[object, ...]:
        place.read(("apps", *READ))
        place.pass_time(hours=1)
        columns = "message_tokens + answer_tokens, charged_price, invoke_from"
        query = f"SELECT {columns} FROM raw.messages WHERE message_id = '{message.id}'"
        (row,) = place.rows(query)
        return tuple(row)

    tables.fill()
    assert read(tables.through()) == (0, 0, talk.invoke_from)
    world.finish_message(message.id)
    tables.fill()
    assert read(tables.by_api()) == (168, None, talk.invoke_from)
    assert read(tables.through()) == (168, message.total_price, talk.invoke_from)


def test_a_home_may_change_the_way(tables: DifyTables) -> None:
    """Night by night, and no row changes, comes or goes that did not in Dify."""
    by_api = tables.by_api()
    by_api.with_rules(completion_detail=True)
    for _ in range(2):  # the first one opens logs, which marks them as read
        by_api.read(("apps", *READ))
        by_api.pass_time(hours=1)
    tables.fill()
    for way in (tables.through, tables.by_api, tables.through):
        began = utc_now()
        place = way()
        place.read(("apps", *READ))
        assert moved(place.home, began.isoformat()) == {}
        place.pass_time(hours=1)
        tables.fill()
