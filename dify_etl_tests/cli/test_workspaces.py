"""Several workspaces on the command line: real Difys behind sockets, a process for each."""

import json
import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from dify_etl.cli.clear_errors import FROM_GOOD_TO_BAD, worst
from dify_etl.defs.location import WORKSPACE_TAG
from dify_etl_tests.cli.command_line import ServedDify, Shell, copied
from dify_etl_tests.cli.small_servers import served, small_world, some_days_ago
from dify_etl_tests.defs.running_dagster import descendants, wait_until
from dify_etl_tests.duckdb_files import opened_to_read

PASSWORDS = {"SALES_PASSWORD": "Canary-of-sales-1", "SUPPORT_PASSWORD": "Canary-of-support-1"}
DEAD = "http://127.0.0.1:9"
EVIL = "[blink]big[/blink] \x1b[2Jname"


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, ServedDify]]:
    """Two Difys, each with a password of its own; a stranger named the workspace of one."""
    sales, support = small_world(), small_world()
    sales.account.password = PASSWORDS["SALES_PASSWORD"]
    support.account.password = PASSWORDS["SUPPORT_PASSWORD"]
    sales.workspaces[sales.workspace_id].name = EVIL
    with served(sales) as one, served(support) as other:
        yield {"sales": one, "support": other}


@pytest.fixture
def several(servers: dict[str, ServedDify], tmp_path: Path) -> Shell:
    """A folder whose workspaces.toml names both."""
    lines = [table(name, dify.base_url, dify.world.account.email) for name, dify in servers.items()]
    (tmp_path / "workspaces.toml").write_text("".join(lines))
    return Shell(tmp_path, {**PASSWORDS, "DIFY_ETL_START_DATE": some_days_ago(3)})


def table(name: str, address: str, email: str, *more: str) -> str:
    """A table of workspaces.toml whose password stands in the variable of that name."""
    lines = [f"[workspaces.{name}]", f'base_url = "{address}"', f'email = "{email}"', *more]
    secret = [] if any("password" in line for line in more) else [name]
    return "\n".join([*lines, *(f'password_env = "{one.upper()}_PASSWORD"' for one in secret), ""])


def add(shell: Shell, text: str) -> None:
    """One workspace more."""
    with (shell.folder / "workspaces.toml").open("a") as file:
        file.write(text)


def rows_of(home: Path) -> dict[str, int]:
    """Table -> rows of the published copy's raw tables."""
    with opened_to_read(home / "dify.duckdb") as copy:
        names = copy.execute(
            "SELECT table_name FROM duckdb_tables() WHERE schema_name = 'raw'"
        ).fetchall()
        return {
            name: copy.execute(f"SELECT count(*) FROM raw.{name}").fetchall()[0][0]
            for (name,) in names
        }


def no_secret(said: str) -> bool:
    """Whether neither password is in it."""
    return not any(text in said for text in PASSWORDS.values())


def test_worst_exit_code_counts() -> None:
    """In the one order that stands beside the codes."""
    assert FROM_GOOD_TO_BAD == (0, 1, 3, 2, 130)
    assert [worst(codes) for codes in ([], [0, 1], [3, 1], [3, 2, 0], [130, 2])] == [
        0,
        1,
        3,
        2,
        130,
    ]


def test_bad_dead_and_killed_ones_stop_no_other(several: Shell) -> None:
    """Each line is an object that names its workspace; the worst code counts, and no secret shows.
    The one that is killed has the dead one's server behind it in the queue.
    """
    add(several, table("bad", DEAD, "bad@dify.test", 'passwrd_env = "SALES_PASSWORD"'))
    add(several, table("dead", DEAD, "dead@dify.test", 'password_env = "SALES_PASSWORD"'))
    sync = several.start("sync", DIFY_ETL_LOG="json")
    assert sync.stdout is not None
    lines: list[dict[str, Any]] = []
    while not any(one["workspace"] == "support" for one in lines):
        lines.append(json.loads(sync.stdout.readline()))
    (child,) = [pid for pid in descendants(sync.pid) if is_for(pid, "support")]
    os.kill(child, signal.SIGKILL)
    out, err = sync.communicate(timeout=120)
    lines += [json.loads(line) for line in out.splitlines()]
    ended = {one["workspace"]: one for one in lines if one["event"] == "workspace ended"}
    assert {name: (one["exit_code"], one["how"]) for name, one in ended.items()} == {
        "sales": (0, "good"),
        "support": (3, "killed by SIGKILL"),
        "bad": (2, "wrong usage or settings"),
        "dead": (3, "nothing published"),
    }
    assert (sync.returncode, err) == (2, "")
    assert all(one["workspace"] in ended for one in lines)
    assert rows_of(several.home / "workspaces" / "sales")["messages"] > 0
    assert no_secret(out)


def is_for(pid: int, workspace: str) -> bool:
    """Whether a process is the command of a workspace."""
    held = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    is_command = b"-m\0dify_etl\0sync" in Path(f"/proc/{pid}/cmdline").read_bytes()
    if not is_command or f"DIFY_ETL_WORKSPACE={workspace}".encode() not in held:
        return False
    # It is given its own secret alone.
    names = {one.partition(b"=")[0].decode() for one in held}
    assert names & PASSWORDS.keys() == {f"{workspace.upper()}_PASSWORD"}
    return True


