"""`dify-etl export`: whole files in four formats, and no half ones."""

import csv
import io
import json
import stat
from pathlib import Path

import polars as pl
import pytest

from dify_etl_tests.cli.command_line import Answer, Shell
from dify_etl_tests.cli.hand_made_copy import EVIL, FORMULAS, hand_made
from dify_etl_tests.cli.workbooks import Cell, rows_of

ENDINGS = ("parquet", "csv", "xlsx", "jsonl")
every_ending = pytest.mark.parametrize("ending", ENDINGS)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """A home with nothing but a copy; it is only read."""
    return hand_made(tmp_path_factory.mktemp("exported"))


def exported(copy: Shell, target: Path, *words: str) -> Answer:
    """What an export says that has to succeed."""
    answer = copy.run("export", *words, "--to", str(target))
    assert answer.code == 0, answer.text
    return answer


def told(target: Path) -> io.StringIO:
    """The characters of a file, line ends as they are."""
    return io.StringIO(target.read_bytes().decode(), newline="")


def texts(values: list[str]) -> str:
    """A query of one column with these texts, in this order."""
    rows = ", ".join("(" + " || ".join(f"chr({ord(one)})" for one in text) + ")" for text in values)
    return f"select x from (values {rows}) t(x)"


@every_ending
def test_every_format_holds_all_rows(copy: Shell, tmp_path: Path, ending: str) -> None:
    """The questions of a table come out whole, in every format; the number of rows is told."""
    target = tmp_path / f"questions.{ending}"
    answer = exported(copy, target, "select query from raw.messages order by query")
    assert "3 rows" in answer.out
    if ending == "parquet":
        found = pl.read_parquet(target)["query"].to_list()
    elif ending == "csv":
        found = [row["query"] for row in csv.DictReader(told(target))]
    elif ending == "xlsx":
        found = [row["A"].text for row in rows_of(target)[1:]]
    else:
        found = [json.loads(line)["query"] for line in told(target)]
    mark = "'" if ending == "csv" else ""
    assert found == [f"{mark}=2+5", "first", "second"]
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


def test_csv_runs_no_formula(copy: Shell, tmp_path: Path) -> None:
    """What a spreadsheet would run has an apostrophe before it, names of columns too."""
    target = tmp_path / "x.csv"
    sql = texts(FORMULAS).replace("select x", 'select x as "=name", [x] as list, -1.5 as number')
    exported(copy, target, sql)
    names, *rows = list(csv.reader(told(target)))
    assert names == ["'=name", "list", "number"]
    assert [row[0] for row in rows] == [
        one if one in ("fine", "'=1") else f"'{one}" for one in FORMULAS
    ]
    assert {row[2] for row in rows} == {"-1.5"}


def test_xlsx_runs_no_formula(copy: Shell, tmp_path: Path) -> None:
    """Such a text is stored as it is, as a text, with Excel's own mark that it is one."""
    target = tmp_path / "x.xlsx"
    exported(copy, target, texts(["=1+1", "+1", "-1", "@A1", "fine"]))
    cells = [row["A"] for row in rows_of(target)[1:]]
    assert [cell.text for cell in cells] == ["=1+1", "+1", "-1", "@A1", "fine"]
    assert {cell.kind for cell in cells} == {"inlineStr"}
    assert [cell.is_quoted for cell in cells] == [True, True, True, True, False]


@pytest.mark.parametrize("ending", ["parquet", "jsonl"])
def test_files_for_programs_are_exact(copy: Shell, tmp_path: Path, ending: str) -> None:
    """Parquet and JSON Lines hold every text as it is in the copy."""
    target = tmp_path / f"x.{ending}"
    exported(copy, target, texts([*FORMULAS, EVIL]))
    if ending == "parquet":
        found = pl.read_parquet(target)["x"].to_list()
    else:
        found = [json.loads(line)["x"] for line in target.read_text().splitlines()]
    assert found == [*FORMULAS, EVIL]


