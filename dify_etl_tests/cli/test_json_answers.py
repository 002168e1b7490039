"""`--json`: one document on stdout, in which machines find what people read."""

import json
from typing import Any

import duckdb
import pytest
from typer.testing import CliRunner

from dify_etl.cli.main import app
from dify_etl.cli.verdict_json import COUNTS
from dify_etl.home import LIVE
from dify_etl_tests.cli.command_line import Shell
from dify_etl_tests.cli.small_policies import bots_key
from dify_etl_tests.cli.test_accepting import FAILED


@pytest.fixture
def here(own_copy: Shell, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """A loaded home in whose folder and environment this process stands."""
    monkeypatch.chdir(own_copy.folder)
    for name, text in own_copy.environment().items():
        monkeypatch.setenv(name, text)
    return own_copy


def told(*words: str, code: int = 0) -> Any:
    """What a command answers as JSON; all of stdout is that."""
    done = CliRunner().invoke(app, [*words, "--json"])
    assert done.exit_code == code, done.output
    return json.loads(done.stdout)


def test_sync_ends_with_one_object(here: Shell) -> None:
    """The counts are those of the run, the verdict and its causes those of the ledger."""
    with duckdb.connect(here.home / LIVE) as connection:
        connection.execute(FAILED)
        connection.execute("DELETE FROM raw.members")
    answer = told("sync", "--feed", "members", code=1)
    ((run_id, slices),) = here.rows(
        "SELECT run_id, count(*) FROM ops.slices WHERE feed = 'members' GROUP BY run_id"
    )
    assert (answer["run_id"], answer["exit_code"], answer["is_published"]) == (run_id, 1, True)
    assert answer["slices"] == {"proven": slices, "unproven": 0, "incomplete": 0, "failed": 0}
    (feed,) = answer["feeds"]
    members = here.rows("SELECT count(*) FROM raw.members")[0][0]
    assert (feed["feed"], feed["state"], feed["new"]) == ("members", "proven", members)
    assert feed["requests"] == answer["requests"] > 0
    assert answer["tables"] == [{"table": "raw.members"} | {name: feed[name] for name in COUNTS}]
    (cause,) = answer["verdict"]["causes"]
    assert (cause["state"], cause["reason"], cause["since"]) == (
        "incomplete",
        "lost <b>",
        "2026-01-02",
    )
    assert answer["errors"] == []
    assert told("accept", code=1)["causes"] == [cause]
    accepted = told("accept", "conversations", "--reason", "purged")
    assert (accepted["accepted_now"], accepted["is_good"]) == (cause["slices"], True)
    (entry, *_) = told("audit", "list")
    assert (entry["operation"], entry["outcome"]) == ("holes.accept", "done")


def test_what_is_no_answer_goes_to_stderr(here: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where logs are JSON lines: a program would take one for the answer."""
    monkeypatch.setenv("DIFY_ETL_LOG", "json")
    done = CliRunner().invoke(app, ["sync", "--from", "yesterday", "--json"])
    assert (done.exit_code, done.stdout) == (2, "")
    assert "yesterday" in done.stderr
    lines = CliRunner().invoke(app, ["sync", "--from", "yesterday"]).stdout.splitlines()
    assert [json.loads(line)["level"] for line in lines] == ["error"]


def test_listings_and_plans(here: Shell, dify: Any) -> None:
    """What is listed for people is there by name, and no key."""
    key = bots_key(dify.world, here.folder)
    try:
        listed = told("keys", "list")
        held = {one["api_key_id"]: one for one in listed["keys"]}
        assert (held[key.id]["standing"], held[key.id]["consumer"]) == ("current", "bot")
        assert key.token not in json.dumps(listed)
        planned = told("keys", "plan", "--target", "the chat app")
        assert [one["target"]["name"] for one in planned["steps"]] != []
        assert told("keys", "status") == {"rotations": [], "notes": []}
    finally:
        del dify.world.api_keys[key.id]
    assert told("forget") == []
    privacy = told("privacy")
    assert (privacy["text"], privacy["people"], privacy["is_met"]) == ("keep", "keep", True)
    assert {one.keys() <= {"title", "body"} for one in told("notify", "--dry-run")} == {True}
    indexing = told("indexing", "list", "--look-again", "0", code=1)
    assert indexing["documents"] >= len(indexing["not_indexed"]) > 0
    assert told("export", "raw.apps", "--to", "apps.csv")["rows"] == 3
    assert len(told("apps", "export", "--all", "--to", "dsl")["written"]) > 0
