"""`dify-etl doctor` with a database: whether it answers, and whether both ways tell the same."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dify_etl.dify_database.connection import DifyDatabase
from dify_etl.feeds.database_compared import compare
from dify_etl_tests.cli.command_line import Shell
from dify_etl_tests.dify_database.conftest import DifyTables
from dify_etl_tests.dify_database.conftest import Open as OpenTables
from dify_etl_tests.sync.small_worlds import brief_world
from dify_etl_tests.sync.workplace import Workplace

OpenPlace = Callable[..., Workplace]


@pytest.fixture
def lively(workplace: OpenPlace, dify_tables: OpenTables) -> DifyTables:
    return dify_tables(workplace(brief_world("1.16.1"), "1.16.1"))


def test_samples_of_both_ways_are_the_same(lively: DifyTables) -> None:
    """Of all apps, and of each table some."""
    world = lively.place.world
    with lively.place.client() as dify:
        found = compare(dify, database_of(lively), world.workspace_id)
    assert [one for one in found if not one.is_equal] == []
    assert min(one.rows for one in found) >= 5


def test_a_difference_is_named_by_column_and_row(lively: DifyTables) -> None:
    """What was changed in the database alone; no value is told."""
    world = lively.place.world
    lively.postgres.execute(
        "UPDATE messages SET answer = 'another one', status = 'error'", lively.name
    )
    gone = lively.postgres.execute("DELETE FROM workflow_runs RETURNING id::text", lively.name)
    with lively.place.client() as dify:
        found = {one.table: one for one in compare(dify, database_of(lively), world.workspace_id)}
    assert set(found["messages"].differing) == {"answer", "status"}
    assert set(found["workflow_runs"].only_api) <= {one for (one,) in gone}
    assert found["workflow_runs"].only_api
    assert not found["conversations"].only_api


def database_of(tables: DifyTables) -> DifyDatabase:
    found = tables.through().rules.dify_database
    assert found is not None
    return found


@pytest.fixture
def shell(lively: DifyTables, tmp_path: Path) -> Iterator[Shell]:
    """The command line over the served world."""
    with lively.place.listening() as place:
        account = place.world.account
        yield Shell(
            tmp_path,
            {
                "DIFY_BASE_URL": place.base_url,
                "DIFY_EMAIL": account.email,
                "DIFY_PASSWORD": account.password or "",
                "DIFY_DATABASE_URL": lively.url(),
            },
        )


def test_the_doctor_looks_at_the_database(shell: Shell, lively: DifyTables) -> None:
    """It answers; samples are the same; and what is wrong, with what to do."""
    findings = found_by(shell, "--compare")
    assert findings["database"]["state"] == "good"
    assert findings["both ways: messages"]["state"] == "good"
    refused = found_by(shell, DIFY_DATABASE_URL="postgresql://x:s3cret@127.0.0.1:9/dify")
    assert refused["database"]["state"] == "bad"
    assert "cannot be reached" in refused["database"]["found"]
    assert "s3cret" not in str(refused)
    unset = found_by(shell, "--compare", DIFY_DATABASE_URL="")
    assert unset["comparison"]["state"] == "bad"


def found_by(shell: Shell, *words: str, **variables: str) -> dict[str, dict[str, Any]]:
    answer = shell.run("doctor", "--json", *words, **variables)
    return {one["checked"]: one for one in json.loads(answer.out)}


def test_other_database_is_noticed_before_anything_is_read(
    shell: Shell, lively: DifyTables
) -> None:
    """As `dify_plugin`, which stands beside `dify`: one error, not one for every slice."""
    url = lively.postgres.url("postgres")
    doctor = found_by(shell, DIFY_DATABASE_URL=url)
    assert "this is not Dify's database" in doctor["database"]["found"]
    answer = shell.run("sync", DIFY_DATABASE_URL=url)
    assert answer.code == 3, answer.text
    assert answer.text.count("this is not Dify's database") == 1
    assert "name at the end of the URL" in answer.text


def test_a_sync_reads_from_the_database(shell: Shell, lively: DifyTables) -> None:
    """By the command, with settings alone."""
    answer = shell.run("sync", "--json", "--from", "2026-03-10", "--to", "2026-03-12")
    assert answer.code == 0, answer.text
    told = json.loads(answer.out)
    asked = {feed["feed"]: feed["requests"] for feed in told["feeds"]}
    assert (asked["workflow_runs"], asked["node_executions"]) == (0, 0)
    paid = "select count(*) > 0 as is_paid from raw.messages where charged_currency = 'USD'"
    prices = shell.run("query", "--format", "csv", paid)
    assert prices.out.split() == ["is_paid", "true"]