def test_cells_of_excel(copy: Shell, tmp_path: Path) -> None:
    """Days and instants are Excel's, numbers exact; what Excel cannot hold exactly is text."""
    target = tmp_path / "x.xlsx"
    exported(
        copy,
        target,
        "select date '2026-03-02' as a, timestamptz '2026-03-02 13:00:00+01' as b, "
        "0.1::decimal(28, 10) as c, 12345678901234567.1::decimal(28, 10) as d, "
        "9007199254740993::bigint as e, true as f, null as g, 'nan'::double as h, "
        "date '0999-01-01' as i, {'k': 1} as j, 2.5::double as k, 7::hugeint as l",
    )
    row = rows_of(target)[1]
    assert row["A"] == Cell("n", "46083", "yyyy-mm-dd")
    assert row["B"] == Cell("n", "46083.5", "yyyy-mm-dd hh:mm:ss")
    assert row["C"] == Cell("n", "0.1")
    assert row["D"] == Cell("inlineStr", "12345678901234567.1000000000")
    assert row["E"] == Cell("inlineStr", "9007199254740993")
    assert row["F"] == Cell("b", "1")
    assert "G" not in row
    assert row["H"] == Cell("inlineStr", "nan")
    assert row["I"] == Cell("inlineStr", "0999-01-01")
    assert row["J"] == Cell("inlineStr", "{'k': 1}")
    assert (row["K"], row["L"]) == (Cell("n", "2.5"), Cell("n", "7"))


def test_text_longer_than_a_cell_is_cut_and_told(copy: Shell, tmp_path: Path) -> None:
    """Excel takes 32,767 characters of UTF-16: the rest is named, not lost without a word."""
    target = tmp_path / "x.xlsx"
    answer = exported(copy, target, "select repeat('😀', 20000) as x")
    text = rows_of(target)[1]["A"].text
    assert len(text.encode("utf-16-le")) // 2 <= 32_767
    assert text.startswith("😀" * 16_000)
    assert text.endswith("… (cut)")
    assert "1 texts are longer than a cell" in answer.text


def test_more_rows_than_a_sheet_are_refused(copy: Shell, tmp_path: Path) -> None:
    """The error comes before a byte is written, and names formats that take them."""
    sql = "select * from range(1048576)"
    answer = copy.run("export", sql, "--to", str(tmp_path / "x.xlsx"))
    assert answer.code == 2
    assert "1,048,575 rows" in answer.err
    assert ".parquet" in answer.err
    assert list(tmp_path.iterdir()) == []


@every_ending
def test_a_broken_export_leaves_what_was_there(copy: Shell, tmp_path: Path, ending: str) -> None:
    """An error amid the rows leaves the old file, and nothing half beside it."""
    target = tmp_path / f"x.{ending}"
    target.write_text("old")
    sql = "select case when i = 70000 then error('broken') else i end as x from range(99999) t(i)"
    answer = copy.run("export", sql, "--to", str(target), "--force")
    assert answer.code == 2, answer.text
    assert "broken" in answer.err
    assert [path.name for path in tmp_path.iterdir()] == [target.name]
    assert target.read_text() == "old"


