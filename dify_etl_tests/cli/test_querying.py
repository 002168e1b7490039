"""`dify-etl query`: SQL on the published copy, from the command line, a file, stdin or a shell."""

import io
import json
import os
import pty
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from dify_etl_tests.cli import situations as some
from dify_etl_tests.cli.command_line import COMMAND, ServedDify, Shell
from dify_etl_tests.cli.hand_made_copy import EVIL, hand_made
from dify_etl_tests.cli.situations import Stage

ANSWER = "select answer from raw.messages where answer is not null"


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """A home with nothing but a copy; it is only read."""
    return hand_made(tmp_path_factory.mktemp("queried"))


def test_an_answer_is_a_table(copy: Shell) -> None:
    """Names, values, null and the number of rows, exact to the last digit."""
    answer = copy.run("query", "select 0.10::decimal(9, 2) as price, null as nothing, '' as empty")
    assert answer.code == 0, answer.text
    assert "price nothing empty" in answer.text
    assert "0.10 NULL" in answer.text
    assert "1 row" in answer.text


def test_texts_of_strangers_are_shown_and_not_obeyed(copy: Shell) -> None:
    """Escape codes and marks of direction are written out, markup is no markup; wide rows too."""
    for sql in (ANSWER, f"select *, {'1, ' * 60} from ({ANSWER})"):
        answer = copy.run("query", sql)
        assert "a\\x1b[2Jb[bold]c\\u202egnp" in answer.out
        assert not set(answer.out) & set("\x1b\u202e\r")


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ("selec 1", ("syntax error", "query")),
        ("select * from raw.mesages", ("mesages does not exist", 'Did you mean "messages"')),
        ("select quary from raw.messages", ('"quary" not found', "query", "dify-etl tables NAME")),
        ("select 'x'::int", ("Could not convert string 'x'",)),
        ("create table raw.mine (x int)", ("read-only", "TEMP TABLE")),
        ("", ("no SQL", "select 42")),
    ],
)
def test_wrong_sql_is_told_in_one_sentence(copy: Shell, sql: str, says: tuple[str, ...]) -> None:
    """Exit code 2, three lines: DuckDB's sentence, the place, and what to do."""
    answer = copy.run("query", sql)
    assert answer.code == 2, answer.text
    assert [one for one in says if one not in answer.err] == [], answer.err
    assert len(answer.err.splitlines()) == 3
    assert "Traceback" not in answer.text


def test_csv_and_json_are_exact(copy: Shell) -> None:
    """What goes into a pipe or file is the text itself; numbers keep their digits."""
    sql = (
        f"select answer, 12345678901234567890.0123456789::decimal(38, 10) as price from ({ANSWER})"
    )
    told = {"answer": EVIL, "price": "PRICE"}
    rows = copy.run_anew("query", sql, "--format", "json")
    assert json.loads(rows.out.replace("12345678901234567890.0123456789", '"PRICE"')) == [told]
    lines = subprocess.run(
        [*COMMAND, "query", sql, "--format", "csv"],
        env=copy.environment(),
        capture_output=True,
        check=True,
    ).stdout.decode()
    assert lines == f'answer,price\n"{EVIL}",12345678901234567890.0123456789\n'


def test_json_is_json_whatever_the_numbers(copy: Shell) -> None:
    """JSON knows no NaN and no infinity: they are null."""
    answer = copy.run("query", "select 'nan'::double as x, 1e9 as y", "--format", "json")
    assert json.loads(answer.out) == [{"x": None, "y": 1e9}]


def test_parquet_is_appended_to_what_stdout_is(copy: Shell, tmp_path: Path) -> None:
    """A file that is appended to keeps its begin; the rest is the Parquet file."""
    target = tmp_path / "held"
    target.write_bytes(b"kept")
    with target.open("ab") as file:
        words = ["query", "select 'ü' as x, 1 as y", "--format", "parquet"]
        subprocess.run([*COMMAND, *words], env=copy.environment(), stdout=file, check=True)
    held = target.read_bytes()
    assert held[:4] == b"kept"
    assert pl.read_parquet(io.BytesIO(held[4:])).rows() == [("ü", 1)]


def test_parquet_is_not_shown_on_a_terminal(copy: Shell) -> None:
    """Bytes would garble it: the error says whereto else."""
    code, said = typed(copy, "", "query", "select 1", "--format", "parquet")
    assert code == 2
    assert "--to file.parquet" in said


def test_csv_on_a_terminal_is_harmless(copy: Shell) -> None:
    """Nobody parses a screen: what it would obey is written out."""
    code, said = typed(copy, "", "query", ANSWER, "--format", "csv")
    assert code == 0
    assert "a\\x1b[2Jb" in said


def test_a_file_runs_to_its_last_answer(copy: Shell, tmp_path: Path) -> None:
    """Statements before the last one are run, comments and semicolons are no statements."""
    file = tmp_path / "asked.sql"
    file.write_text("create temp table x as select 42 as found; -- first;\nselect * from x; -- end")
    for form in ("table", "csv"):
        answer = copy.run("query", "-f", str(file), "--format", form)
        assert answer.code == 0, answer.text
        assert "42" in answer.out
    answer = copy.run("query", "-f", "missing.sql")
    assert (answer.code, "missing.sql cannot be read" in answer.err) == (2, True)


