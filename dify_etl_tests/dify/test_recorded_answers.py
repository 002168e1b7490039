"""Every recorded GET answer goes through the client: it is parsed whole, or named here."""

import re
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from dify_etl.dify import DifyClient
from dify_etl.dify.errors import DifyError, NoSuchEndpoint, NotFound
from dify_etl.dify.record import Batch, Record
from dify_etl.dify.statistics import StatisticMetric
from dify_etl_tests.dify.recordings import (
    VERSIONS,
    Exchange,
    by_area,
    complaints,
    exchanges,
    playing,
)

Read = Callable[[DifyClient], Any]

READS: dict[str, Read] = {
    "/apps": lambda dify: dify.apps.page(),
    "/apps/ID": lambda dify: dify.apps.get("a"),
    "/apps/ID/api-keys": lambda dify: dify.api_keys.of_app("a"),
    "/apps/ID/annotations": lambda dify: dify.conversations.annotations_page("a"),
    "/apps/ID/chat-conversations": lambda dify: dify.conversations.chat_page("a"),
    "/apps/ID/chat-messages": lambda dify: dify.conversations.messages_page("a", "c"),
    "/apps/ID/completion-conversations": lambda dify: dify.conversations.completion_page("a"),
    "/apps/ID/completion-conversations/ID": lambda dify: dify.conversations.completion_detail(
        "a", "c"
    ),
    "/apps/ID/feedbacks/export": lambda dify: dify.conversations.feedback_export("a"),
    "/apps/ID/messages/ID": lambda dify: dify.conversations.message("a", "m"),
    "/apps/ID/workflow-app-logs": lambda dify: dify.workflows.app_logs_page("a"),
    "/apps/ID/workflow-runs": lambda dify: dify.workflows.runs_page("a"),
    "/apps/ID/advanced-chat/workflow-runs": lambda dify: dify.workflows.chatflow_runs_page("a"),
    "/apps/ID/workflow-runs/count": lambda dify: dify.workflows.run_count("a"),
    "/apps/ID/workflow-runs/ID": lambda dify: dify.workflows.run("a", "r"),
    "/apps/ID/workflow-runs/ID/node-executions": lambda dify: dify.workflows.node_executions(
        "a", "r"
    ),
    "/apps/ID/workflows": lambda dify: dify.workflows.versions_page("a"),
    "/apps/ID/workflows/publish": lambda dify: dify.workflows.published("a"),
    "/account/profile": lambda dify: dify.account.profile(),
    "/workspaces": lambda dify: dify.account.workspaces(),
    "/workspaces/current/members": lambda dify: dify.members.list(),
    "/tags": lambda dify: dify.tags.of_apps(),
    "/datasets": lambda dify: dify.datasets.page(),
    "/datasets/ID": lambda dify: dify.datasets.get("d"),
    "/datasets/api-keys": lambda dify: dify.api_keys.of_datasets(),
    "/datasets/ID/documents": lambda dify: dify.datasets.documents_page("d"),
    "/datasets/ID/indexing-status": lambda dify: dify.datasets.indexing_status("d"),
    "/datasets/ID/documents/ID/indexing-status": lambda dify: (
        dify.datasets.document_indexing_status("d", "x")
    ),
    "/datasets/ID/error-docs": lambda dify: dify.datasets.error_documents("d"),
}

NOT_READ = {
    "/apps/ID/agent/logs": "agent_thoughts of the message tell the same",
    "/apps/ID/annotations/count": "total of the list",
    "/apps/ID/chat-conversations/ID": "marks the log as read",
    "/apps/ID/conversation-variables": "cut at 100 by the server",
    "/apps/ID/export": "a text, tested with the writes",
    "/apps/ID/model-config": "no such method",
    "/apps/ID/workflow-archived-logs": "an operator's job moves them; was empty",
    "/apps/ID/workflows/draft": "among the versions",
    "/activate/check": "invitations",
    "/datasets/ID/batch/NAME/indexing-status": "by upload batch; the dataset's covers it",
    "/datasets/ID/documents/ID": "the list has the same fields",
    "/datasets/ID/queries": "retrieval log, not loaded",
    "/features": "plan limits",
    "/logout": "ends the session on old servers",
    "/setup": "only its header is read",
    "/system-features": "branding",
    "/apps/ID/annotation-setting": "a setting of the console",
    "/apps/ID/annotations/export": "the list has the same",
    "/apps/ID/server": "MCP server of the app, holds its code",
    "/apps/ID/trace": "tracing, in the app's detail",
    "/apps/ID/workflow-runs/ID/export": "link to an archive of the run, not downloaded",
    "/all-workspaces": "of the whole server, for its operator",
    "/apps/recent": "among the apps",
    "/apps/starred": "among the apps, as is_starred",
    "/datasets/ID/api-keys": "500 on every server",
    "/datasets/ID/related-apps": "counted in the dataset's row",
    "/datasets/api-base-info": "address of the service API",
    "/features/vector-space": "plan limits",
    "/info": "a greeting",
    "/ping": "is Dify there",
    "/workspaces/current/dataset-operators": "among the members",
    "/workspaces/current/permission": "what a member may do with invitations",
    "/workspaces/current/summary": "tested with the account: newest servers alone",
    "/version": "the newest release, not the server's",
    "/workspaces/current": "tested with the account: its method differs by version",
    "/nope": "a route that never was",
    "/apps/": "a trailing slash, which the client never sends",
}
CSV = "feedbacks-export-csv"

