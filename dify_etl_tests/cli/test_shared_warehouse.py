"""A home and the warehouse that it shares, by the commands that an operator says."""

import json
from pathlib import Path

import pytest

from dify_etl_tests.cli.command_line import Shell, copied
from dify_etl_tests.duckdb_files import opened_to_read

SECRET = "geheim-1234"


@pytest.fixture
def sharing(own_copy: Shell) -> Shell:
    """A loaded home with a shared warehouse that is not there yet."""
    own_copy.variables["DIFY_ETL_WAREHOUSE"] = str(own_copy.folder / "shared.duckdb")
    return own_copy


def test_sync_brings_what_it_publishes(sharing: Shell) -> None:
    """The night of the command line writes both; check, compact and remove work on it."""
    answer = sharing.run("sync", "--feed", "members")
    assert answer.code == 0, answer.text
    checked = sharing.run("warehouse", "check", "--json")
    assert checked.code == 0, checked.text
    tables = json.loads(checked.out)["tables"]
    assert len(tables) > 70
    assert {one["table"]: one["home_rows"] for one in tables}["raw.messages"] > 0
    published = sharing.run("warehouse", "publish")
    assert (published.code, "0 partitions of 0 tables" in published.text) == (0, True)
    with opened_to_read(sharing.folder / "shared.duckdb") as connection:
        rows = connection.execute(
            "SELECT workspace_id, count(*) FROM raw.messages GROUP BY 1"
        ).fetchall()
        runs = connection.execute("SELECT DISTINCT run_id FROM ops.publications").fetchall()
    ((workspace, _),) = rows
    assert len(runs) == 2
    compacted = sharing.run("warehouse", "compact")
    assert (compacted.code, "before: 1 files" in compacted.text) == (0, True)
    plan = sharing.run("warehouse", "remove", workspace, "--json")
    plan_id = json.loads(plan.out)["plan_id"]
    assert sharing.run("warehouse", "remove", workspace, "--apply", "another").code == 1
    assert sharing.run("warehouse", "remove", workspace, "--apply", plan_id).code == 0
    differs = sharing.run("warehouse", "check")
    assert differs.code == 1
    assert "raw.messages: 2 rows in the home, 0 rows in the shared warehouse" in differs.text
    assert "warehouse.remove" in sharing.run("audit", "list").text
    assert sharing.run("warehouse", "publish").code == 0
    assert sharing.run("warehouse", "check").code == 0


def test_shared_warehouse_that_fails_leaves_the_home_published(sharing: Shell) -> None:
    """Exit code 1 with what is wrong; the home's own copy is of this night, and the next one brings
    what is missing.
    """
    Path(sharing.variables["DIFY_ETL_WAREHOUSE"]).mkdir()
    before = sharing.rows("SELECT count(*) FROM ops.published")
    answer = sharing.run("sync", "--feed", "members")
    assert (answer.code, "SharedWarehouseUnavailable" in answer.text) == (1, True)
    assert sharing.rows("SELECT count(*) FROM ops.published") != before
    Path(sharing.variables["DIFY_ETL_WAREHOUSE"]).rmdir()
    assert sharing.run("warehouse", "publish").code == 0
    assert sharing.run("warehouse", "check").code == 0


def test_forgotten_person_is_gone_from_it(sharing: Shell) -> None:
    """`forget` publishes and leaves nothing of before; without the warehouse it is not done."""
    sharing.run("warehouse", "publish")
    ((name,),) = sharing.rows(
        "SELECT min(from_end_user_session_id) FROM raw.conversations "
        "WHERE from_end_user_session_id IS NOT NULL"
    )
    plan = json.loads(sharing.run("forget", name, "--json").out)["plan_id"]
    target = Path(sharing.variables["DIFY_ETL_WAREHOUSE"])
    target.rename(aside := target.with_suffix(".aside"))
    target.mkdir()
    failed = sharing.run("forget", name, "--apply", plan)
    assert (failed.code, "SharedWarehouseUnavailable" in failed.text) == (1, True)
    assert "cut off, say it once more" in sharing.run("forget").text
    target.rmdir()
    aside.rename(target)
    again = sharing.run("forget", name, "--apply", plan)
    assert again.code == 0, again.text
    with opened_to_read(target) as connection:
        asked = "SELECT count(*) FROM raw.conversations WHERE from_end_user_session_id = ?"
        assert connection.execute(asked, [name]).fetchall() == [(0,)]
    assert sharing.run("warehouse", "check").code == 0