def test_stdin_may_hold_the_query(copy: Shell) -> None:
    """Without a query and without a person, stdin is read."""
    done = subprocess.run(
        [*COMMAND, "query", "--format", "csv"],
        env=copy.environment(),
        input="select 6 * 7 as x",
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "x\n42\n"


def test_whoever_reads_may_stop(copy: Shell) -> None:
    """`| head -1` ends the query, and is no error."""
    words = ["query", "select i from range(100000000) t(i)", "--format", "csv"]
    with subprocess.Popen(
        [*COMMAND, *words],
        env=copy.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        assert running.stdout.readline() == b"i\n"
        running.stdout.close()
        assert running.stderr.read() == b""
    assert running.returncode == 0


def test_order_of_a_query_is_kept(copy: Shell) -> None:
    """What was ordered comes out in that order, in every format."""
    sql = "select i from range(50000) t(i) order by hash(i)"
    shown = copy.run("query", f"from ({sql}) limit 5", "--format", "csv").out.split()[1:]
    assert copy.run("query", sql, "--format", "csv").out.split()[1:6] == shown


def test_a_query_needs_no_dify_and_nothing_heavy(copy: Shell) -> None:
    """No server, account or Dagster: what it loads is DuckDB and the settings."""
    code = (
        "import sys\nfrom dify_etl.cli.main import app\n"
        "app(['query', 'select 42 as x', '--format', 'csv'], standalone_mode=False)\n"
        "heavy = {'dagster', 'polars', 'httpx', 'werkzeug', 'xlsxwriter'} & set(sys.modules)\n"
        "sys.exit(f'loaded {heavy}' if heavy else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=copy.environment(),
        cwd=copy.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "x\n42\n"), done.stderr


def test_a_query_waits_for_no_sync(own_copy: Shell, dify: ServedDify) -> None:
    """While another process holds the lock of the home or the live file, the copy answers."""
    for situation in (some.running_sync, some.held_live_file):
        with situation(Stage(dify, own_copy)):
            answer = own_copy.run("query", "select count(*) from raw.messages", "--format", "csv")
        assert answer.code == 0, answer.text
        assert answer.out.split() == ["count_star()", "2"]


def test_the_copy_may_stand_elsewhere(copy: Shell, tmp_path: Path) -> None:
    """DIFY_ETL_COPY is where it is looked for."""
    place = tmp_path / "for analysts"
    shutil.copytree(copy.home, place)
    elsewhere = Shell(tmp_path, {"DIFY_ETL_COPY": str(place)})
    answer = elsewhere.run("query", "select count(*) from raw.messages", "--format", "csv")
    assert answer.out.split() == ["count_star()", "3"]


@pytest.mark.parametrize(
    "words", [["query", "select 1"], ["export", "messages", "--to", "x.csv"], ["tables", "apps"]]
)
def test_before_the_first_sync_there_is_nothing(tmp_path: Path, words: list[str]) -> None:
    """Exit code 1, and what to do; no file and no folder is made."""
    answer = Shell(tmp_path).run(*words)
    assert answer.code == 1
    assert "nothing is published yet" in answer.err
    assert "dify-etl sync" in answer.err
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_copy_is_told(tmp_path: Path) -> None:
    """A file that is no DuckDB is one clear error."""
    shell = Shell(tmp_path)
    shell.home.mkdir()
    (shell.home / "dify.duckdb").write_text("no database" * 999)
    answer = shell.run("query", "select 1")
    assert answer.code == 1
    assert "dify.duckdb cannot be opened" in answer.err
    assert "bug" not in answer.err


def typed(shell: Shell, text: str, *words: str, **changed: str) -> tuple[int, str]:
    """Exit code of a command on a terminal into which somebody types, and what is seen there."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, *words],
        cwd=shell.folder,
        env=shell.environment(TERM="dumb", COLUMNS="120", **changed),
        stdin=slave,
        stdout=slave,
        stderr=slave,
    )
    os.close(slave)
    os.write(master, text.encode())
    seen = b""
    while chunk := _read(master):
        seen += chunk
    os.close(master)
    return process.wait(), seen.decode()


def _read(master: int) -> bytes:
    try:
        return os.read(master, 65_536)
    except OSError:  # Linux says EIO when the last writer is gone
        return b""


def test_plain_shell_answers_and_keeps_a_private_history(copy: Shell) -> None:
    """Queries over several lines, errors that end nothing, and a history for the owner alone."""
    lines = "select 6 *\n7 as answered;\nselec;\nselect 'still ' || 'here' as x;\nexit\n"
    code, said = typed(copy, lines, "query", PATH="/nowhere")
    assert code == 0, said
    assert "pip install duckdb-cli" in said
    assert "│ 42" in said
    assert "syntax error" in said
    assert "│ still here" in said
    history = copy.home / "query_history"
    assert stat.S_IMODE(history.stat().st_mode) == 0o600
    assert "7 as answered;" in history.read_text()


def test_shell_of_duckdb_is_taken_where_there_is_one(copy: Shell, tmp_path: Path) -> None:
    """It is opened read-only on the copy, in UTC."""
    program = tmp_path / "duckdb"
    program.write_text('#!/bin/sh\necho "$TZ: $@"\n')
    program.chmod(0o700)
    code, said = typed(copy, "", "query", PATH=f"{tmp_path}:{os.environ['PATH']}")
    assert (code, said.strip()) == (0, f"UTC: -readonly {copy.home / 'dify.duckdb'}")