# Agents, forms, triggers and archives: what reads them has tests of its own over the recordings.
OWN_TESTS = ("/agent", "/workflow/", "/workflow-run-archives", "/apps/ID/triggers", "/form/")

_ID = re.compile(r"/(?:[0-9a-fA-F]{8}-[0-9a-fA-F-]{27}|[0-9a-f]{32}|not-a?-?uuid|abc|xyz)(?=/|$)")


def pattern_of(exchange: Exchange) -> str:
    path = _ID.sub("/ID", exchange.path.removeprefix("/console/api"))
    return re.sub(r"/batch/[^/]+/", "/batch/NAME/", path)


def read_of(exchange: Exchange) -> Read | None:
    pattern = pattern_of(exchange)
    for metric in StatisticMetric:
        if pattern == f"/apps/ID/{metric.path}":
            return lambda dify: dify.statistics.daily("a", metric)
    return READS.get(pattern)


def recorded_reads() -> list[Exchange]:
    return [
        exchange
        for version in VERSIONS
        for exchange in exchanges(version)
        if exchange.method == "GET" and exchange.path.startswith("/console/api")
    ]


def named(exchange: Exchange) -> str:
    return f"{exchange.version}-{exchange.area}-{exchange.name}"


def good() -> list[Exchange]:
    return [e for e in recorded_reads() if e.status == 200 and read_of(e) and e.name != CSV]


def bad() -> list[Exchange]:
    # what follows a 401 is tested with the session, an absent run with the workflows
    return [
        e
        for e in recorded_reads()
        if e.status >= 400
        and e.status != 401
        and read_of(e)
        and pattern_of(e) != "/apps/ID/workflow-runs/ID"
    ]


GOOD, BAD = by_area(good()), by_area(bad())


def parses_whole(exchange: Exchange) -> None:
    read = read_of(exchange)
    assert read is not None

    with playing(exchange) as dify:
        answer = read(dify)

    assert rejected(answer) == ()
    assert {key for record in records(answer) for key in record.extra} == set()
    assert len(records(answer)) == rows_in(exchange)


@pytest.mark.parametrize("area", GOOD)
def test_good_answers_parse_whole(area: str) -> None:
    """Every row becomes a record, none is rejected, and no key of a known server is unknown."""
    assert complaints(parses_whole, GOOD[area]) == {}


def raises_what_to_do(exchange: Exchange) -> None:
    read = read_of(exchange)
    assert read is not None

    with playing(exchange) as dify, pytest.raises(DifyError) as caught:
        read(dify)

    assert caught.value.hint
    assert "/console/api" in caught.value.where
    assert isinstance(caught.value, NotFound | NoSuchEndpoint) is (exchange.status == 404)


@pytest.mark.parametrize("area", BAD)
def test_bad_answers_raise_what_to_do(area: str) -> None:
    """Every recorded error becomes one of ours, with a place and a hint; 404 is NotFound, or
    NoSuchEndpoint when it comes without Dify's JSON.
    """
    assert complaints(raises_what_to_do, BAD[area]) == {}


def test_every_answer_that_fails_is_named() -> None:
    """Of the exchanges of an area the one that is not as promised is told, with what it is."""
    good, bad = GOOD["1.12.1-apps"][0], BAD["1.12.1-apps"][0]

    assert complaints(parses_whole, [good, bad]).keys() == {bad.name}
    assert complaints(raises_what_to_do, [good, bad]).keys() == {good.name}


@pytest.mark.parametrize("version", VERSIONS)
def test_every_recorded_read_is_accounted_for(version: str) -> None:
    """An endpoint is read by the client, or its reason not to be stands in NOT_READ."""
    reads = {named(e): e for e in recorded_reads() if e.version == version}
    patterns = {name: pattern_of(exchange) for name, exchange in reads.items()}

    assert reads
    assert [
        name
        for name, pattern in patterns.items()
        if not pattern.startswith(OWN_TESTS)
        and not read_of(reads[name])
        and not NOT_READ.get(pattern)
        and "statistics/bogus" not in pattern
    ] == []


def records(answer: object) -> list[Record]:
    if isinstance(answer, Batch):
        return list(answer.records)
    if isinstance(answer, list):
        return answer
    return [answer] if isinstance(answer, Record) else []


def rejected(answer: object) -> Iterable[object]:
    return answer.rejected if isinstance(answer, Batch) else ()


def rows_in(exchange: Exchange) -> int:
    body = exchange.body or {"id": None}  # null: a workflow that was never published
    if isinstance(body, list):
        return len(body)
    for key in ("data", "items", "accounts", "workspaces", "feedback_data"):
        if isinstance(body.get(key), list):
            figures = 2 if "total_price" in str(body) and "statistics/" in exchange.path else 1
            return len(body[key]) * figures
    return 0 if body.get("id", "") is None else 1
