"""People are invited, each with a result of their own; links to accounts stay secret."""

import httpx
import pytest

from dify_etl.dify.errors import NotAllowed, NotFound, NotSent, Refused, WriteUnanswered
from dify_etl_tests.dify.pretend_server import PretendServer
from dify_etl_tests.dify.pretend_workspace import (
    EDITOR,
    EVERY_VERSION,
    client_of,
)
from dify_etl_tests.dify.recordings import VERSIONS, client, exchange, playing
from dify_simulated import SimulatedDify, World

PENDING = "pat@dify.test"
OWNER = "owner@dify.test"


def id_of(world: World, email: str) -> str:
    return next(row.id for row in world.accounts.values() if row.email == email)


def roles(world: World) -> dict[str, str]:
    return {
        world.accounts[join.account_id].email: join.role
        for join in world.members.values()
        if join.tenant_id == world.workspace_id
    }


@pytest.mark.parametrize("version", EVERY_VERSION)
def test_a_new_person_gets_a_link(world: World, version: str) -> None:
    """A pending member with that role exists at once; the link is a secret."""
    dify = client_of(SimulatedDify(world, version))

    written = dify.members.invite(["new@dify.test"], "editor", "zh-Hans")

    (result,) = written.value
    assert (written.status, result.status, roles(world)["new@dify.test"]) == (
        201,
        "success",
        "editor",
    )
    assert result.activation_url is not None
    link = result.activation_url.get_secret_value()
    assert "token=" in link
    assert link not in f"{written} {written!r}"


@pytest.mark.parametrize("version", EVERY_VERSION)
def test_each_address_has_its_own_result(world: World, version: str) -> None:
    """In the order asked; 1.0 stops at the first member, which is told and not hidden."""
    dify = client_of(SimulatedDify(world, version))

    found = dify.members.invite(["a@dify.test", OWNER, EDITOR, PENDING], "normal").value

    last = "not_processed" if version == "1.0.0" else "success"
    assert [(one.email, one.status) for one in found] == [
        ("a@dify.test", "success"),
        (OWNER, "failed"),
        (EDITOR, "already_member"),
        (PENDING, last),
    ]
    assert [one.activation_url is None for one in found[1:3]] == [True, True]


@pytest.mark.parametrize("version", ["1.7.2", "1.12.1"])
def test_inviting_again_leaves_the_role(world: World, version: str) -> None:
    """Pending or active: another role in the invitation changes nothing."""
    before = roles(world)

    client_of(SimulatedDify(world, version)).members.invite([PENDING, EDITOR], "admin")

    assert roles(world) == before


def test_upper_case_addresses_find_their_result(world: World) -> None:
    """From 1.11.3 on Dify answers in lower case."""
    (result,) = client_of(SimulatedDify(world)).members.invite(["New@Dify.Test"], "normal").value

    assert (result.email, result.status) == ("New@Dify.Test", "success")


def test_who_may_not_invite_is_told_per_address(world: World) -> None:
    """201 all the same: only the results say no."""
    found = client_of(SimulatedDify(world), EDITOR).members.invite(["a@dify.test"], "normal")

    assert (found.status, found.value[0].status) == (201, "failed")
    assert "a@dify.test" not in roles(world)


@pytest.mark.parametrize("email", ["not-an-email", "bad email @", "a@b", "", "@dify.test"])
def test_an_address_that_is_none_is_not_sent(world: World, email: str) -> None:
    """Dify would make an account for it."""
    with pytest.raises(NotSent):
        client_of(SimulatedDify(world)).members.invite(["good@dify.test", email], "normal")

    assert "good@dify.test" not in roles(world)


@pytest.mark.parametrize("role", ["owner", "superman", ""])
def test_a_role_that_is_none_to_give_is_not_sent(world: World, role: str) -> None:
    """Least of all the owner's: with `update-role` that hands the workspace over."""
    dify, before = client_of(SimulatedDify(world)), roles(world)

    with pytest.raises(NotSent):
        dify.members.invite(["new@dify.test"], role)
    with pytest.raises(NotSent):
        dify.members.set_role(id_of(world, EDITOR), role)

    assert roles(world) == before


@pytest.mark.parametrize("version", EVERY_VERSION)
def test_a_role_is_changed_once(world: World, version: str) -> None:
    """The same role again is a 400."""
    dify = client_of(SimulatedDify(world, version))

    dify.members.set_role(id_of(world, EDITOR), "normal")

    assert roles(world)[EDITOR] == "normal"
    with pytest.raises(Refused):
        dify.members.set_role(id_of(world, EDITOR), "normal")


@pytest.mark.parametrize(("version", "status"), [("1.0.0", 204), ("1.7.2", 200), ("1.12.1", 200)])
def test_a_member_is_removed_once(world: World, version: str, status: int) -> None:
    """Later it is not found; the account itself stays."""
    dify = client_of(SimulatedDify(world, version))

    assert dify.members.remove(id_of(world, EDITOR)).status == status

    assert EDITOR not in roles(world)
    with pytest.raises(NotFound):
        dify.members.remove(id_of(world, EDITOR))


def test_nobody_operates_on_himself(world: World) -> None:
    """Neither role nor membership."""
    dify, ourselves = client_of(SimulatedDify(world)), world.account_id

    with pytest.raises(Refused):
        dify.members.remove(ourselves)
    with pytest.raises(Refused):
        dify.members.set_role(ourselves, "normal")


def test_only_owners_change_roles_and_remove(world: World) -> None:
    """An admin may invite, and no more."""
    admin, editor_id = client_of(SimulatedDify(world), "admin@dify.test"), id_of(world, EDITOR)

    with pytest.raises(Refused):
        admin.members.set_role(editor_id, "normal")
    with pytest.raises(NotAllowed):
        admin.members.remove(editor_id)

    assert admin.members.invite(["new@dify.test"], "normal").value[0].status == "success"


@pytest.mark.parametrize("answer", [[], {}, {"invitation_results": ["x"]}])
def test_an_answer_without_results_is_unanswered(answer: object) -> None:
    """People were invited, and nobody can say who."""
    server = PretendServer(answer=lambda request: httpx.Response(201, json=answer))

    with pytest.raises(WriteUnanswered):
        client(server).members.invite(["a@dify.test"], "normal")


@pytest.mark.parametrize("status", ["already_member", "failed", "something new"])
def test_other_words_of_the_newest_servers_are_kept(status: str) -> None:
    """Their own word for a member, and words that nobody knows yet."""
    row = {"status": status, "email": "a@dify.test", "message": "why"}
    server = PretendServer(
        answer=lambda request: httpx.Response(201, json={"invitation_results": [row]})
    )

    (result,) = client(server).members.invite(["a@dify.test"], "normal").value

    assert (result.status, result.message) == (status, "why")


@pytest.mark.parametrize("version", VERSIONS)
def test_recorded_invitations(version: str) -> None:
    """What real servers answered to several at once, and to a member."""
    several = exchange(version, "members", "invite-success-multi")
    asked = [row["email"] for row in several.body["invitation_results"]]
    member = exchange(version, "members", "invite-already-active-member")

    with playing(several) as dify:
        found = dify.members.invite(asked, "editor").value
    with playing(member) as dify:
        (one,) = dify.members.invite(["editor@difylab.test"], "normal").value

    assert {result.status for result in found} == {"success"}
    assert all(result.activation_url for result in found)
    assert (one.status, one.activation_url) == ("already_member", None)
