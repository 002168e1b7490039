"""What the commands answer when all is well."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import dagster as dg
import pytest
from typer.main import get_group
from typer.testing import CliRunner

from dify_etl.cli.main import app
from dify_etl_tests.cli.command_line import COMMAND, ServedDify, Shell
from dify_etl_tests.cli.situations import Stage, low_role
from dify_etl_tests.cli.small_servers import some_days_ago, today

COMMANDS = dict(get_group(app).commands)
for group, held in list(COMMANDS.items()):
    for name, one in getattr(held, "commands", {}).items():
        COMMANDS[f"{group} {name}"] = one


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_and_option_says_what_it_does(command: str) -> None:
    """No command and no option goes without its sentence."""
    found = COMMANDS[command]
    assert found.help
    assert [one.name for one in found.params if not getattr(one, "help", None)] == []


def test_version_and_short_help() -> None:
    """What everybody tries first."""
    assert CliRunner().invoke(app, ["--version"]).output == f"dify-etl {version('dify-etl')}\n"
    for words in (["-h"], ["sync", "-h"], ["apps", "list", "-h"]):
        assert CliRunner().invoke(app, words).exit_code == 0
    assert "Exit codes: 0" in CliRunner().invoke(app, ["-h"]).output


@pytest.mark.parametrize("words", [["--help"], ["sync", "--help"], ["dev", "--help"]])
def test_help_loads_nothing_heavy(words: list[str]) -> None:
    """--help answers before Dagster, DuckDB or Polars are loaded."""
    code = (
        "import sys\nfrom dify_etl.cli.main import app\n"
        f"app({words!r}, standalone_mode=False)\n"
        "heavy = {'dagster', 'duckdb', 'polars', 'httpx', 'werkzeug'} & set(sys.modules)\n"
        "sys.exit(f'loaded {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_sync_of_one_day_app_and_feed(own_copy: Shell, dify: ServedDify) -> None:
    """Only the asked feed, app and days are read; models and copy are made all the same."""
    day = some_days_ago(1)
    before = own_copy.rows("SELECT max(published_at) FROM ops.published")
    words = ["--from", day, "--to", day, "--app", "the chat app", "--feed", "conversations"]
    answer = own_copy.run("sync", *words)
    assert answer.code == 0, answer.text
    feeds = re.findall(r"^(\w+): done", answer.out, re.MULTILINE)
    assert feeds == ["conversations"]
    last = own_copy.rows(
        "SELECT DISTINCT a.name, s.slice_date::VARCHAR FROM ops.slices s JOIN raw.apps a "
        "USING (app_id) WHERE run_id = (SELECT arg_max(run_id, started_at) FROM ops.runs)"
    )
    assert last == [("the chat app", day)]
    assert own_copy.rows("SELECT max(published_at) FROM ops.published") > before


def test_one_feed_into_an_empty_home_brings_what_it_starts_from(shell: Shell) -> None:
    """A part of messages is read with them; alone they would find no app: what they need is read,
    once.
    """
    answer = shell.run("sync", "--feed", "agent_thoughts", "--feed", "messages")
    assert answer.code == 0, answer.text
    assert re.findall(r"^(\w+): done", answer.out, re.MULTILINE) == [
        "apps",
        "conversations",
        "messages",
    ]
    assert shell.rows("SELECT count(*) FROM staging.stg_messages") == [(2,)]


def test_base_url_in_another_spelling(own_copy: Shell, dify: ServedDify) -> None:
    """With the path and a slash it is the same server: the home's source."""
    address = f"{dify.base_url}/console/api/"
    answer = own_copy.run("sync", "--feed", "apps", DIFY_BASE_URL=address)
    assert answer.code == 0, answer.text


def test_lines_when_piped_bars_on_a_terminal(own_copy: Shell) -> None:
    """A log gets plain lines, a person bars that move."""
    piped = own_copy.run("sync", "--feed", "apps")
    assert "apps: done, 0 new" in piped.out
    assert "\x1b" not in piped.out
    shown = on_a_terminal(own_copy, "sync", "--feed", "apps")
    assert "\x1b[" in shown
    assert "━" in shown
    assert "apps: done" not in shown


