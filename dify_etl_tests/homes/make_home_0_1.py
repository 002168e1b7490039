"""How home-0.1.tar.xz was made: by version 0.1 (commit 969f714), out of recorded answers.

    cd <a checkout of 969f714> && .venv/bin/python <this file> <this repository> <archive>

Everything goes through 0.1's own records, loaders and the ledger: the rows of all four recorded
versions; a message of each human-input recording, with its form token; one that is no record, so
that its JSON stands in the quarantine; and the feed `messages` over the agent apps, against a Dify
that answers 404 for other people's talks as recorded. DuckDB compresses nothing, so that a search
of the bytes finds what is there. Run it again only to hold more in the same old form.
"""

import json
import sys
import tarfile
import tempfile
from datetime import date
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx

from dify_etl.dify.app_records import App
from dify_etl.dify.conversations import CompletionConversation, Conversation
from dify_etl.dify.datasets import Dataset, Document
from dify_etl.dify.feedback import Annotation
from dify_etl.dify.members import Member
from dify_etl.dify.messages import Message
from dify_etl.dify.record import Batch, Record, parse
from dify_etl.dify.workflow_records import ChatflowRun, NodeExecution, WorkflowAppLog, WorkflowRun
from dify_etl.feeds.messages import read_messages
from dify_etl.feeds.quarantine import _LOADERS
from dify_etl.feeds.run_lists import runs_frame
from dify_etl.raw.tables import raw_table
from dify_etl.sync.feed_loader import FeedLoader
from dify_etl.sync.opening import open_home
from dify_etl.sync.report import Slice
from dify_etl.sync.run import NoWatcher, Sync, SyncPlan, SyncRules
from dify_etl.warehouse.publish import publish
from dify_etl_tests.dify import recordings
from dify_etl_tests.dify.test_recorded_answers import pattern_of

SERVER = "1.16.1"
RULES = SyncRules(zone=ZoneInfo("America/New_York"), start_date=date(2026, 11, 1))
RECORDS: dict[str, tuple[str, str, type[Record]]] = {
    "/apps": ("apps", "data", App),
    "/apps/ID/annotations": ("annotations", "data", Annotation),
    "/apps/ID/chat-conversations": ("conversations", "data", Conversation),
    "/apps/ID/chat-messages": ("messages", "data", Message),
    "/apps/ID/completion-conversations": ("conversations", "data", CompletionConversation),
    "/apps/ID/workflow-app-logs": ("workflow_runs", "data", WorkflowAppLog),
    "/apps/ID/workflow-runs": ("workflow_runs", "data", WorkflowRun),
    "/apps/ID/advanced-chat/workflow-runs": ("workflow_runs", "data", ChatflowRun),
    "/apps/ID/workflow-runs/ID/node-executions": ("node_executions", "data", NodeExecution),
    "/workspaces/current/members": ("members", "accounts", Member),
    "/datasets": ("datasets", "data", Dataset),
    "/datasets/ID/documents": ("documents", "data", Document),
}
SESSION = {
    "/ping": "setup-status-after",
    "/login": "login-ok",
    "/account/profile": "profile",
    "/workspaces/current": "workspace-current-post",
}


def answer(request: httpx.Request) -> httpx.Response:
    """The session of the recorded server, and chat-messages by conversation, as recorded."""
    path = request.url.path.removeprefix("/console/api")
    if path in SESSION:
        return recordings.exchange(SERVER, "auth", SESSION[path]).response()
    told = request.url.params.get("conversation_id")
    for one in recordings.exchanges(SERVER):
        is_asked = one.path == request.url.path and ("conversation_id", told) in one.query
        if is_asked and "as-editor" not in one.name:
            return one.response()
    return recordings.exchange(SERVER, "agents", "chat-messages-unknown").response()


def context_of(path: str) -> dict[str, Any]:
    """The ids that 0.1's client joins to the rows of this path."""
    parts = path.removeprefix("/console/api").split("/")
    if len(parts) < 4 or parts[1] == "workspaces":
        return {}
    runs = {"workflow_run_id": parts[4]} if parts[-1] == "node-executions" else {}
    return {"app_id" if parts[1] == "apps" else "dataset_id": parts[2], **runs}


def load(sync: Sync, version: str) -> None:
    """Every good recorded list of a version."""
    for one in recordings.exchanges(version):
        feed, key, record_class = RECORDS.get(pattern_of(one), ("", "", Record))
        if not feed or one.method != "GET" or one.status != 200:
            continue
        context = context_of(one.path)
        rows = one.body[key]
        if feed == "messages" and "human-input" in one.name:
            rows = [*rows, *({**row, "id": None, "status": 5} for row in rows)]
        batch: Batch[Any] = parse(record_class, rows, endpoint=f"GET {one.path}", context=context)
        with FeedLoader(sync, feed) as loader, loader.commit():
            if record_class in (WorkflowRun, ChatflowRun):
                kind = dict(one.query).get("triggered_from", "debugging")
                frame = runs_frame(record_class, kind, batch.records)
                loader.load_frame(raw_table(feed), frame)
            else:
                _LOADERS[record_class](loader, batch.records)
            loader.quarantine(context.get("app_id"), batch.rejected)


def make(home: Path) -> None:
    """The home: live file and published copy."""
    agents = [
        row["id"] for row in recordings.exchange(SERVER, "apps", "list-mode-agent").body["data"]
    ]
    with (
        recordings.client(answer) as dify,
        open_home(dify, home, rules=RULES, run_id="old", watch=NoWatcher()) as opened,
    ):
        with opened.sync(SyncPlan()) as sync:
            sync.database.execute("SET force_compression = 'uncompressed'")
            for version in ("1.7.2", "1.12.1", "1.16.1", "main-2026-08"):
                load(sync, version)
            sync.database.execute("CHECKPOINT live")
        with opened.sync(SyncPlan(apps=tuple(agents), is_full=True)) as sync:
            sync.database.execute("SET force_compression = 'uncompressed'")
            with FeedLoader(sync, "conversations") as loader, loader.commit():
                days = [date(2026, 11, day) for day in (25, 26, 27)]
                loader.close_slices(
                    [Slice(app, day, "proven", 1, 1, 1) for app in agents for day in days]
                )
            read_messages(sync)
            sync.database.execute("CHECKPOINT live")
    publish(home, run_id="old", through=date(2026, 11, 27))


if __name__ == "__main__":
    recordings.RECORDED = Path(sys.argv[1]) / "dify_etl_tests" / "recorded"
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder))
        with tarfile.open(sys.argv[2], "w:xz", preset=9) as archive:
            for name in ("live.duckdb", "dify.duckdb"):
                archive.add(Path(folder) / name, name)
    print(json.dumps({"bytes": Path(sys.argv[2]).stat().st_size}))
