"""`dify-etl source`: what a home is tied to and what answers, and going on with that."""

import json
import re

import duckdb

from dify_etl.home import LIVE
from dify_etl_tests.cli.command_line import Shell


def test_source_is_shown_and_accepted_by_its_id(own_copy: Shell) -> None:
    """Exit code 0 while they are the same; 1 with an id when another account answers; then 0."""
    same = own_copy.run("source")
    assert same.code == 0, same.text
    assert "tied to what answers" in " ".join(same.out.split())
    with duckdb.connect(own_copy.home / LIVE) as connection:
        connection.execute("UPDATE ops.source SET account_id = 'who left'")

    shown = own_copy.run("source", COLUMNS="300")
    assert shown.code == 1, shown.text
    assert "account id: who left was read" in shown.out
    told = json.loads(own_copy.run("source", "--json").out)
    assert (told["differing"], told["refused"]) == (["account_id"], None)
    (plan_id,) = re.findall(r"--accept (\w+)", shown.out)
    assert plan_id == told["plan_id"]
    assert own_copy.run("source", "--accept", "another").code != 0

    done = own_copy.run("source", "--accept", plan_id)
    assert done.code == 0, done.text
    assert own_copy.run("source").code == 0
    assert "source.accept" in own_copy.run("audit", "list", COLUMNS="200").text
