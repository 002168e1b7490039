"""The first minute: `dify-etl demo` in an empty folder, with nothing set."""

import re
import shlex
import subprocess
from pathlib import Path

import duckdb
import pytest

from dify_etl.cli.demonstration import QUESTION
from dify_etl.feeds.table import FEEDS
from dify_etl.sync.opt_in import OPT_IN
from dify_etl_tests.cli.command_line import Answer, Shell


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """An empty folder; a server in the environment must not matter."""
    folder = tmp_path_factory.mktemp("demo")
    home = str(folder / "home")
    return Shell(folder, {"DIFY_ETL_HOME": home, "DIFY_BASE_URL": "http://127.0.0.1:9"})


@pytest.fixture(scope="module")
def first(place: Shell) -> Answer:
    """What the first demo said."""
    return place.run("demo")


def rows_of(file: Path) -> dict[str, list[tuple[object, ...]]]:
    """Every raw row; without the links to icons, which Dify signs anew at every read."""
    tables = "SELECT table_name FROM duckdb_tables() WHERE schema_name = 'raw' ORDER BY 1"
    row = "SELECT COLUMNS(lambda name: name <> 'icon_url') FROM raw"
    with duckdb.connect(file, read_only=True) as connection:
        names = [name for (name,) in connection.execute(tables).fetchall()]
        return {
            name: sorted(connection.execute(f"SELECT r::VARCHAR FROM ({row}.{name}) r").fetchall())
            for name in names
        }


def test_demo_shows_table_file_and_queries(first: Answer, place: Shell) -> None:
    """Exit code 0, a line per raw table, the file that it names."""
    assert first.code == 0, first.text
    assert first.err == ""
    assert "node_executions" in first.out
    assert str(place.home / "demo" / "dify.duckdb") in first.out
    assert (place.home / "demo" / "dify.duckdb").exists()


def test_demo_ends_with_an_answer_and_how_to_go_on(first: Answer, place: Shell) -> None:
    """Cost and messages per app, commands that run as they stand, and what `unproven` means."""
    with duckdb.connect(place.home / "demo" / "dify.duckdb", read_only=True) as connection:
        answer = connection.execute(QUESTION).fetchall()
    assert len(answer) > 5
    assert [app for app, *_ in answer if app not in first.out] == []
    commands = re.findall(r"^  (\S*dify-etl) (.*)$", first.out, re.MULTILINE)
    assert len(commands) == 3
    for _, words in commands:
        assert place.run(*shlex.split(words)).code == 0
    program, words = commands[0]
    typed = subprocess.run(
        f"{program} {words}", shell=True, cwd=place.folder, env=place.environment(), check=False
    )
    assert typed.returncode == 0
    assert re.search(r"`unproven` \(\d+ days of an app above\): all was read", first.out)
    assert first.out.endswith(f"Your own Dify: {program} init\n")


def test_demo_knows_everything_that_it_reads(first: Answer, place: Shell) -> None:
    """No unknown field, nothing in quarantine, and rows in every table that is read."""
    with duckdb.connect(place.home / "demo" / "dify.duckdb", read_only=True) as connection:
        assert connection.execute("FROM ops.schema_drift").fetchall() == []
        assert connection.execute("FROM ops.quarantine").fetchall() == []
    empty = [
        name for name, rows in rows_of(place.home / "demo" / "dify.duckdb").items() if not rows
    ]
    assert empty == [*OPT_IN]


def test_second_demo_changes_nothing(first: Answer, place: Shell) -> None:
    """The same rows after a second run, and no new or changed row in its table."""
    file = place.home / "demo" / "dify.duckdb"
    before = rows_of(file)
    again = place.run("demo")
    assert again.code == 0, again.text
    assert rows_of(file) == before
    lines = re.findall(r"^(\w+): done, (\d+) new, (\d+) changed", again.out, re.MULTILINE)
    assert len(lines) == len(FEEDS) - len(OPT_IN)
    assert [line for line in lines if line[1:] != ("0", "0")] == []


def test_demo_keeps_away_from_a_servers_files(first: Answer, place: Shell) -> None:
    """Everything of the demo is in a folder of its own."""
    assert [path.name for path in place.home.iterdir()] == ["demo"]


def test_tables_of_a_home_without_sync(tmp_path: Path) -> None:
    """`tables` says what to do when nothing is published yet."""
    answer = Shell(tmp_path).run("tables")
    assert answer.code == 1
    assert "Run `dify-etl sync` first" in answer.err
