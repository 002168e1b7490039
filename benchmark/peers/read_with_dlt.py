"""Read a Dify with dlt's rest_api source into DuckDB, at the best settings found; run as a child.

Every app has a resource of its own (own cursor, all at once), messages depend on conversations and
are fetched one thread per conversation; lists inside rows stay JSON, which halves dlt's CPU time.
The logs of agents, one per message that called tools, come by a transformer, since rest_api asks
for all rows of a parent or none.
`lag_seconds` reads that much again each time, as dify-etl does with its look-back; None turns the
cursor off.
"""

from __future__ import annotations

import base64
import json
import os
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

CHAT_MODES = ("chat", "agent-chat", "advanced-chat")
# Dify's default order: what moves while it is read comes to pages that were read already.
NEWEST_FIRST = "-updated_at"


def configure(task: dict[str, Any]) -> None:
    """Threads for fetching, and no files that nobody reads; dlt takes it from the environment."""
    os.environ.update(
        {
            "EXTRACT__WORKERS": str(task["workers"]),
            "EXTRACT__MAX_PARALLEL_ITEMS": str(4 * task["workers"]),
            "EXTRACT__FUTURES_POLL_INTERVAL": "0.001",
            "NORMALIZE__WORKERS": "2",
            "DATA_WRITER__BUFFER_MAX_ITEMS": "20000",
            "DATA_WRITER__FILE_MAX_ITEMS": "20000",
            "NORMALIZE__DATA_WRITER__DISABLE_COMPRESSION": "true",
            "LOAD__DELETE_COMPLETED_JOBS": "true",
            "RUNTIME__LOG_LEVEL": "ERROR",
            "RUNTIME__DLTHUB_TELEMETRY": "false",
            "DLT_DATA_DIR": task["home"],
        }
    )


def signed_headers(task: dict[str, Any]) -> dict[str, str]:
    """Log in as Dify 1.12 wants it: password in Base64, cookies, a CSRF token."""
    import requests

    password = base64.b64encode(task["password"].encode()).decode()
    body = {"email": task["email"], "password": password}
    answer = requests.post(f"{task['base_url']}/console/api/login", json=body, timeout=60)
    answer.raise_for_status()
    cookies = {cookie.name: cookie.value or "" for cookie in answer.cookies}
    return {
        "Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items()),
        "X-CSRF-Token": cookies["csrf_token"],
    }


def apps_of(task: dict[str, Any], headers: dict[str, str]) -> list[dict[str, Any]]:
    """All apps of the workspace."""
    import requests

    url = f"{task['base_url']}/console/api/apps?page=1&limit=100"
    return list(requests.get(url, headers=headers, timeout=60).json()["data"])


def list_of(app: dict[str, Any], lag_seconds: float | None) -> dict[str, Any]:
    """The resource of an app's conversations: pages of 100, by cursor when there is a lag."""
    is_chat = app["mode"] in CHAT_MODES
    kind = "chat" if is_chat else "completion"
    order = {"sort_by": NEWEST_FIRST} if is_chat else {}
    endpoint: dict[str, Any] = {
        "path": f"apps/{app['id']}/{kind}-conversations",
        "params": {"limit": 100, **order},
        "data_selector": "data",
        "paginator": {
            "type": "page_number",
            "base_page": 1,
            "total_path": None,
            "has_more_path": "has_more",
        },
    }
    if lag_seconds is not None:
        endpoint["incremental"] = {
            "cursor_path": "updated_at" if is_chat else "created_at",
            "start_param": "start",
            "initial_value": 0,
            "lag": lag_seconds,
            "convert": minute,
        }
    return {
        "name": f"conversations_{app['id']}",
        "table_name": "conversations" if is_chat else "completions",
        "endpoint": endpoint,
        "parallelized": True,
    }


def minute(epoch: float | None) -> str | None:
    """An instant as Dify's lists take it, in the account's zone (UTC here); none for the first."""
    if not epoch:
        return None
    return datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%d %H:%M")


def messages_of(app: dict[str, Any]) -> dict[str, Any]:
    """The resource of the messages of an app's conversations: pages of 100 by `first_id`."""
    return {
        "name": f"messages_{app['id']}",
        "table_name": "messages",
        "endpoint": {
            "path": f"apps/{app['id']}/chat-messages",
            "params": {
                "conversation_id": f"{{resources.conversations_{app['id']}.id}}",
                "limit": 100,
            },
            "data_selector": "data",
            "paginator": {
                "type": "cursor",
                "cursor_path": "data[0].id",
                "cursor_param": "first_id",
                "has_more_path": "has_more",
            },
        },
        "parallelized": True,
    }


def agent_logs(app_id: str, task: dict[str, Any], headers: dict[str, str]) -> Any:
    """The logs of an app's messages that called tools: what tells the seconds of each call."""
    import dlt
    from dlt.sources.helpers import requests

    url = f"{task['base_url']}/console/api/apps/{app_id}/agent/logs"

    @dlt.defer
    def log_of(message: dict[str, Any]) -> dict[str, Any]:
        asked = {"conversation_id": message["conversation_id"], "message_id": message["id"]}
        answer = requests.get(url, params=asked, headers=headers).json()
        return {"message_id": message["id"], **answer}

    @dlt.transformer(
        name=f"agent_logs_{app_id}",
        table_name="agent_logs",
        primary_key="message_id",
        write_disposition="merge",
        max_table_nesting=0,
    )
    def logs(messages: list[dict[str, Any]]) -> Iterator[Any]:
        for message in messages:
            if any(thought.get("tool") for thought in message.get("agent_thoughts") or ()):
                yield log_of(message)

    return logs


def load(task: dict[str, Any]) -> dict[str, Any]:
    """Run the pipeline once; answers seconds."""
    import dlt
    from dlt.sources.rest_api import rest_api_source

    began = time.monotonic()
    headers = signed_headers(task)
    resources: list[Any] = []
    agents: list[str] = []
    for app in apps_of(task, headers):
        if app["mode"] in (*CHAT_MODES, "completion"):
            resources.append(list_of(app, task["lag_seconds"]))
        if app["mode"] in CHAT_MODES:
            resources.append(messages_of(app))
        if app["mode"] == "agent-chat":
            agents.append(app["id"])
    source = rest_api_source(
        {
            "client": {"base_url": f"{task['base_url']}/console/api/", "headers": headers},
            "resource_defaults": {
                "primary_key": "id",
                "write_disposition": "merge",
                "max_table_nesting": 0,
            },
            "resources": resources,
        }
    )
    for app_id in agents:
        messages = source.resources[f"messages_{app_id}"]
        source.resources.add(messages | agent_logs(app_id, task, headers))
    pipeline = dlt.pipeline(
        pipeline_name="benchmark",
        pipelines_dir=task["home"],
        destination=dlt.destinations.duckdb(f"{task['home']}/dlt.duckdb"),
        dataset_name="dify",
    )
    pipeline.run(source)
    return {"seconds": time.monotonic() - began}


def main() -> None:
    """Do the task of the command line; the last line is the result as JSON."""
    task = json.loads(sys.argv[1])
    configure(task)
    print(json.dumps(load(task)))


if __name__ == "__main__":
    main()
