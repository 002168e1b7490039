"""An export holds no file whole: a copy with many long texts, and the most memory of its process.

EXPORT_ROWS sets the rows (`make soak`: a million); the suite takes as many as fit its time.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dify_etl.home import COPY
from dify_etl.warehouse.database import open_database
from dify_etl_tests.cli.command_line import Shell
from dify_etl_tests.cli.hand_made_copy import hand_made

ROWS = int(os.environ.get("EXPORT_ROWS", "100000"))
IS_WHOLE = ROWS >= 1_000_000
MOST_MB = 500 if IS_WHOLE else 260
ANSWER_CHARACTERS = 860
# Excel's cells take most of the time: fewer rows, longer texts.
LONG_TEXTS = (
    "select message_id, repeat(answer, 9) as answer, created_at from raw.messages "
    "where message_id like '%7'"
)

# The memory of this program alone: what getrusage tells begins with that of its parent.
_RUN = """
import sys
from pathlib import Path
from dify_etl.cli.main import app
code = app(sys.argv[1:], standalone_mode=False)
told = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
print(told["VmHWM"].split()[0], file=sys.stderr)
sys.exit(code)
"""


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """A copy with that many messages in conversations of four, of which no two texts are equal."""
    shell = hand_made(tmp_path_factory.mktemp("many"))
    with open_database(shell.home / COPY) as database:
        database.execute(
            f"""INSERT INTO raw.messages BY NAME
            SELECT 'desk' AS app_id, 'talk ' || hash(i // 4) AS conversation_id,
                'message ' || i AS message_id, 'question ' || repeat(hash(i)::VARCHAR, 3) AS query,
                repeat(hash(i)::VARCHAR, {ANSWER_CHARACTERS // 20}) AS answer, 10 AS message_tokens,
                to_timestamp(1700000000 + i * 60) AS created_at, DATE '2026-03-02' AS created_date
            FROM range({ROWS}) t(i)"""
        )
        database.execute(
            f"""INSERT INTO raw.conversations BY NAME
            SELECT 'desk' AS app_id, 'talk ' || hash(i) AS conversation_id, 'A talk' AS name,
                'user ' || i AS from_end_user_session_id,
                to_timestamp(1700000000 + i * 240) AS created_at
            FROM range({ROWS // 4}) t(i)"""
        )
    return shell


@pytest.mark.parametrize("ending", ["parquet", "csv", "jsonl", "xlsx"])
def test_memory_does_not_grow_with_the_rows(
    many: Shell, tmp_path: Path, ending: str, tell: Callable[[str], None]
) -> None:
    """The texts of the rows would take all the memory that is allowed, if they were held."""
    target = tmp_path / f"talks.{ending}"
    what = "conversations" if IS_WHOLE else "select * from raw.messages"
    expected = ROWS + 3
    if ending == "xlsx" and not IS_WHOLE:
        what, expected = LONG_TEXTS, ROWS // 10
    done = subprocess.run(
        [sys.executable, "-c", _RUN, "export", what, "--to", str(target)],
        env=many.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    most = int(done.stderr.split()[-1]) / 1024
    size = target.stat().st_size / 1e6
    tell(
        f"export of {expected:,} rows into {ending}: {most:.0f} MB of memory, {size:.0f} MB of file"
    )
    assert f"{expected:,} rows" in done.stdout
    assert most < MOST_MB
