"""Texts of real workspaces are long: whole documents in nodes, prompts with all that was found."""

import random
import tracemalloc
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import duckdb
import pytest

from dify_etl.dify.datasets import Document
from dify_etl.dify.lists import page_of
from dify_etl.dify.messages import Message
from dify_etl.dify.paging import PageWalk
from dify_etl.dify.record import Page, Record, parse, text_bytes
from dify_etl.feeds import run_details
from dify_etl.feeds.message_parts import size_of
from dify_etl.feeds.whole_lists import Listed
from dify_etl.sync.feed_loader import FeedLoader
from dify_etl.sync.run import SyncPlan
from dify_etl.warehouse import database as database_module
from dify_etl.warehouse.database import Database, open_database
from dify_etl.warehouse.errors import WarehouseUnwritable, translated
from dify_etl.warehouse.tables import Column, Table, frame
from dify_etl.warehouse.upsert import put
from dify_etl_tests.dify.recordings import exchange
from dify_etl_tests.sync.small_worlds import lively_world
from dify_etl_tests.sync.workplace import RUNS, Workplace
from dify_simulated import World

NOTES = Table("raw", "notes", "One row per note.", ("id",), (
    Column("id", "BIGINT", "its number"),
    *(Column(f"text_{number}", "VARCHAR", "a text") for number in range(5)),
))  # fmt: skip
NOTES_COLUMNS = tuple(column.name for column in NOTES.columns)
DOCUMENT = "".join(random.Random(1).choices("abcdefgh ijklmno qrsuvwz", k=400_000))


def with_long_nodes(world: World, length: int) -> World:
    """Each node reads a document and writes it, as an extractor of documents does."""
    for number, node in enumerate(world.node_executions.values()):
        start = number % 1000
        text = DOCUMENT[start : start + length]
        node.inputs, node.process_data, node.outputs = {"q": text}, {"p": text}, {"text": text}
    return world


def test_nodes_with_whole_documents_are_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of them, in commits of bounded bytes; and once more when all of them changed."""
    commits = list[int]()
    monkeypatch.setattr(run_details, "COMMIT_RUNS", 100)
    load = FeedLoader.load

    def noted(loader: FeedLoader, name: str, kind: type[Record], rows: Sequence[Record]) -> None:
        commits.append(text_bytes(rows))
        load(loader, name, kind, rows)

    monkeypatch.setattr(FeedLoader, "load", noted)
    world = lively_world()
    place = Workplace(world, tmp_path / "home")
    for length in (30_000, 31_000):
        with_long_nodes(world, length)
        place.read(RUNS, SyncPlan(is_full=True))
        count = len(world.node_executions)
        assert place.rows(
            "SELECT count(*), sum(length(inputs)), sum(length(process_data)), sum(length(outputs))"
            " FROM raw.node_executions"
        ) == [(count, count * (length + 8), count * (length + 8), count * (length + 11))]
    assert sum(commits) > 120_000_000
    assert max(commits) < 2 * 100 * run_details.RUN_BYTES


def memory_of(database: Database) -> str:
    return str(database.value("SELECT current_setting('memory_limit')"))


def notes(first: int, rows: int, length: int) -> Sequence[dict[str, object]]:
    return [
        {"id": one} | {f"text_{n}": DOCUMENT[(one + n) % 999 :][:length] for n in range(5)}
        for one in range(first, first + rows)
    ]


@pytest.mark.parametrize("length", [1_000, 100_000])
def test_long_rows_get_memory_for_as_long_as_they_need_it(tmp_path: Path, length: int) -> None:
    """Many commits of rows with half a megabyte each, and changes of all of them; short rows get
    no more than they did. What DuckDB kept of either is given back.
    """
    with open_database(tmp_path / "live.duckdb") as database:
        database.ensure(NOTES)
        database.expect_small_commits()
        frugal, found = memory_of(database), set()
        for turn in range(12):
            with database.transaction():
                rows = frame(NOTES, notes(40 * turn, 40, length), NOTES_COLUMNS)
                database.append(NOTES, rows)
                found.add(memory_of(database))
            assert memory_of(database) == frugal
        with database.transaction():
            changed = frame(NOTES, notes(0, 200, length + 1), NOTES_COLUMNS)
            put(database, NOTES, changed)
        assert database.rows(
            f"SELECT count(*), count(*) FILTER (length(text_4) = {length + 1}) FROM raw.notes"
        ) == [(480, 200)]
        assert (found == {frugal}) is (length == 1_000)
        assert memory_of(database) == frugal


@pytest.mark.parametrize(
    ("rows", "length", "gets_more"), [(4_000, 700, True), (100, 3_000, True), (600_000, 0, False)]
)
def test_many_rows_of_usual_length_and_few_long_ones_get_more(
    tmp_path: Path, rows: int, length: int, gets_more: bool
) -> None:
    """Not half a million ids, which are as large: most of a night's memory would be theirs."""
    text = DOCUMENT[:length] if length else None
    names = NOTES_COLUMNS if text else ("id", "text_0")
    told = dict.fromkeys(names[1:], text or "0123456789abcdef-0123456789abcdef")
    found = frame(NOTES, [{"id": one, **told} for one in range(rows)], names)
    assert found.estimated_size() > (12_000_000 if rows > 100 else 1_000_000)
    with open_database(tmp_path / "live.duckdb") as database:
        database.ensure(NOTES)
        database.expect_small_commits()
        frugal = memory_of(database)
        with database.transaction():
            database.append(NOTES, found)
            assert (memory_of(database) != frugal) is gets_more


