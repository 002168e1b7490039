"""What documents ask runs: commands of querying.md, getting-started.md and the README, all SQL."""

import re
import shlex
from pathlib import Path

import pytest

from dify_etl_tests.cli.command_line import Shell
from dify_etl_tests.cli.small_servers import some_days_ago, today

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = (ROOT / "docs" / "querying.md").read_text(encoding="utf-8")
STARTED = (ROOT / "docs" / "getting-started.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")
WORDS = ("query", "tables", "export")
# What the documents name is called otherwise in the small world.
REPLACED = {
    "Support bot": "the chat app",
    "2026-01-01": some_days_ago(2),
    "2026-01-31": today().isoformat(),
}


def commands(document: str) -> list[str]:
    """The lines of its blocks that ask or export."""
    blocks = "\n".join(re.findall(r"```sh\n(.*?)```", document, re.DOTALL))
    lines = [line.split("  #")[0].strip() for line in blocks.splitlines()]
    lines = [line.replace(".venv/bin/", "") for line in lines]
    return [line for line in lines if line.startswith(tuple(f"dify-etl {one}" for one in WORDS))]


def sql_blocks() -> list[tuple[str, str]]:
    """Page and query of every block of SQL, but the cookbook's, whose answers have their test."""
    pages = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
    return [
        (page.name, sql)
        for page in pages
        if page.name != "cookbook.md"
        for sql in re.findall(r"```sql\n(.*?)```", page.read_text("utf-8"), re.DOTALL)
    ]


@pytest.fixture
def follower(loaded: Shell, tmp_path: Path) -> Shell:
    """Somebody with a loaded home, which is only read, and a file with a question."""
    (tmp_path / "question.sql").write_text("select 42 as answer;\n")
    return Shell(tmp_path, loaded.variables | {"DIFY_ETL_HOME": str(loaded.home)})


@pytest.mark.parametrize(
    "line", dict.fromkeys(commands(DOCUMENT) + commands(STARTED) + commands(README))
)
def test_every_command_runs(follower: Shell, line: str) -> None:
    """It ends well, and a file that it names has something in it."""
    words = shlex.split(line, comments=True)
    target = words[words.index("--to") + 1] if "--to" in words else None
    if ">" in words:  # what a shell does; Parquet needs the bytes
        words, target = words[: words.index(">")], words[-1]
        words = ["export", words[-1], "--to", target] if "parquet" in words else words[1:]
    else:
        words = words[1:]
    answer = follower.run(*(REPLACED.get(word, word) for word in words))
    assert answer.code == 0, answer.text
    if target and words[0] == "export":
        assert (follower.folder / target).stat().st_size > 0
    else:
        assert answer.out


@pytest.mark.parametrize(("page", "sql"), sql_blocks())
def test_every_query_runs(follower: Shell, page: str, sql: str) -> None:
    """On a home that one sync has filled."""
    (follower.folder / "shown.sql").write_text(sql)
    answer = follower.run("query", "--format", "csv", "--file", "shown.sql")
    assert answer.code == 0, f"{page}: {answer.text}"


def test_every_way_is_in_the_documents() -> None:
    """The document shows each command, format and ending; the README each command."""
    told = " ".join(commands(DOCUMENT))
    for one in ("query", "tables", "export", "csv", "json", "parquet", "-f", "xlsx", "jsonl"):
        assert one in told
    assert {line.split()[1] for line in commands(README)} == set(WORDS)
