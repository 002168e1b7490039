"""`dify-etl accept`: holes are listed, accepted with a reason, and told by every sync."""

import duckdb

from dify_etl.home import LIVE
from dify_etl_tests.cli.command_line import Shell

FAILED = """UPDATE ops.slices SET state = 'incomplete', reason = 'lost <b>', tries = 3,
    bad_since = TIMESTAMPTZ '2026-01-02 00:00:00+00', is_settled = true
    WHERE feed = 'conversations' AND slice_date = (SELECT min(slice_date) FROM ops.slices)"""


def test_hole_is_listed_accepted_and_told(own_copy: Shell) -> None:
    """Exit code 1 while it stands, 2 without a reason, 0 once accepted, also for the next sync."""
    whole = own_copy.run("accept")
    assert whole.code == 0, whole.text
    assert "Nothing is failed or incomplete" in whole.out
    with duckdb.connect(own_copy.home / LIVE) as connection:
        connection.execute(FAILED)

    listed = own_copy.run("accept", COLUMNS="200")
    assert listed.code == 1, listed.text
    assert "2026-01-02" in listed.text
    assert "--reason" in listed.text
    assert own_copy.run("accept", "conversations").code == 2
    assert own_copy.run("accept", "members", "--reason", "none").code == 2

    over = own_copy.run("accept", "conversations", "--reason", "x", "--until", "2020-01-01")
    assert over.code == 2, over.text

    done = own_copy.run("accept", "conversations", "--reason", "purged [red]before[/] we came")
    assert done.code == 0, done.text
    assert "Nothing else is failed or incomplete" in done.out
    told = own_copy.run("sync", "--feed", "members", COLUMNS="200")
    assert told.code == 0, told.text
    assert "Accepted holes" in told.text
    assert "purged [red]before[/] we came" in told.text
    assert "holes.accept" in own_copy.run("audit", "list", COLUMNS="200").text
    assert own_copy.rows("SELECT DISTINCT why FROM ops.accepted_slices") == [
        ("purged [red]before[/] we came",)
    ]
