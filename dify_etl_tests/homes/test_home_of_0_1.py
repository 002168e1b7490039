"""A home that version 0.1 made is mended at its first start, and nothing else of it changes."""

import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import duckdb
import pytest

from dify_etl.dify.http.secret_shapes import REMOVED
from dify_etl.home import COPY, LIVE
from dify_etl.sync.migrations import STEPS
from dify_etl.warehouse.database import Database, open_database
from dify_etl.warehouse.errors import WarehouseNewer
from dify_etl.warehouse.migrations import MIGRATIONS, Migration, migrate_home

ARCHIVE = Path(__file__).parent / "home-0.1.tar.xz"
TOKEN = b"form-token-0"
Rows = dict[str, list[tuple[Any, ...]]]
UNCOMPRESSED = "uncompressed"


@pytest.fixture(scope="module")
def archived(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home as version 0.1 left it; both files uncompressed, so that a byte search finds all."""
    home = tmp_path_factory.mktemp("home-0.1")
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(home, filter="data")
    plain = home / "plain.duckdb"
    with duckdb.connect() as connection:
        connection.execute("SET force_compression = 'uncompressed'")
        connection.execute(f"ATTACH '{home / COPY}' AS held (READ_ONLY)")
        connection.execute(f"ATTACH '{plain}' AS plain (STORAGE_VERSION 'v1.5.0')")
        connection.execute("COPY FROM DATABASE held TO plain")
    plain.replace(home / COPY)
    return home


@pytest.fixture
def home(archived: Path, tmp_path: Path) -> Path:
    """That home, for one test."""
    shutil.copytree(archived, tmp_path / "home")
    return tmp_path / "home"


def migrate(home: Path, migrations: tuple[Migration, ...] = STEPS) -> list[str]:
    """Mend the home as a start does; answers the lines told."""
    lines: list[str] = []
    migrate_home(home, migrations, wait_seconds=1, tell=lines.append, compression=UNCOMPRESSED)
    return lines


@pytest.fixture(scope="module")
def mended(archived: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """That home after a start that went through; nobody changes it."""
    home = tmp_path_factory.mktemp("mended") / "home"
    shutil.copytree(archived, home)
    migrate(home)
    return home


@pytest.fixture(scope="module")
def mended_rows(mended: Path) -> Rows:
    """All rows of it and its copy, by file and table."""
    return {
        f"{name} {table}": rows
        for name in (LIVE, COPY)
        for table, rows in rows_of(mended / name).items()
    }


# What the quarantine, and other tables, of 0.1 have not.
NEW = (
    *("parent_id", "slice_date", "last_date", "odd_fields", "odd_figures"),
    "citation_number",  # of citations
)


def rows_of(path: Path) -> Rows:
    """All rows of the raw tables and of the quarantine, as text, by table; new columns aside."""
    with duckdb.connect(path, read_only=True) as connection:
        made = "SELECT 'raw.' || table_name FROM duckdb_tables() WHERE schema_name = 'raw'"
        names = [*(name for (name,) in connection.sql(made).fetchall()), "ops.quarantine"]
        return {
            name: sorted(
                connection.sql(
                    f"SELECT COLUMNS(lambda c: c NOT IN {NEW})::VARCHAR FROM {name}"
                ).fetchall(),
                key=repr,
            )
            for name in names
        }


def value(path: Path, sql: str) -> Any:
    """The one value of a query on a file."""
    with duckdb.connect(path, read_only=True) as connection:
        found = connection.execute(sql).fetchall()
    return found[0][0]


def test_token_is_in_no_byte_of_any_file(home: Path) -> None:
    """Live file, published copy and what a killed copy left: before in each, afterwards in none."""
    (home / ".dify.duckdb.999999").write_bytes((home / COPY).read_bytes())
    before = {path.name for path in home.iterdir() if TOKEN in path.read_bytes()}

    migrate(home)

    after = {path.name: path.read_bytes() for path in home.iterdir()}
    assert before == {LIVE, COPY, ".dify.duckdb.999999"}
    assert set(after) == {LIVE, COPY}
    assert [name for name, content in after.items() if TOKEN in content] == []
    assert all(REMOVED.encode() in content for content in after.values())


def test_compressed_file_holds_no_token_in_a_row_either(home: Path) -> None:
    """As a real start writes it, with DuckDB's compression; rows are searched, not bytes."""
    assert TOKEN.decode() in repr(rows_of(home / LIVE))

    migrate_home(home, STEPS, wait_seconds=1, tell=lambda line: None)

    for name in (LIVE, COPY):
        assert TOKEN.decode() not in repr(rows_of(home / name))


def test_rows_are_otherwise_what_they_were(archived: Path, mended: Path) -> None:
    """Same rows, times of change included; only secrets and false absences differ."""
    live, copy = rows_of(archived / LIVE), rows_of(archived / COPY)

    for name, held in rows_of(mended / COPY).items():
        assert _texts(held, copy[name]) <= {"(secret)"}
    talks = {"conversations", "messages", "message_feedbacks", "message_citations"}
    for name, held in rows_of(mended / LIVE).items():
        if name.removeprefix("raw.") not in talks | {"message_files", "agent_thoughts"}:
            assert _texts(held, live[name]) <= {"(secret)"}
        assert len(held) == len(live[name])


def _texts(after: list[tuple[Any, ...]], before: list[tuple[Any, ...]]) -> set[str]:
    """What stands in the places that differ: the marks in texts that had a secret."""
    assert len(after) == len(before)
    changed = [
        text
        for row, old in zip(sorted(after, key=_key), sorted(before, key=_key), strict=True)
        for text, was in zip(row, old, strict=True)
        if text != was
    ]
    assert all(REMOVED in text for text in changed)
    return {REMOVED for _ in changed}


def _key(row: tuple[Any, ...]) -> str:
    """Sorts rows alike before and after: by what is short, such as ids and times."""
    return repr([text for text in row if text is None or len(text) < 40])


def test_comments_and_tables_stay(archived: Path, mended: Path) -> None:
    """A file that is written anew has the same tables with the same comments."""
    comments = (
        "SELECT list(t ORDER BY t) FROM (SELECT schema_name || table_name || column_name || "
        "coalesce(comment, '') AS t FROM duckdb_columns() "
        "WHERE table_name NOT IN ('migrations', 'table_changes') "
        f"AND column_name NOT IN {NEW})"
    )
    before, after = [
        {name: value(home / name, comments) for name in (LIVE, COPY)} for home in (archived, mended)
    ]

    assert after == before


def test_talks_with_agents_are_absent_no_more_and_due(archived: Path, mended: Path) -> None:
    """404s of chat-messages were no deletions; the ledger of agent apps are forgotten."""
    agents = "(SELECT app_id FROM raw.apps WHERE mode = 'agent')"
    talks = f"SELECT count(*) FROM raw.conversations WHERE app_id IN {agents}"
    absent = f"{talks} AND absent_since IS NOT NULL"
    reads = f"SELECT count(*) FROM ops.conversation_reads WHERE app_id IN {agents}"
    slices = f"SELECT count(*) FROM ops.slices WHERE app_id IN {agents}"
    before, after = [
        [value(home / LIVE, sql) for sql in (absent, reads, slices)] for home in (archived, mended)
    ]

    assert all(before)
    assert after == [0, 0, 0]


def test_true_absences_stay(home: Path) -> None:
    """Of other apps, and of agent apps that are gone themselves, what was absent stays so."""
    with duckdb.connect(home / LIVE) as connection:
        connection.execute("UPDATE raw.apps SET absent_since = now() WHERE mode = 'agent'")
        connection.execute(
            "UPDATE raw.conversations SET absent_since = now() WHERE conversation_id IN (SELECT "
            "conversation_id FROM raw.conversations JOIN raw.apps USING (app_id) "
            "WHERE mode = 'chat' LIMIT 3)"
        )
    absent = "SELECT count(*) FROM raw.conversations WHERE absent_since IS NOT NULL"
    before = value(home / LIVE, absent)

    migrate(home)

    assert before > 3
    assert value(home / LIVE, absent) == before


def test_second_start_does_nothing(home: Path) -> None:
    """Each step is told once, and runs once: later starts leave the files alone."""
    told = migrate(home)
    stamps = [(home / name).stat().st_mtime_ns for name in (LIVE, COPY)]

    again = migrate(home)

    assert [line for line in told if line.startswith(COPY)]
    assert len([line for line in told if line.startswith(LIVE)]) == len(STEPS) + 1
    assert again == []
    assert (home / COPY).stat().st_mtime_ns == stamps[1]


def test_secrets_that_are_known_since_are_removed(tmp_path: Path) -> None:
    """Of a small home that went through all earlier steps: in the log of a request, in an address;
    from every row and byte of both files, and nothing beside them.
    """
    request = "GET /t?a=b&secret={} HTTP/1.1\r\nX-Api-Key: {}\r\n\r\n"
    log = json.dumps({"request": request.format("c4n4ry-one1", "c4n4ry-two2")})
    with open_database(tmp_path / LIVE) as database:
        database.execute("SET force_compression = 'uncompressed'")
        database.ensure(MIGRATIONS)
        database.execute("CREATE SCHEMA IF NOT EXISTS raw")
        database.execute("CREATE TABLE raw.nodes (process_data JSON, error VARCHAR)")
        database.execute(
            "INSERT INTO raw.nodes VALUES (?, 'at mysql://me:c4n4ry-three3@db.test/x, kept')", [log]
        )
        database.execute("INSERT INTO ops.migrations (number) FROM range(1, 8)")
        database.execute("CHECKPOINT live")
    shutil.copyfile(tmp_path / LIVE, tmp_path / COPY)
    assert b"c4n4ry" in (tmp_path / LIVE).read_bytes()

    told = migrate(tmp_path)

    assert len([line for line in told if "secrets in forms" in line]) == 2
    for path in (tmp_path / LIVE, tmp_path / COPY):
        assert b"c4n4ry" not in path.read_bytes()
        kept = value(path, "SELECT process_data ->> 'request' FROM raw.nodes")
        assert kept == request.format(REMOVED, REMOVED)
        kept = value(path, "SELECT error FROM raw.nodes")
        assert kept == f"at mysql://me:{REMOVED}@db.test/x, kept"


class Killed(BaseException):
    """The process is killed here."""


@pytest.mark.parametrize("survived", [0, 1, 2])
def test_kill_between_two_steps_is_made_good(survived: int, home: Path, mended_rows: Rows) -> None:
    """A kill in a step undoes it; the next start does it and the rest, with the same end."""

    def killed(database: Database) -> int:
        STEPS[survived].apply(database)
        raise Killed

    one = STEPS[survived]
    broken = Migration(one.number, one.step, killed, one.removes_text, one.is_for_copy)
    with pytest.raises(Killed):
        migrate(home, (*STEPS[:survived], broken, *STEPS[survived + 1 :]))
    assert TOKEN in (home / LIVE).read_bytes()
    migrate(home)

    for name in (LIVE, COPY):
        assert TOKEN not in (home / name).read_bytes()
        wanted = {one: rows for one, rows in mended_rows.items() if one.startswith(f"{name} ")}
        assert {f"{name} {one}": rows for one, rows in rows_of(home / name).items()} == wanted


def test_kill_before_the_swap_is_made_good(home: Path) -> None:
    """Steps done, file not written anew: half a new file is thrown away and made once more."""

    def kill_at_the_swap(line: str) -> None:
        if "written anew" in line:
            (home / f"{LIVE}.anew").write_bytes(b"half")
            raise Killed

    with pytest.raises(Killed):
        migrate_home(home, STEPS, wait_seconds=1, tell=kill_at_the_swap)
    migrate(home)

    assert [path.name for path in home.iterdir() if TOKEN in path.read_bytes()] == []
    assert {path.name for path in home.iterdir()} == {LIVE, COPY}


def test_reader_of_the_old_copy_keeps_it(home: Path) -> None:
    """An analyst who has the published copy open reads on; who opens it afterwards gets the new."""
    with duckdb.connect(home / COPY, read_only=True) as reader:
        inode = os.stat(home / COPY).st_ino
        steps = "from pathlib import Path; migrate(Path('home'))"
        code = f"from {__name__} import migrate; {steps}"
        subprocess.run(
            [sys.executable, "-c", code], check=True, capture_output=True, cwd=home.parent
        )
        assert reader.execute("SELECT count(*) FROM raw.messages").fetchall()[0][0] > 0
    assert os.stat(home / COPY).st_ino != inode
    assert TOKEN not in (home / COPY).read_bytes()


def test_file_of_a_newer_version_is_refused(home: Path) -> None:
    """With the step that it does not know; not a byte of it is changed, nor of its copy."""
    later = Migration(STEPS[-1].number + 1, "what comes later", lambda database: 0)
    migrate(home, (*STEPS, later))
    before = [(home / name).read_bytes() for name in (LIVE, COPY)]
    with pytest.raises(WarehouseNewer, match=r"a newer version .* what comes later") as refused:
        migrate(home)
    assert "running.md" in refused.value.hint
    assert [(home / name).read_bytes() for name in (LIVE, COPY)] == before
