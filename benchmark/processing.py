"""Validate, normalise and load messages in one process without any network; run as a child.

The messages are those that a real server sent, repeated under new ids.
"""

from __future__ import annotations

import gc
import json
import sys
import time
import uuid
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from dify_etl.dify.lists import page_of
from dify_etl.dify.messages import Message
from dify_etl.raw.frames import records_frame, without_secrets_in
from dify_etl.raw.tables import raw_table
from dify_etl.sync.opening import RARE_COLLECTIONS
from dify_etl.time_zones import utc_now
from dify_etl.warehouse.database import Database, open_database
from dify_etl.warehouse.upsert import upsert

RECORDED = Path("dify_etl_tests/recorded/1.12.1/logs.jsonl")
EXCHANGE = "chat-messages-limit100"
PAGES_PER_COMMIT = 20


@dataclass
class Stopwatch:
    """CPU seconds of this process by step."""

    spent: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    @contextmanager
    def on(self, step: str) -> Iterator[None]:
        """Count the block under `step`."""
        began = time.process_time()
        yield
        self.spent[step] += time.process_time() - began


def recorded_messages() -> list[dict[str, Any]]:
    """A page of messages of a real Dify."""
    exchanges = (json.loads(line) for line in RECORDED.open(encoding="utf-8"))
    found = next(one for one in exchanges if one["name"] == EXCHANGE)
    return list(found["response"]["body"]["data"])


def fresh_page(rows: list[dict[str, Any]]) -> bytes:
    """The answer for another conversation with the same messages."""
    conversation_id = str(uuid.uuid4())
    data = [{**row, "id": str(uuid.uuid4()), "conversation_id": conversation_id} for row in rows]
    return orjson.dumps({"limit": 100, "has_more": False, "data": data})


def process(pages: list[bytes], database: Database, watch: Stopwatch) -> int:
    """Load the pages, some at a time; answers how many messages."""
    table, count = raw_table("messages"), 0
    for place in range(0, len(pages), PAGES_PER_COMMIT):
        messages: list[Message] = []
        for page in pages[place : place + PAGES_PER_COMMIT]:  # one by one, as they arrive
            with watch.on("validate"):
                answer = orjson.loads(page)
                read = page_of(Message, answer, endpoint="benchmark", context={"app_id": "app"})
                messages.extend(read.records)
        with watch.on("normalise"):
            rows = records_frame(table, Message, messages)
            rows = rows.with_columns(pl.lit("chat").alias("message_source"))
        with watch.on("load"), database.transaction():
            # As a sync does, whatever made the rows.
            upsert(database, table, without_secrets_in(table, rows), now=utc_now())
        count += len(messages)
    return count


def main() -> None:
    """Do the task of the command line; the last line is the result as JSON."""
    task = json.loads(sys.argv[1])
    gc.set_threshold(*RARE_COLLECTIONS)  # as a sync does
    recorded = recorded_messages()
    pages = [fresh_page(recorded) for _ in range(task["pages"])]
    watch, began = Stopwatch(), time.monotonic()
    with open_database(Path(task["home"]) / "live.duckdb") as database:
        database.expect_small_commits()  # as a sync does
        database.ensure(raw_table("messages"))
        rows = process(pages, database, watch)
    told = {"seconds": time.monotonic() - began, "rows": rows, **watch.spent}
    print(json.dumps(told))


if __name__ == "__main__":
    main()
