"""Objects that were no valid record come back once they can be read."""

import re
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest

from dify_etl.dify.json_text import JsonText
from dify_etl.dify.record import KeyRecord, Rejected
from dify_etl.feeds.quarantine import Retried, retry_quarantine, waiting_objects
from dify_etl.feeds.table import FEEDS, Feed
from dify_etl.feeds.whole_lists import AppList, Listed, WholeList
from dify_etl.raw.privacy import Privacy
from dify_etl.raw.tables import RAW_TABLES
from dify_etl.sync.feed_loader import FeedLoader
from dify_etl.sync.known_apps import known_apps
from dify_etl.sync.run import Sync
from dify_etl_tests.sync.answers_changed import Change, ChangedAnswers, rows_changed
from dify_etl_tests.sync.conftest import Open
from dify_etl_tests.sync.small_worlds import brief_world, quiet_world, run, talk
from dify_etl_tests.sync.workplace import NOW, RUNS, TALK, Workplace


def spoiled(workplace: Open, path_end: str, field: str) -> Workplace:
    """A workspace read while one row of one list had a field of a wrong type."""
    place = workplace(quiet_world("chat", "workflow"))
    talk(place.world, at=NOW - timedelta(days=1))
    run(place.world, at=NOW - timedelta(days=1))
    place.transport = ChangedAnswers(
        httpx.WSGITransport(app=place.server),
        rows_changed(path_end, lambda at, row: row if at else {**row, field: ["wrong"]}),
    )
    place.read((*TALK, *RUNS))
    return place


def retry(place: Workplace) -> Retried:
    with place.opened() as sync:
        return retry_quarantine(sync)


def test_object_that_is_still_wrong_stays(workplace: Open) -> None:
    """A retry without a fix loads nothing and keeps the object with its error."""
    place = spoiled(workplace, "/chat-messages", "answer")
    assert retry(place) == Retried(loaded=0, wrong=1, without_object=0)
    with place.opened() as sync:
        (waiting,) = waiting_objects(sync.database)
    assert waiting.rejected.error_path == "answer"


def test_object_that_can_be_read_now_is_loaded(workplace: Open) -> None:
    """After the fix a retry brings the field into its row, once."""
    place = spoiled(workplace, "/chat-messages", "answer")
    assert place.value("SELECT count(*) FROM raw.messages WHERE odd_fields = 'answer'") == 1
    with place.opened() as sync:
        sync.database.execute(
            "UPDATE ops.quarantine SET raw_json = replace(raw_json, '[\"wrong\"]', '\"right\"')"
        )
    assert retry(place) == Retried(loaded=1, wrong=0, without_object=0)
    assert retry(place) == Retried(loaded=0, wrong=0, without_object=0)
    assert place.value("SELECT count(odd_fields) FROM raw.messages") == 0
    assert place.value("SELECT count(*) FROM raw.messages WHERE answer = 'right'") == 1


def test_node_comes_back_with_its_run(workplace: Open) -> None:
    """What only the address of an endpoint tells (the run of a node) is kept with the object."""
    place = spoiled(workplace, "/node-executions", "title")
    with place.opened() as sync:
        sync.database.execute(
            "UPDATE ops.quarantine SET raw_json = replace(raw_json, '[\"wrong\"]', '\"right\"')"
        )
    assert retry(place).loaded == 1
    assert place.value(
        "SELECT count(*) FROM raw.node_executions n JOIN raw.workflow_runs w "
        "USING (workflow_run_id) WHERE n.title = 'right'"
    )


# Per kind of record: the end of the path that answers it, a field of it, and the field's column.
ODD = {
    "App": ("/apps", "author_name", "author_name"),
    "AppDetail": ("/apps/ID", "api_base_url", "api_base_url"),
    "Document": ("/documents", "created_from", "created_from"),
    "DocumentSegment": ("/segments", "index_node_id", "index_node_id"),
    "DailyStatistic": ("/statistics/daily-messages", "message_count", "value"),
    "Conversation": ("/chat-conversations", "summary", "summary"),
    "CompletionConversation": ("/completion-conversations", "from_source", "from_source"),
    "Message": ("/chat-messages", "error", "error"),
    "WorkflowAppLog": ("/workflow-app-logs", "created_from", "created_from"),
    "WorkflowRun": ("ID/workflow-runs", "sequence_number", "sequence_number"),
    "ChatflowRun": ("/advanced-chat/workflow-runs", "message_id", "message_id"),
    "WorkflowRunDetail": ("/workflow-runs/ID", "error", "error"),
    "NodeExecution": ("/node-executions", "title", "title"),
}
WRONG = ["wrong"]
NUMBERS = ("DailyStatistic", "WorkflowRun")
ID = re.compile("[0-9a-f]{8}-[0-9a-f-]{27}")


