"""Rows that real servers sent, one value of each replaced: loaded, or named with its field."""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from random import Random
from typing import get_origin

import pytest

from dify_etl.dify.conversations import CompletionDetail
from dify_etl.dify.http.exact_json import decode
from dify_etl.dify.messages import Message
from dify_etl.dify.record import Record, parse
from dify_etl.raw.frames import records_frame
from dify_etl.raw.local_days import with_local_days
from dify_etl.raw.tables import RAW_TABLES
from dify_etl.time_zones import utc_now, zone_of
from dify_etl.warehouse.database import Database
from dify_etl.warehouse.tables import Table
from dify_etl.warehouse.upsert import upsert
from dify_etl_tests.conftest import Tell
from dify_etl_tests.dify.recordings import VERSIONS, exchanges
from dify_etl_tests.fuzz.altered_answers import Case, draw_case
from dify_etl_tests.fuzz.grammar import encoded, is_nothing, replaced
from dify_etl_tests.fuzz.judging import columns_of
from dify_etl_tests.fuzz.objects import Found, Route, route_of, rows_in
from dify_etl_tests.fuzz.test_answers import SEED, SOAK

# The keys of a message that hold its parts, or name what they are of, and the parts.
HOLDING_PARTS: tuple[str, ...] = (
    "id",
    "conversation_id",
    "feedbacks",
    "agent_thoughts",
    "message_files",
)
HOLDING_PARTS += (
    "metadata",
    "extra_contents",
    "workflow_run_id",
    "user_feedback",
    "admin_feedback",
)
PARTS = {
    name for name, info in Message.model_fields.items() if get_origin(info.annotation) is tuple
}
PER_ROW = 20 if SOAK else 2


def recorded_rows(version: str) -> Iterator[tuple[Route, dict[str, str], Found]]:
    """The rows of the recorded answers, and what the client knows beside them."""
    for one in exchanges(version):
        route = route_of(one.path)
        if one.method != "GET" or one.status != 200 or route is None:
            continue
        if route.table == "daily_statistics" or not isinstance(one.body, dict):
            continue  # their rows are made of several answers
        ids = {
            kind: found for kind, found in re.findall("/(apps|agent|workflow)/([^/]+)", one.path)
        }
        known = (
            {"app_id": ids.get("apps", "app")} if route.record.model_fields.get("app_id") else {}
        )
        if route.table == "human_inputs":
            known["workflow_run_id"] = ids["workflow"]
        for number, row in enumerate(rows_in(route, one.body)):
            yield route, known, Found(route, one.path, str(number), frozenset(), row)


@pytest.mark.parametrize("version", VERSIONS)
def test_one_odd_value_of_a_recorded_row(version: str, database: Database, tell: Tell) -> None:
    """The row is loaded or set aside by name; what is loaded fits its columns, and every field
    that does not look at the value is as it was.
    """
    chance = Random(SEED)
    accepted: dict[tuple[str, type[Record]], list[Record]] = defaultdict(list)
    cases = set_aside = 0
    for route, known, found in recorded_rows(version):
        clean = parse(route.record, [found.row], endpoint="-", context=known)
        if clean.rejected:
            continue
        for _ in range(PER_ROW):
            case = draw_case(found, (), chance)
            if case is None:
                continue
            cases += 1
            row = decode(encoded(replaced(found.row, case.where, case.sent)))
            batch = parse(route.record, [row], endpoint="-", context=known)
            told = f"seed {SEED}: {version} {case}"
            assert batch.records or batch.rejected, told
            set_aside += not batch.records
            for record in batch.records:
                _compare(clean.records[0], record, case, told)
                odd = {name for one in batch.rejected for name in one.odd_fields}
                assert odd == set(record.odd_fields), told
                if type(record) in RAW_TABLES[route.table].records:
                    accepted[route.table, type(record)].append(record)
    for (table, kind), records in accepted.items():
        _load(database, RAW_TABLES[table].table, kind, records)
    assert 0 < set_aside < cases
    tell(f"recorded answers of {version}: {cases} cases, {set_aside} rows set aside, seed {SEED}")


def _compare(clean: Record, now: Record, case: Case, told: str) -> None:
    key = str(case.where[0]) if case.where else ""
    looked_at = columns_of(type(clean), key) if key else set()
    if key in HOLDING_PARTS:
        looked_at |= PARTS
    if isinstance(clean, CompletionDetail) and isinstance(now, CompletionDetail):
        looked_at |= {"rejected"}
        _compare_messages(clean.message, now, case, told)
    for name in type(clean).model_fields:
        if name not in {*looked_at, *now.odd_fields}:
            assert getattr(now, name) == getattr(clean, name), f"{told}: {name}"


def _compare_messages(clean: Message | None, now: CompletionDetail, case: Case, told: str) -> None:
    """The message of a log's detail is a record of its own: an odd value costs its field there, or
    the message is set aside by name; in another place it costs nothing of it.
    """
    is_inside = bool(case.where) and case.where[0] == "message"
    if clean is None or now.message is None:
        assert now.rejected or is_nothing(case.sent) or clean is None, told
        assert clean is None or is_inside, told
    elif is_inside:
        _compare(clean, now.message, replace(case, where=case.where[1:]), told)
    else:
        assert (now.message, now.rejected) == (clean, ()), told


def _load(database: Database, table: Table, kind: type[Record], records: Sequence[Record]) -> None:
    database.ensure(table)
    rows = with_local_days(table, records_frame(table, kind, records), zone_of("UTC"))
    with database.transaction():
        upsert(database, table, rows, now=utc_now())
    keys = rows.select(table.key).n_unique()
    assert database.value(f"SELECT count(*) FROM {table.qualified}") >= keys
