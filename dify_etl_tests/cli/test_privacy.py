"""`dify-etl privacy`: what is kept, whether all rows are so, and older rows brought to it."""

from datetime import UTC, datetime

from dify_etl.home import Home
from dify_etl.operations.audit import AuditEntry, AuditFile
from dify_etl_tests.cli.command_line import Shell

STRICT = {"DIFY_ETL_TEXT": "drop", "DIFY_ETL_PEOPLE": "hash"}
TEXTS = "SELECT count(*) FROM raw.messages WHERE query NOT IN ('', '(dropped)')"
MEMBERS = "SELECT count(*) FROM raw.members WHERE email LIKE '%@%'"


def test_nothing_is_loaded_yet(shell: Shell) -> None:
    """It says what the first sync will do; there is nothing to rewrite."""
    answer = shell.run("privacy", **STRICT)
    assert (answer.code, "the first sync will load rows so" in answer.text) == (0, True)
    refused = shell.run("privacy", "--rewrite", **STRICT)
    assert (refused.code, "There is nothing to rewrite" in refused.text) == (1, True)


def test_older_rows_are_named_and_rewritten(own_copy: Shell) -> None:
    """Setting, word, rewriting; the next sync brings nothing back, and a weaker rule is told."""
    assert own_copy.run("privacy").code == 0
    told = own_copy.run("privacy", **STRICT)
    assert (told.code, "dify-etl privacy --rewrite" in " ".join(told.text.split())) == (1, True)
    assert own_copy.rows(TEXTS) != [(0,)]

    entry = AuditEntry(
        **{"plan_id": "p", "step": 1, "operation": "members.invite", "target_kind": "member"},
        **{"target_id": None, "target_name": "ada@example.com", "actor": "bob@example.com (root)"},
        **{"before": None, "after": None, "outcome": "done", "message": ""},
        at=datetime.now(UTC),
    )
    AuditFile(Home(own_copy.home).audit).record(entry)
    done = own_copy.run("privacy", "--rewrite", **STRICT)
    assert (done.code, "all rows are so" in done.text) == (0, True)
    assert own_copy.rows(TEXTS) == own_copy.rows(MEMBERS) == [(0,)]
    named = own_copy.rows("SELECT target_name, actor FROM ops.audit WHERE plan_id = 'p'")
    assert not any("@" in text for row in named for text in row)
    assert "person-" in named[0][0]

    read = own_copy.run("sync", **STRICT)
    assert read.code == 0, read.text
    assert own_copy.rows(TEXTS) == own_copy.rows(MEMBERS) == [(0,)]
    weaker = own_copy.run("sync", "--feed", "members")
    assert "sync --full" in " ".join(weaker.text.split())


def test_person_is_forgotten(own_copy: Shell) -> None:
    """A plan, another word for a wrong name, the apply; the next sync brings nothing back."""
    nobody = own_copy.run("forget")
    assert (nobody.code, "Nobody was forgotten" in nobody.text) == (0, True)
    session = own_copy.rows(
        "SELECT from_end_user_session_id FROM raw.conversations WHERE length("
        "from_end_user_session_id) > 6 GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 1"
    )[0][0]
    unknown = own_copy.run("forget", "nobody@nowhere.test")
    assert (unknown.code, "nobody goes by" in unknown.text) == (1, True)
    planned = own_copy.run("forget", session)
    plan_id = planned.text.rsplit("--apply ", 1)[1].split()[0]
    assert planned.code == 0
    assert "raw.conversations: texts and names of" in planned.text
    stale = own_copy.run("forget", session, "--apply", "0" * 12)
    assert (stale.code, "what would be done now" in stale.text) == (1, True)
    held = f"SELECT count(*) FROM raw.conversations WHERE from_end_user_session_id = '{session}'"
    assert own_copy.rows(held) != [(0,)]
    done = own_copy.run("forget", session, "--apply", plan_id)
    assert (done.code, "Forgotten: person-" in done.text) == (0, True), done.text
    assert own_copy.rows(held) == [(0,)]
    assert own_copy.run("sync").code == 0
    assert own_copy.rows(held) == [(0,)]
    listed = own_copy.run("forget")
    assert (listed.code, "person-" in listed.text) == (0, True)
    assert session not in listed.text