def first_rows_spoiled() -> Change:
    """A field of a wrong type in the first row of the first answers of each kind, or in these
    themselves. A retry takes every object by itself, so there are only a few.
    """
    spoiled: Counter[str] = Counter()

    def change(path: str, answer: Any) -> Any:
        path = ID.sub("ID", path)
        for end, field, _ in ODD.values():
            if path.endswith(end) and isinstance(answer, dict) and spoiled[end] < 3:
                key = next((key for key in ("data", "accounts") if answer.get(key)), None)
                if key is None and not end.endswith("ID"):
                    return answer
                spoiled[end] += 1
                if key is None:
                    return {**answer, field: WRONG}
                return {**answer, key: [{**answer[key][0], field: WRONG}, *answer[key][1:]]}
        return answer

    return change


@pytest.fixture(scope="module")
def spoiled_everywhere(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    """A workspace read while a row of every list was odd, and then brought back."""
    version = "1.16.1"
    place = Workplace(brief_world(version), tmp_path_factory.mktemp("odd"), version)
    place.with_rules(segments=True)
    place.transport = ChangedAnswers(httpx.WSGITransport(app=place.server), first_rows_spoiled())
    place.read()
    with place.opened() as sync:
        for name in ODD:
            sync.database.execute(
                "UPDATE ops.quarantine SET raw_json = replace(raw_json, '[\"wrong\"]', ?) "
                "WHERE record_class = ?",
                ["77" if name in NUMBERS else '"right"', name],
            )
        assert {one.rejected.record_class for one in waiting_objects(sync.database)} == {*ODD}
        assert retry_quarantine(sync).without_object == 0
    return place


def test_every_feed_has_an_odd_row() -> None:
    """The walk leaves out keys, of which nothing is kept, and whole lists, which come below."""
    others = [feed.name for feed in FEEDS if not isinstance(feed.reads, WholeList | AppList)]
    assert {kind.__name__ for name in others for kind in RAW_TABLES[name].records} <= {*ODD}


@pytest.mark.parametrize("kind", ODD)
def test_object_of_every_feed_comes_back(spoiled_everywhere: Workplace, kind: str) -> None:
    """Once it can be read, a retry brings it into its feed's table, and nothing of it waits."""
    place, column = spoiled_everywhere, ODD[kind][2]
    ((feed, waiting),) = place.rows(
        "SELECT feed, count(*) FILTER (resolved_at IS NULL) FROM ops.quarantine "
        f"WHERE record_class = '{kind}' GROUP BY feed"
    )
    right = "77" if kind in NUMBERS else "right"

    assert waiting == 0
    assert place.value(f"SELECT count(*) FROM raw.{feed} WHERE {column}::VARCHAR LIKE '{right}%'")
    assert "odd_fields" not in RAW_TABLES[feed].table.names or not place.value(
        f"SELECT count(odd_fields) FROM raw.{feed}"
    )


@pytest.mark.parametrize(
    "feed",
    [
        feed
        for feed in FEEDS
        if isinstance(feed.reads, WholeList | AppList)
        and not issubclass(RAW_TABLES[feed.name].records[0], KeyRecord)
    ],
    ids=lambda feed: feed.name,
)
def test_object_of_every_whole_list_comes_back(spoiled_everywhere: Workplace, feed: Feed) -> None:
    """A row as Dify sends it, of which no record was made before; a new feed needs nothing here."""
    place = spoiled_everywhere
    (kind,), (key,) = RAW_TABLES[feed.name].records, RAW_TABLES[feed.name].table.key
    answers: list[Any] = []

    def noted(path: str, answer: Any) -> Any:
        answers.append(answer)
        return answer

    place.transport = ChangedAnswers(httpx.WSGITransport(app=place.server), noted)
    with place.opened() as sync:
        app, listed = next((app, one) for app, one in lists_of(sync, feed) if one.rows.height)
        answer = answers[-1]
        lists = [answer] if isinstance(answer, list) else answer.values()
        rows = next(one for one in lists if isinstance(one, list))
        held = f"raw.{feed.name} WHERE {key} = '{listed.rows[key][0]}'"
        row = next(one for one in rows if one["id"] == listed.rows[key][0])
        before = sync.database.rows(f"SELECT * EXCLUDE (loaded_at, changed_at) FROM {held}")
        sync.database.execute(f"DELETE FROM {held}")
        odd = Rejected(
            *("GET a list", 0, row["id"], "name", "is odd", JsonText.of(row)),
            record_class=kind.__name__,
            context={"app_id": app} if app else {},
        )
        with FeedLoader(sync, feed.name) as loader, loader.commit():
            loader.quarantine(app, [odd])

        assert retry_quarantine(sync) == Retried(loaded=1, wrong=0, without_object=0)

        after = sync.database.rows(f"SELECT * EXCLUDE (loaded_at, changed_at) FROM {held}")
    assert len(before) == 1
    assert after == before


def lists_of(sync: Sync, feed: Feed) -> Iterator[tuple[str | None, Listed]]:
    """The feed's list, or those of its apps."""
    if isinstance(feed.reads, WholeList):
        yield None, Listed.of(feed.name, feed.reads.ask(sync.dify))
    elif isinstance(feed.reads, AppList):
        for app in known_apps(sync):
            if feed.reads.is_for(app):
                yield app.app_id, Listed.of(feed.name, feed.reads.ask(sync.dify, app))


def test_names_of_builders_come_back_where_texts_are_dropped(workplace: Open) -> None:
    """What people wrote is dropped of odd objects, too; names, figures and keys of others are not,
    so a retry loads the same as a read.
    """
    place = workplace(brief_world("1.16.1"), "1.16.1").with_rules(privacy=Privacy("drop"))
    odd = {"/apps": "author_name", "/documents": "created_from"}
    odd["/statistics/daily-messages"] = "message_count"

    def change(path: str, answer: Any) -> Any:
        for end, field in odd.items():
            if path.endswith(end) and answer.get("data"):
                answer["data"][0][field] = WRONG
        return answer

    place.transport = ChangedAnswers(httpx.WSGITransport(app=place.server), change)
    place.read()
    with place.opened() as sync:
        execute = sync.database.execute
        for name, right in (("App", '"right"'), ("Document", '"right"'), ("DailyStatistic", "77")):
            execute(
                "UPDATE ops.quarantine SET raw_json = replace(raw_json, '[\"wrong\"]', ?) "
                "WHERE record_class = ?",
                [right, name],
            )
        assert retry_quarantine(sync).wrong == 0
    assert place.value("SELECT count(*) FROM raw.apps WHERE author_name = 'right'") > 0
    assert place.value("SELECT count(*) FROM raw.documents WHERE created_from = 'right'") > 0
    assert place.value("SELECT count(*) FROM raw.daily_statistics WHERE value = 77") > 0
    for table in ("apps", "documents", "daily_statistics"):
        assert (
            place.rows(f"SELECT 1 FROM raw.{table} t WHERE contains(t::VARCHAR, '(dropped)')") == []
        )


def test_reasons_quote_no_address_where_texts_are_masked(workplace: Open) -> None:
    """Dify's refusals may name people: the ledger's reasons are sentences that quote them."""
    place = workplace(quiet_world("chat", "workflow")).with_rules(privacy=Privacy("mask"))
    talk(place.world, at=NOW - timedelta(days=1))
    run(place.world, at=NOW - timedelta(days=1))
    told = {"code": "internal", "message": "not for ada@b.de", "status": 400}
    inner = httpx.WSGITransport(app=place.server)

    class Refusing(httpx.BaseTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            if request.url.path.endswith(("/chat-messages", "/node-executions", "/annotations")):
                return httpx.Response(400, json=told, headers={"x-version": "1.12.1"})
            return inner.handle_request(request)

    place.transport = Refusing()
    reports = place.read()
    shown = [slice_.reason or "" for one in reports.values() for slice_ in one.failures]
    assert any("not for" in reason for reason in shown)
    assert [reason for reason in shown if "ada@b.de" in reason] == []
    reasons = place.rows(
        "SELECT reason FROM ops.slices UNION ALL SELECT reason FROM ops.conversation_reads "
        "UNION ALL SELECT nodes_reason FROM ops.run_reads UNION ALL SELECT detail_reason "
        "FROM ops.run_reads"
    )
    quoting = [reason for (reason,) in reasons if reason and "not for" in reason]
    assert len(quoting) >= 3
    assert [reason for reason in quoting if "ada@b.de" in reason] == []
