"""Members: invited, given roles and removed one by one, judged by the member list."""

from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from dify_etl.operations.applying import Operation, Result
from dify_etl.operations.errors import InputWrong, TargetUnknown
from dify_etl.operations.invitees import Invitee, invitees
from dify_etl.operations.members import (
    LinkFile,
    invite_operation,
    remove_operation,
    set_role_operation,
)
from dify_etl_tests.dify.pretend_workspace import EDITOR, EVERY_VERSION, NORMAL
from dify_etl_tests.operations.workbench import Workbench, applied, drop_requests, lose_answers

NEW = (Invitee("ann@example.com", "editor"), Invitee("bob@example.com", "normal"))


def invited(
    bench: Workbench, people: tuple[Invitee, ...] = NEW, links: LinkFile | None = None
) -> tuple[Operation, tuple[Result, ...]]:
    with bench.operator() as operator:
        operation = invite_operation(operator, people, links=links)
        return operation, applied(operator, operation)


def roles(bench: Workbench) -> dict[str, str]:
    """E-mail -> role of everybody in the workspace."""
    members = [one for one in bench.world.members.values() if one.tenant_id == bench.tenant]
    return {bench.world.accounts[one.account_id].email: one.role for one in members}


@pytest.mark.parametrize("version", EVERY_VERSION)
def test_each_person_is_invited_with_the_role(tmp_path: Path, version: str) -> None:
    """Everybody new is a member afterwards, whoever was one before stands where they stood."""
    bench = Workbench(tmp_path, version)
    before = roles(bench)
    people = (NEW[0], Invitee(EDITOR, "editor"), NEW[1])
    operation, results = invited(bench, people)
    assert [result.outcome for result in results] == ["verified", "verified"]
    assert roles(bench) == before | {"ann@example.com": "editor", "bob@example.com": "normal"}
    assert [step.target.name for step in operation.plan.steps] == [one.email for one in NEW]
    assert any(EDITOR in note and "member already" in note for note in operation.notes)


def test_second_invitation_has_nothing_to_do(bench: Workbench) -> None:
    """Invited people are members at once: no second mail, and a note for another role."""
    invited(bench)
    other_role = (Invitee("ann@example.com", "admin"), NEW[1])
    operation, results = invited(bench, other_role)
    assert (operation.plan.steps, results) == ((), ())
    assert "set-role" in operation.notes[0]


def test_links_go_to_the_private_file_alone(bench: Workbench, tmp_path: Path) -> None:
    """Each link stands in the file, and no link in plan, results or audit."""
    path = tmp_path / "links.tsv"
    operation, results = invited(bench, links=LinkFile(path))
    lines = dict(line.split("\t") for line in path.read_text().splitlines())
    tokens = [parse_qs(urlsplit(link).query)["token"][0] for link in lines.values()]
    told = repr((operation, results)) + (tmp_path / "audit.jsonl").read_text()
    assert list(lines) == [one.email for one in NEW]
    assert path.stat().st_mode & 0o777 == 0o600
    assert [token for token in tokens if token in told] == []
    assert str(path) in results[0].message


def test_links_without_a_file_are_nowhere(bench: Workbench, tmp_path: Path) -> None:
    """Nobody asked for them: no file, no word of a link."""
    _, results = invited(bench)
    assert "activate" not in repr(results) + (tmp_path / "audit.jsonl").read_text()


def test_file_that_cannot_be_written_invites_nobody(bench: Workbench, tmp_path: Path) -> None:
    """It is tried before anybody is invited, since a link is told once."""
    with pytest.raises(InputWrong, match="cannot be written"):
        invited(bench, links=LinkFile(tmp_path / "no folder" / "links"))
    assert "ann@example.com" not in roles(bench)


def test_inviter_without_permission_is_told(bench: Workbench) -> None:
    """Dify answers 201 and refuses inside: the step failed, in Dify's words."""
    bench.email = EDITOR
    _, results = invited(bench)
    assert [result.outcome for result in results] == ["failed", "failed"]
    assert "permission" in results[0].message
    assert "ann@example.com" not in roles(bench)


def test_lost_answer_invites_nobody_twice(bench: Workbench) -> None:
    """The person is in the list: invited, though the link is lost; the next is invited too."""
    lose_answers(bench, "POST", "invite-email")
    _, results = invited(bench)
    assert [result.outcome for result in results] == ["verified", "verified"]
    assert "link is lost" in results[0].message
    assert "link is lost" not in results[1].message
    sent = bench.server.requests_of("/workspaces/current/members/invite-email")
    assert len(sent) == 2