def test_all_of_them_in_one_table_and_in_one_glance(several: Shell) -> None:
    """Every line begins with the workspace's name, whatever is in it is text; then status and
    doctor over all, and the others ask for one.
    """
    sync = several.run("sync")
    assert sync.code == 0, sync.text
    assert [
        line for line in sync.err.splitlines() if not re.match(r"(sales  |support) \|", line)
    ] == []
    assert f"workspace {EVIL!r}" in sync.err
    assert "\x1b" not in sync.err
    held = {name: rows_of(several.home / "workspaces" / name) for name in ("sales", "support")}
    for name, rows in held.items():
        (line,) = [one for one in sync.out.splitlines() if name in one]
        cells = [cell.strip().replace(",", "") for cell in line.strip("│").split("│")]
        total = sum(rows.values())
        assert cells == [name, "good", str(total), str(total), "0"]

    status = several.run("status", "--json")
    answer = json.loads(status.out)
    assert (status.code, answer["exit_code"]) == (0, 0)
    assert [one["workspace"] for one in answer["workspaces"]] == ["sales", "support"]
    assert answer["workspaces"][0]["answer"]["workspace"] == EVIL
    doctor = several.run("doctor", "--workspace", "support", "--workspace", "sales")
    assert doctor.code == 0, doctor.text
    assert doctor.out.rindex("sales   | ") < doctor.out.index("support | ")

    for words in (["tables"], ["keys", "list"], ["query", "select 1"], ["apps", "list"]):
        refused = several.run(*words)
        assert refused.code == 2
        assert "there are 2 workspaces (sales, support)" in refused.err
        assert "--workspace sales" in refused.err
    counted = several.run("query", "select count(*) as n from raw.messages", "--workspace=support")
    assert (counted.code, str(held["support"]["messages"]) in counted.out) == (0, True)
    by_variable = several.run("tables", DIFY_ETL_WORKSPACE="sales")
    assert (by_variable.code, "raw.messages" in by_variable.out) == (0, True)
    typed = several.run("status", "--workspace", "salse")
    assert (typed.code, "Did you mean 'sales'" in typed.err) == (2, True)
    assert all(map(no_secret, (sync.out, sync.err, status.out, doctor.out, refused.err)))


def test_ctrl_c_ends_all_of_them(several: Shell) -> None:
    """With 130; what waits for its turn is not started, and no process stays."""
    support = (several.folder / "workspaces.toml").read_text()
    address = re.findall(r'base_url = "(.*)"', support)[1]
    add(several, table("later", address, "later@dify.test", 'password_env = "SUPPORT_PASSWORD"'))
    sync = several.start("sync", "--full", DIFY_ETL_MAX_CONCURRENCY="1")
    assert sync.stderr is not None
    begun: set[str] = set()
    while begun != {"sales", "support"}:
        name, bar, rest = sync.stderr.readline().partition("|")
        assert bar
        begun |= {name.strip()} if "done" in rest else set()
    started = descendants(sync.pid)
    sync.send_signal(signal.SIGINT)
    began = time.monotonic()
    out, err = sync.communicate(timeout=60)
    assert sync.returncode == 130, err
    assert time.monotonic() - began < 30
    assert re.findall(r"(\w+) +│ ([a-z ]*[a-z]) +│", out) == [
        ("sales", "interrupted"),
        ("support", "interrupted"),
        ("later", "not started"),
    ]
    assert err.count("Stopped. What was committed is kept") == 2
    assert "Traceback" not in err
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in started))


def test_home_of_one_goes_on_as_one_of_several(
    loaded: Shell, dify: ServedDify, tmp_path: Path
) -> None:
    """Named by `home`, it needs no migration: a night changes no row, logs in no second time. In
    DAGSTER_HOME it is a run of that workspace, all assets by its name.
    """
    shell = copied(loaded, tmp_path)
    before, kept = rows_of(shell.home), (shell.home / "session.json").read_bytes()
    account = dify.world.account
    named = ('password_env = "OLD_PASSWORD"', 'home = "home"')
    (tmp_path / "workspaces.toml").write_text(
        table("old", dify.base_url, account.email, *named)
        + table("other", DEAD, "other@dify.test", 'password_env = "OLD_PASSWORD"')
    )
    variables = {
        "DIFY_ETL_START_DATE": loaded.variables["DIFY_ETL_START_DATE"],
        "OLD_PASSWORD": str(account.password),
    }
    own, dagster = Shell(tmp_path, variables), tmp_path / "dagster"
    dagster.mkdir()
    answer = own.run("sync", "--workspace", "old", "--json", DAGSTER_HOME=str(dagster))
    assert answer.code == 0, answer.text
    tables = json.loads(answer.out)["tables"]
    assert {key: sum(one[key] for one in tables) for key in ("new", "changed", "absent")} == {
        "new": 0,
        "changed": 0,
        "absent": 0,
    }
    assert rows_of(shell.home) == before
    assert (shell.home / "session.json").read_bytes() == kept
    with dg.DagsterInstance.from_config(str(dagster)) as instance:
        (run,) = instance.get_runs()
        assert (run.tags[WORKSPACE_TAG], run.is_success) == ("old", True)
        assert {key.path[0] for key in instance.all_asset_keys()} == {"old"}


def test_one_alone_is_today(dify: ServedDify, tmp_path: Path) -> None:
    """A file that names one workspace needs no --workspace, and starts no process."""
    account = dify.world.account
    (tmp_path / "workspaces.toml").write_text(table("only", dify.base_url, account.email))
    shell = Shell(tmp_path, {"ONLY_PASSWORD": str(account.password)})
    looked = shell.run("doctor", "--json")
    assert isinstance(json.loads(looked.out), list)  # of several it is an object
    missing = shell.run("tables")
    assert (missing.code, "workspaces/only" in missing.err) == (1, True)


def test_without_a_file_nobody_is_a_workspace(shell: Shell) -> None:
    """--workspace says what is missing, before anything is asked of Dify."""
    answer = shell.run("sync", "--workspace", "sales")
    assert (answer.code, "there is no workspaces.toml" in answer.err) == (2, True)