def on_a_terminal(shell: Shell, *words: str) -> str:
    """What a person sees who runs the command."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, *words],
        cwd=shell.folder,
        env=shell.environment(TERM="xterm-256color"),
        stdin=slave,
        stdout=slave,
        stderr=slave,
    )
    os.close(slave)
    seen = b""
    while chunk := _read(master):
        seen += chunk
    os.close(master)
    assert process.wait() == 0
    return seen.decode()


def _read(master: int) -> bytes:
    try:
        return os.read(master, 65_536)
    except OSError:  # Linux says EIO when the last writer is gone
        return b""


def test_tables_lists_what_is_published(loaded: Shell) -> None:
    """Every table and view with rows, state and grain, and how fresh they are."""
    answer = loaded.run("tables", COLUMNS="240")
    assert f"raw.datasets 6 proven {today()} One row per dataset" in answer.text
    assert f"raw.messages 2 7 proven, 1 unproven {today()} One row" in answer.text
    assert answer.code == 0
    assert "marts.app_daily_usage" in answer.text
    assert f"staging.stg_messages 2 7 proven, 1 unproven {today()} One row" in answer.text
    assert re.search(rf"marts.app_daily_usage \d+ built {today()} One row per app", answer.text)
    assert f"through {today()}" in answer.text


def test_tables_of_one_name_shows_its_columns(loaded: Shell) -> None:
    """Grain, rows, state, and each column with type, an example and its sentence."""
    answer = loaded.run("tables", "messages", COLUMNS="240")
    assert answer.code == 0, answer.text
    assert f"raw.messages: 2 rows, 7 proven, 1 unproven, last read whole {today()}" in answer.text
    assert "query VARCHAR a question" in answer.text
    assert re.search(r"created_date DATE \d{4}-\d\d-\d\d Local day of created_at", answer.text)
    both = loaded.run("tables", "conversations", COLUMNS="240").text
    assert "exports.conversations: 2 rows" in both
    assert loaded.run("tables", "massages").code == 2


def test_json_for_machines(loaded: Shell) -> None:
    """The same as in the tables, under names that stay; nothing else is on stdout."""
    tables = {one["table"]: one for one in json.loads(loaded.run("tables", "--json").out)}
    assert tables["raw.datasets"]["rows"] == 6
    assert tables["raw.datasets"]["state"] == "proven"
    columns = json.loads(loaded.run("tables", "messages", "--json").out)
    assert {"query", "answer", "message_id"} <= {one["column"] for one in columns}
    findings = {one["checked"]: one for one in json.loads(loaded.run("doctor", "--json").out)}
    assert findings["login"]["state"] == "good"
    assert json.loads(loaded.run("quarantine", "list", "--json").out) == []
    apps = json.loads(loaded.run("apps", "list", "--json").out)
    assert [one["mode"] for one in apps if one["name"] == "the chat app"] == ["chat"]
    (owner,) = [
        one
        for one in json.loads(loaded.run("members", "list", "--json").out)
        if one["email"] == loaded.variables["DIFY_EMAIL"]
    ]
    assert owner["role"] == "owner"


def test_simulate_prints_settings_that_work(tmp_path: Path) -> None:
    """The lines that it prints, copied into the environment, are all that a sync needs."""
    shell = Shell(tmp_path)
    words = ["--port", "0", "--apps", "1", "--days", "1", "--conversations-per-day", "1"]
    with shell.start("simulate", *words, "--timezone", "Asia/Tokyo") as serving:
        assert serving.stdout is not None
        lines = [serving.stdout.readline().strip() for _ in range(5)]
        shell.variables = dict(line.split("=", 1) for line in lines if not line.startswith("#"))
        try:
            answer = shell.run("sync", "--feed", "apps", DIFY_ETL_START_DATE=some_days_ago(1))
        finally:
            serving.send_signal(signal.SIGINT)
        assert answer.code == 0, answer.text
    assert serving.returncode == 0
    assert sorted(shell.variables) == [
        "DIFY_BASE_URL",
        "DIFY_EMAIL",
        "DIFY_ETL_TIMEZONE",
        "DIFY_PASSWORD",
    ]


def test_no_secret_is_written_anywhere(own_copy: Shell, tmp_path: Path) -> None:
    """After a run neither the home nor Dagster's storage nor the output holds the password."""
    instance = tmp_path / "dagster"
    instance.mkdir()
    answer = own_copy.run("sync", "--feed", "apps", "--debug", DAGSTER_HOME=str(instance))
    assert answer.code == 0, answer.text
    secret = own_copy.variables["DIFY_PASSWORD"]
    assert secret not in answer.out + answer.err
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(path.suffix == ".db" for path in files)
    assert [path for path in files if secret.encode() in path.read_bytes()] == []


def test_run_is_recorded_in_the_dagster_home(own_copy: Shell, tmp_path: Path) -> None:
    """With DAGSTER_HOME set, the UI shows the runs of the command line."""
    instance = tmp_path / "dagster"
    instance.mkdir()
    assert own_copy.run("sync", "--feed", "apps", DAGSTER_HOME=str(instance)).code == 0
    with dg.DagsterInstance.from_config(str(instance)) as recorded:
        runs = recorded.get_runs()
    assert [(run.job_name, run.status) for run in runs] == [
        ("nightly_sync", dg.DagsterRunStatus.SUCCESS)
    ]


WATCHED = """
run_launcher: {module: dify_etl_tests.defs.watching_launcher, class: WatchingLauncher}
run_monitoring: {enabled: true}
"""


def test_run_that_dagster_would_end_is_not_recorded(own_copy: Shell, tmp_path: Path) -> None:
    """A daemon whose launcher looks after workers marks a run that has none as failed."""
    instance = tmp_path / "dagster"
    instance.mkdir()
    (instance / "dagster.yaml").write_text(WATCHED)
    answer = own_copy.run("sync", "--feed", "apps", DAGSTER_HOME=str(instance))
    assert answer.code == 0, answer.text
    assert "not recorded" in answer.text
    with dg.DagsterInstance.from_config(str(instance)) as found:
        assert found.get_runs() == []
    assert "apps: " in answer.text


@pytest.mark.parametrize(
    "words",
    [["quarantine", "list"], ["tables"], ["audit", "list"], ["keys", "status"]],
    ids=" ".join,
)
def test_what_lies_in_the_home_needs_no_dify(loaded: Shell, words: list[str]) -> None:
    """Where nothing listens at the address, what was read and done before is shown all the same."""
    answer = loaded.run(*words, DIFY_BASE_URL="http://127.0.0.1:9")
    assert answer.code == 0, answer.text
    assert "connection" not in answer.text


def test_account_of_a_low_role_syncs_without_a_failure(own_copy: Shell, dify: ServedDify) -> None:
    """Exit code 0: what the role is not shown is said, and to whom it is shown."""
    with low_role(Stage(dify, own_copy)):
        answer = own_copy.run("sync", "--feed", "annotations", COLUMNS="240")
    assert answer.code == 0, answer.text
    assert "Not shown to this account" in answer.text
    assert "annotations are shown to the role editor, admin or owner" in answer.text
    assert "Ask an owner for the role editor." in answer.text