def test_invitation_that_never_arrived_is_unknown(bench: Workbench) -> None:
    """Nobody was invited, and nothing is sent again by itself."""
    drop_requests(bench, "POST", "invite-email")
    _, results = invited(bench, NEW[:1])
    assert [result.outcome for result in results] == ["unknown"]
    assert "ann@example.com" not in roles(bench)


@pytest.mark.parametrize("version", EVERY_VERSION)
def test_role_is_changed_once(tmp_path: Path, version: str) -> None:
    """The role is the new one; asked again, there is nothing to do."""
    bench = Workbench(tmp_path, version)
    before = roles(bench)
    for outcomes in (["verified"], []):
        with bench.operator() as operator:
            results = applied(operator, set_role_operation(operator, [NORMAL], "editor"))
        assert [result.outcome for result in results] == outcomes
    assert roles(bench) == before | {NORMAL: "editor"}


@pytest.mark.parametrize("version", EVERY_VERSION)
def test_member_is_removed(tmp_path: Path, version: str) -> None:
    """Gone from the list, and nobody else is."""
    bench = Workbench(tmp_path, version)
    before = roles(bench)
    with bench.operator() as operator:
        (result,) = applied(operator, remove_operation(operator, [NORMAL]))
    assert result.outcome == "verified"
    assert roles(bench) == {email: role for email, role in before.items() if email != NORMAL}


def test_nobody_is_an_error(bench: Workbench) -> None:
    """An e-mail that is no member's stops the plan."""
    with bench.operator() as operator, pytest.raises(TargetUnknown, match="nobody@"):
        remove_operation(operator, ["nobody@example.com"])


@pytest.mark.parametrize("plan", [remove_operation, partial(set_role_operation, role="normal")])
def test_nobody_operates_on_himself(bench: Workbench, plan: Any) -> None:
    """Dify refuses it; so it is no plan."""
    with bench.operator() as operator, pytest.raises(InputWrong, match="logged in"):
        plan(operator, [bench.world.account.email])


def test_pending_member_is_told_apart(bench: Workbench) -> None:
    """Who was invited and has not come is not told as a member like others."""
    invited(bench)
    operation, _ = invited(bench)
    assert "has not come yet" in operation.notes[0]


@pytest.mark.parametrize(
    "email",
    [
        "not-an-email",
        "bad email @",
        "a@b",
        "a@@example.com",
        "a@example..com",
        ".a@example.com",
        "a.@example.com",
        "a@-example.com",
        "a b@example.com",
        "a@example.com, b@example.com",
        "",
        "x" * 65 + "@example.com",
        "Ann <ann@example.com>",
    ],
)
def test_what_is_no_address_is_refused(email: str) -> None:
    """Dify would make a pending account of it."""
    with pytest.raises(InputWrong, match="no e-mail address"):
        invitees([email], role="normal")


@pytest.mark.parametrize(
    "email", ["ann@example.com", "Ann.Lee+dify@mail.example.co.uk", "o'neil@example.org"]
)
def test_addresses_in_use_are_taken(email: str) -> None:
    """In lower case, as newer servers keep them."""
    assert invitees([email], role="editor") == (Invitee(email.lower(), "editor"),)


@pytest.mark.parametrize("role", ["owner", "boss", ""])
def test_role_that_cannot_be_given_is_refused(role: str) -> None:
    """Also owner: that one is handed over in Dify."""
    with pytest.raises(InputWrong, match="no role"):
        invitees(["ann@example.com"], role=role)


def test_csv_is_read_with_its_roles(tmp_path: Path) -> None:
    """A spreadsheet's export: a byte order mark, empty lines, some roles left out."""
    path = tmp_path / "people.csv"
    path.write_text(
        "\ufeffemail,role\r\nAnn@example.com,admin\r\n,\r\nbob@example.com,\r\n", encoding="utf-8"
    )
    assert invitees(["ann@example.com"], role="admin", csv_path=path) == (
        Invitee("ann@example.com", "admin"),
        Invitee("bob@example.com", "admin"),
    )


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("email\nann@example.com\nnobody\n", "line 3"),
        ("email,role\nann@example.com,king\n", "line 2"),
        ("email\nann@example.com\n\n\nnobody\n", "line 5"),
        ("mail\nann@example.com\n", "people.csv"),
        ("email,role\na@example.com,admin\na@example.com,editor\n", "people.csv"),
    ],
)
def test_bad_line_of_a_csv_is_named(tmp_path: Path, text: str, where: str) -> None:
    """Nobody is invited while a line is wrong."""
    path = tmp_path / "people.csv"
    path.write_text(text)
    with pytest.raises(InputWrong) as refused:
        invitees([], role="normal", csv_path=path)
    assert where in refused.value.where


def test_nobody_named_is_refused() -> None:
    """An empty list is a mistake."""
    with pytest.raises(InputWrong, match="nobody"):
        invitees([], role="normal")