def test_room_is_taken_back_from_a_commit_that_failed(tmp_path: Path) -> None:
    """As when an answer later in the same commit cannot be loaded."""
    with open_database(tmp_path / "live.duckdb") as database:
        database.ensure(NOTES)
        database.expect_small_commits()
        frugal = memory_of(database)
        with suppress(ZeroDivisionError), database.transaction():
            database.append(NOTES, frame(NOTES, notes(0, 40, 100_000), NOTES_COLUMNS))
            assert memory_of(database) != frugal
            raise ZeroDivisionError
        assert memory_of(database) == frugal
        assert database.value("SELECT count(*) FROM raw.notes") == 0


def test_passages_and_results_of_tools_count_as_texts() -> None:
    """Messages are committed by their length: retrieval gives a model pages, tools answer as much,
    and either is many times as long as question and answer.
    """
    row = {
        **{"id": "m", "app_id": "a", "conversation_id": "c", "query": "?", "answer": "!"},
        **{"inputs": {}, "created_at": 1_700_000_000, "status": "normal", "agent_thoughts": []},
    }
    passages = [{"position": n, "content": DOCUMENT[n:][:4_000]} for n in range(10)]
    thoughts = [{"id": f"t{n}", "observation": DOCUMENT[n:][:40_000]} for n in range(2)]
    rows: dict[str, dict[str, object]] = {
        "short": row,
        "passages": {**row, "metadata": {"retriever_resources": passages}},
        "tools": {**row, "agent_thoughts": thoughts},
    }
    found = {
        name: size_of(parse(Message, [one], endpoint="test").records) for name, one in rows.items()
    }
    assert found["short"] == 2
    assert found["passages"] > 70  # they stand in the metadata as well
    assert found["tools"] > 70


def test_long_list_is_held_as_rows() -> None:
    """The documents of one dataset may be a hundred thousand: a record of each takes kilobytes."""
    row = exchange("1.12.1", "datasets", "documents-default").body["data"][0]
    total = 10_000

    def ask(page: int, limit: int) -> Page[Document]:
        places = range((page - 1) * limit, min(page * limit, total))
        listed = [{**row, "id": f"00000000-0000-4000-8000-{place:012d}"} for place in places]
        answer = {"data": listed, "page": page, "limit": limit, "total": total, "has_more": True}
        return page_of(Document, answer, endpoint="test", context={"dataset_id": "d"})

    walk = PageWalk(ask, key=lambda document: document.document_id)
    tracemalloc.start()
    try:
        listed = Listed.of("documents", walk)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert listed.missing is None
    assert (listed.rows.height, listed.rows["document_id"].n_unique()) == (total, total)
    assert most < 2_000 * total  # by Python: ids and a page; records take twice that


def test_lack_of_memory_is_called_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a machine has no more: nothing is said of the disk, and what was there stays."""
    monkeypatch.setattr(database_module, "MEMORY", "30MB")
    rows = frame(NOTES, notes(0, 40, 200_000), NOTES_COLUMNS)
    with open_database(tmp_path / "live.duckdb") as database:
        database.ensure(NOTES)
        database.append(NOTES, frame(NOTES, notes(900, 1, 9), NOTES_COLUMNS))
        database.expect_small_commits()
        with pytest.raises(WarehouseUnwritable) as told, database.transaction():
            database.append(NOTES, rows)
    assert "for lack of memory" in told.value.what
    assert "more memory" in told.value.hint
    with open_database(tmp_path / "live.duckdb") as database:
        assert database.value("SELECT count(*) FROM raw.notes") == 1


def test_lack_of_memory_at_a_checkpoint_is_called_so() -> None:
    """As DuckDB says it, of a file that it closes to all writes then."""
    error = duckdb.TransactionException(
        'TransactionContext Error: Failed to commit: Checkpoint failed for database "live". The '
        "database has been invalidated. Original error: failed to pin block of size 1.0 MiB "
        "(121.3 MiB/122.0 MiB used)"
    )
    assert "for lack of memory" in str(translated(Path("live.duckdb"), error))
    full = duckdb.IOException("Checkpoint failed: No space left on device")
    assert "Free disk space" in str(translated(Path("live.duckdb"), full))