def test_a_file_is_replaced_only_when_told(copy: Shell, tmp_path: Path) -> None:
    """What stands there stays; with --force it is replaced, for its owner alone."""
    target = tmp_path / "x.csv"
    target.write_text("old")
    target.chmod(0o644)
    answer = copy.run("export", "apps", "--to", str(target))
    assert (answer.code, "--force" in answer.err) == (2, True)
    assert target.read_text() == "old"
    exported(copy, target, "apps", "--force")
    assert target.read_text() != "old"
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["mesages", "--to", "x.csv"], ("no table 'mesages'", "raw.messages", "dify-etl tables")),
        (["messages", "--to", "x.txt"], ("format", ".parquet, .csv, .xlsx, .jsonl")),
        (["messages", "--to", "no/x.csv"], ("folder does not exist",)),
        (["messages", "--to", "x.csv", "--app", "Bot"], ("several apps", "bot-1 or bot-2")),
        (["messages", "--to", "x.csv", "--app", "Dsk"], ("no app 'Dsk'", "'Desk'")),
        (["members", "--to", "x.csv", "--app", "desk"], ("no column app_id", "--app")),
        (["select 1 as x", "--to", "x.csv", "--from", "2026-01-01"], ("no local day",)),
        (["messages", "--to", "x.csv", "--from", "2026-02-30"], ("'2026-02-30'", "--from")),
        (
            ["messages", "--to", "x.csv", "--from", "2026-02-02", "--to-date", "2026-02-01"],
            ("before the start",),
        ),
        (["select 1; select 2", "--to", "x.csv"], ("several statements",)),
        (["drop table raw.apps", "--to", "x.csv"], ("only a SELECT",)),
    ],
    ids=lambda one: " ".join(one[:6]) if isinstance(one, list) else "",
)
def test_what_cannot_be_exported_is_told(
    copy: Shell, words: list[str], says: tuple[str, ...]
) -> None:
    """Exit code 2, with the reason and what to write instead; no file is made."""
    before = sorted(copy.folder.rglob("*"))
    answer = copy.run("export", *words)
    assert answer.code == 2, answer.text
    assert [one for one in says if one not in answer.err] == [], answer.err
    assert sorted(copy.folder.rglob("*")) == before


def test_devices_and_links_are_not_replaced(copy: Shell, tmp_path: Path) -> None:
    """--force is about files: neither a link nor what it points to is touched."""
    held = tmp_path / "held.csv"
    held.write_text("old")
    link = tmp_path / "link.csv"
    link.symlink_to(held)
    assert copy.run("export", "apps", "--to", str(link), "--force").code == 2
    assert link.is_symlink()
    assert held.read_text() == "old"


def questions(target: Path) -> list[str]:
    """The questions of a file, in its order."""
    return [str(one) for one in pl.read_parquet(target)["question"].to_list()]


def test_conversations_are_the_questions_of_an_app(copy: Shell, tmp_path: Path) -> None:
    """A name without a schema is the export of that name; its talks come in their order."""
    by_name, by_id = tmp_path / "name.parquet", tmp_path / "id.parquet"
    exported(copy, by_name, "conversations", "--app", "Desk")
    assert questions(by_name) == ["first", "second"]
    exported(copy, by_id, "conversations", "--app", "bot-1", "--app", "bot-2")
    assert questions(by_id) == ["=2+5"]


def test_days_are_the_local_days_of_the_rows(copy: Shell, tmp_path: Path) -> None:
    """Both bounds are included; 21:00 in Berlin is still that day."""
    target = tmp_path / "x.parquet"
    exported(copy, target, "conversations", "--from", "2026-03-02", "--to-date", "2026-03-02")
    assert questions(target) == ["first", "second"]
    exported(copy, target, "conversations", "--to-date", "2026-03-01", "--force")
    assert questions(target) == ["=2+5"]


def test_a_query_is_chosen_from_as_well(copy: Shell, tmp_path: Path) -> None:
    """--app and days hold for the rows of a query that has app_id and a day."""
    target = tmp_path / "x.parquet"
    sql = "select app_id, created_date, query as question from raw.messages -- all;"
    exported(copy, target, sql, "--app", "Desk", "--from", "2026-03-02")
    assert sorted(questions(target)) == ["first", "second"]


def test_home_of_an_account_is_found_behind_an_equals_sign(copy: Shell, tmp_path: Path) -> None:
    """Where bash leaves the ~ alone."""
    answer = copy.run("export", "select 1 as a", "--to=~/x.csv", HOME=str(tmp_path))
    assert answer.code == 0, answer.text
    assert (tmp_path / "x.csv").read_text() == "a\n1\n"