def test_password_of_the_catalog_is_never_said(own_copy: Shell) -> None:
    """Whatever stands in the way: neither the error nor its trace has it."""
    for target in (
        f"ducklake:postgres:dbname=lake host=127.0.0.1 port=1 user=me password={SECRET}",
        f"ducklake:postgres:postgresql://me:{SECRET}@127.0.0.1:1/lake",
    ):
        answer = own_copy.run("warehouse", "check", "--debug", DIFY_ETL_WAREHOUSE=target)
        assert answer.code == 1
        assert SECRET not in answer.text


def test_all_workspaces_of_a_file_publish(loaded: Shell, tmp_path: Path) -> None:
    """Each in a process of its own: one that has read brings it, one that has not says so."""
    shell = copied(loaded, tmp_path)
    shell.variables["DIFY_ETL_WAREHOUSE"] = str(tmp_path / "shared.duckdb")
    tables = [
        f'[workspaces.{name}]\nbase_url = "{shell.variables["DIFY_BASE_URL"]}"\n'
        f'email = "{email}"\npassword_env = "OF_ALL"\nhome = "{home}"\n'
        for name, email, home in (
            ("old", shell.variables["DIFY_EMAIL"], "home"),
            ("new", "new@example.com", "new"),
        )
    ]
    (tmp_path / "workspaces.toml").write_text("\n".join(tables))
    shell.variables["OF_ALL"] = shell.variables.pop("DIFY_PASSWORD")
    answer = shell.run_anew("warehouse", "publish")
    assert (answer.code, "no sync has published a copy yet" in answer.text) == (1, True)
    assert shell.run_anew("warehouse", "check", "--workspace", "old").code == 0


def test_workspace_of_another_name_is_no_other_one(loaded: Shell, tmp_path: Path) -> None:
    """Renamed, it would begin an empty home, and what the old one kept would be gone there: it is
    refused, status and doctor say so, and with the home of before it goes on.
    """
    shell = copied(loaded, tmp_path)
    (tmp_path / "workspaces").mkdir()
    (tmp_path / "home").rename(old := tmp_path / "workspaces" / "sales")
    shell.variables |= {
        "DIFY_ETL_HOME": str(tmp_path),
        "DIFY_ETL_WAREHOUSE": str(tmp_path / "shared.duckdb"),
        "OF_ALL": shell.variables.pop("DIFY_PASSWORD"),
    }
    server, email = shell.variables.pop("DIFY_BASE_URL"), shell.variables.pop("DIFY_EMAIL")

    def named(name: str, *more: str) -> None:
        lines = (f'base_url = "{server}"', f'email = "{email}"', 'password_env = "OF_ALL"', *more)
        (tmp_path / "workspaces.toml").write_text("\n".join([f"[workspaces.{name}]", *lines]))

    def published() -> list[tuple[object, ...]]:
        with opened_to_read(tmp_path / "shared.duckdb") as connection:
            asked = "SELECT app_id, count(*) FROM raw.apps GROUP BY ALL ORDER BY 1"
            return connection.execute(asked).fetchall()

    named("sales")
    answer = shell.run("sync", "--feed", "members")
    assert answer.code == 0, answer.text
    before = published()
    assert before
    named("vertrieb")
    answer = shell.run("sync", "--feed", "members")
    assert (answer.code, "SharedWarehouseRefused" in answer.text) == (1, True), answer.text
    assert published() == before
    assert json.loads(shell.run("status", "--json").out)["other_homes"] == [str(old.resolve())]
    for words in (["status"], ["doctor", "--json"]):
        told = shell.run(*words)
        assert (told.code, str(old.resolve()) in told.text) == (1, True), told.text
    named("vertrieb", f'home = "{old}"')
    answer = shell.run("sync", "--feed", "members")
    assert answer.code == 0, answer.text


def test_without_the_setting_nothing_is_shared(own_copy: Shell) -> None:
    """The commands say what to set; a demo stays in its home."""
    answer = own_copy.run("warehouse", "publish")
    assert (answer.code, "DIFY_ETL_WAREHOUSE is not set" in answer.text) == (2, True)
    answer = own_copy.run("warehouse", "check", "--simulated", DIFY_ETL_WAREHOUSE="shared.duckdb")
    assert (answer.code, "stays in its home" in answer.text) == (2, True)
