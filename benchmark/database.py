"""Read a large Dify from its own PostgreSQL: `python -m benchmark.database --messages 1000000`.

A simulated workspace is put into the tables of Dify 1.16.1, and its conversations are copied there
by SQL until there are so many messages. Then dify-etl reads conversations and messages into an
empty home, and once more on a night on which nothing changed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event, Thread

from benchmark.children import Measured, measure
from benchmark.machine import machine
from benchmark.markdown_table import table
from benchmark.progress import say
from benchmark.read_with_dify_etl import Task
from dify_etl_tests.dify_database.dify_tables import fill, make_tables
from dify_etl_tests.postgres import Postgres, serving_postgres
from dify_simulated import SimulatedDify, WorldPlan, build_world, serve

VERSION, DATABASE = "1.16.1", "dify"
FEEDS = ["apps", "conversations", "messages"]
DAYS, PER_CONVERSATION = 90, 4
# For a million messages, the server's processes included.
SECONDS, MEGABYTES, TARGET_MESSAGES = 60.0, 500.0, 1_000_000


def main() -> None:
    """Print a report in Markdown."""
    parser = argparse.ArgumentParser(prog="python -m benchmark.database", description=__doc__)
    parser.add_argument("--messages", type=int, default=TARGET_MESSAGES)
    messages = parser.parse_args().messages
    with (
        tempfile.TemporaryDirectory() as folder,
        serving_postgres(log_statement="none") as postgres,
    ):
        print(_measured(Path(folder), postgres, messages))


def _measured(folder: Path, postgres: Postgres, messages: int) -> str:
    now = datetime.now(UTC)
    world = build_world(
        WorldPlan(seed=5, apps=6, days=2, conversations_per_day=4, now=now, version=VERSION)
    )
    make_tables(postgres, DATABASE, VERSION)
    fill(postgres, DATABASE, world, VERSION)
    say(f"making {messages:,} messages")
    apps = [app.id for app in world.apps.values() if app.mode == "chat"]
    _multiply(postgres, apps, next(iter(world.end_users)), messages, now)
    size = postgres.execute(f"SELECT pg_database_size('{DATABASE}')")[0][0]
    with serve(SimulatedDify(world, VERSION)) as running:
        account = world.account
        task = Task(
            base_url=running.base_url,
            email=account.email,
            password=account.password or "",
            home=str(folder),
            feeds=FEEDS,
            start_date=str((now - timedelta(days=DAYS + 5)).date()),
            database_url=postgres.url(DATABASE),
        )
        nights = []
        for name in ("reading all of it", "a night without a change"):
            say(name)
            with _Watched(postgres) as watched:
                nights.append((name, _read(task), watched))
    return _report(messages, size, nights)


def _read(task: Task) -> Measured:
    return measure(sys.executable, "benchmark.read_with_dify_etl", asdict(task))


def _multiply(
    postgres: Postgres,
    apps: list[str],
    end_user: str,
    messages: int,
    now: datetime,
    database: str = DATABASE,
) -> None:
    """Conversations of chat apps with four messages each, spread over the days."""
    listed = ", ".join(f"'{app}'" for app in apps)
    conversations = messages // PER_CONVERSATION
    begin = (now - timedelta(days=DAYS)).replace(tzinfo=None, microsecond=0)
    step = timedelta(days=DAYS) / max(1, conversations)
    usage = (
        '{"usage": {"prompt_tokens": 825, "prompt_unit_price": "0.001", "prompt_price_unit": '
        '"0.001", "prompt_price": "0.0008250", "completion_tokens": 134, "completion_unit_price": '
        '"0.002", "completion_price_unit": "0.001", "completion_price": "0.0002680", '
        '"total_tokens": 959, "total_price": "0.0010930", "currency": "USD", "latency": 1.25, '
        '"time_to_first_token": 0.3, "time_to_generate": 0.95}, "retriever_resources": []}'
    )
    passages = usage.replace(
        "[]",
        '[{"position": 1, "dataset_id": "d", "dataset_name": "D", "document_id": "x", '
        '"document_name": "X", "segment_id": "s", "score": 0.5, "content": "a passage", '
        '"data_source_type": "upload_file", "retriever_from": "api"}]',
    )
    postgres.execute(
        f"""
        INSERT INTO conversations (id, app_id, mode, name, inputs, status, from_source,
            from_end_user_id, created_at, updated_at, is_deleted, invoke_from)
        SELECT gen_random_uuid(), (ARRAY[{listed}]::uuid[])[1 + n % {len(apps)}], 'chat',
            'conversation ' || n, '{{}}', 'normal', 'api', '{end_user}', at, at, false, 'web-app'
        FROM (SELECT n, timestamp '{begin}' + n * interval '{step.total_seconds()} seconds' AS at
            FROM generate_series(1, {conversations}) AS n) made;
        INSERT INTO messages (id, app_id, conversation_id, inputs, query, message, message_tokens,
            message_unit_price, message_price_unit, answer, answer_tokens, answer_unit_price,
            answer_price_unit, provider_response_latency, total_price, currency, from_source,
            from_end_user_id, created_at, updated_at, status, message_metadata, invoke_from,
            model_provider, model_id, app_mode)
        SELECT gen_random_uuid(), c.app_id, c.id, '{{"name": "A"}}',
            'question ' || n || ' about ' || c.name || repeat(' words', 8),
            '[{{"role": "user", "text": "question", "files": []}}]', 825, 0.001, 0.001,
            'answer ' || n || repeat(' that is as long as answers are', 18), 134, 0.002, 0.001,
            3.4249145454885954, 0.0010930, 'USD', 'api', c.from_end_user_id,
            c.created_at + n * interval '7 seconds', c.created_at, 'normal',
            CASE WHEN random() < 0.2 THEN '{passages}' ELSE '{usage}' END, 'web-app',
            'langgenius/openai/openai', 'gpt-4o', 'chat'
        FROM conversations c, generate_series(1, {PER_CONVERSATION}) AS n
        WHERE c.name LIKE 'conversation %';
        INSERT INTO message_feedbacks (id, app_id, conversation_id, message_id, rating, from_source,
            from_end_user_id, created_at, updated_at)
        SELECT gen_random_uuid(), app_id, conversation_id, id, 'like', 'user', from_end_user_id,
            created_at, created_at FROM messages WHERE random() < 0.1;
        CREATE INDEX ON message_feedbacks (message_id);
        CREATE INDEX ON message_feedbacks (conversation_id);
        CREATE INDEX ON message_annotations (message_id);
        CREATE INDEX ON message_annotations (conversation_id);
        CREATE INDEX ON message_files (message_id);
        CREATE UNIQUE INDEX ON conversations (id);
        CREATE UNIQUE INDEX ON end_users (id);
        CREATE UNIQUE INDEX ON accounts (id);
        """,
        database,
    )
    postgres.execute("VACUUM ANALYZE", database)


class _Watched:
    """The peak memory of the server's processes that work for dify-etl, while the block runs."""

    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres
        self._over = Event()
        self.peak_bytes = 0

    def __enter__(self) -> _Watched:
        self._thread = Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.2):
            pids = self._postgres.execute(
                f"SELECT pid FROM pg_stat_activity WHERE datname = '{DATABASE}'"
            )
            for (pid,) in pids:
                with suppress(OSError, StopIteration):
                    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
                    held = next(line for line in lines if line.startswith("VmHWM"))
                    self.peak_bytes = max(self.peak_bytes, int(held.split()[1]) * 1024)


def _report(messages: int, size: int, nights: list[tuple[str, Measured, _Watched]]) -> str:
    rows = []
    for name, night, watched in nights:
        requests = night.told["requests"]
        seconds = night.told["feed_seconds"]
        asked = requests["conversations"] + requests["messages"]
        rows.append(
            (
                name,
                f"{night.seconds:.1f}",
                f"{seconds['conversations']:.1f}",
                f"{seconds['messages']:.1f}",
                f"{night.cpu_seconds:.1f}",
                f"{night.peak_bytes / 1e6:,.0f}",
                f"{watched.peak_bytes / 1e6:,.0f}",
                str(asked),
            )
        )
    wanted = f"{SECONDS * messages / TARGET_MESSAGES:.0f} s, {MEGABYTES:.0f} MB"
    return "\n".join(
        [
            f"# From the database\n\n{messages:,} messages, a database of {size / 1e6:,.0f} MB; "
            f"wanted: {wanted} with the server's process, 0 requests.\n",
            table(
                (
                    *("night", "seconds", "conversations s", "messages s", "CPU s"),
                    *("peak MB", "server's peak MB", "requests for them"),
                ),
                rows,
            ),
            table(("machine", "value"), machine().items()),
        ]
    )


if __name__ == "__main__":
    main()
