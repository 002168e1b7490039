"""A home goes on with its workspace at another address, or by another account, when told so."""

from datetime import timedelta

import httpx
import pytest

from dify_etl.assembly.source_change import SourceChange, accept_source, look_at_source
from dify_etl.home import Home
from dify_etl.operations.audit import AuditFile
from dify_etl.operations.errors import PlanStale
from dify_etl.sync.errors import SourceChanged
from dify_etl_tests.sync.conftest import Open
from dify_etl_tests.sync.small_worlds import quiet_world, talk
from dify_etl_tests.sync.workplace import NOW, TALK, Workplace
from dify_simulated import SimulatedDify

ELSEWHERE = "https://elsewhere.test"
SOURCE = "SELECT server_origin, workspace_id, account_id FROM ops.source"


@pytest.fixture
def held(workplace: Open) -> Workplace:
    """A home that was loaded once."""
    place = workplace(quiet_world("chat"))
    talk(place.world, at=NOW - timedelta(days=2))
    place.read(TALK)
    return place


def replace_account(place: Workplace) -> str:
    """Another account of the workspace reads from now on; answers its id."""
    accounts = place.world.accounts.values()
    place.world.account_id = next(one.id for one in accounts if one.email == "admin@dify.test")
    return place.world.account_id


def move(place: Workplace) -> None:
    """The same Dify answers at another address."""
    place.base_url, place.transport = ELSEWHERE, httpx.WSGITransport(app=place.server)


def looked(place: Workplace) -> SourceChange:
    with place.client() as dify:
        return look_at_source(place.home, dify)


def accepted(place: Workplace, agreed_id: str) -> SourceChange:
    with place.client() as dify:
        return accept_source(place.home, dify, agreed_id=agreed_id)


def test_same_source_has_nothing_to_accept(held: Workplace) -> None:
    """What answers is what was read."""
    assert looked(held).differing == ()


def test_home_goes_on_by_another_account_at_another_address(held: Workplace) -> None:
    """Refused until it is accepted by the id shown; then the same rows go on, and it is audited."""
    workspace, account = held.world.workspace_id, replace_account(held)
    move(held)
    rows = held.rows("SELECT conversation_id, loaded_at FROM raw.conversations")
    with pytest.raises(SourceChanged, match=r"server origin .*dify-etl source"):
        held.read(TALK)
    change = looked(held)
    assert change.differing == ("server_origin", "account_id")
    assert "1 of the 1 apps" in change.notes[0]
    assert "role admin" in change.notes[1]
    with pytest.raises(PlanStale):
        accepted(held, "another")
    accepted(held, change.plan_id)
    held.read(TALK)
    assert held.rows(SOURCE) == [(ELSEWHERE, workspace, account)]
    assert held.rows("SELECT conversation_id, loaded_at FROM raw.conversations") == rows
    told = [(one.operation, one.outcome) for one in AuditFile(Home(held.home).audit).entries()]
    assert told == [("source.accept", "begun"), ("source.accept", "verified")]


def test_another_workspace_is_never_accepted(held: Workplace) -> None:
    """Rows of two workspaces never stand in one home, whoever agrees."""
    other = next(one for one in held.world.workspaces if one != held.world.workspace_id)
    before = held.rows(SOURCE)
    held.world.switch_workspace(held.world.account_id, other)
    change = looked(held)
    assert "another workspace" in str(change.refused)
    with pytest.raises(SourceChanged, match="another workspace"):
        accepted(held, change.plan_id)
    assert held.rows(SOURCE) == before


def test_server_without_the_apps_is_never_accepted(held: Workplace) -> None:
    """A server elsewhere that tells the workspace's id and has nothing of it is another one."""
    empty = quiet_world("chat")
    assert empty.workspace_id == held.world.workspace_id
    empty.apps.clear()
    held.server = SimulatedDify(empty, held.version)
    move(held)
    with pytest.raises(SourceChanged, match="none of the 1 apps"):
        accepted(held, looked(held).plan_id)


def test_other_days_are_never_accepted(held: Workplace) -> None:
    """Days that were counted in one zone do not become those of another."""
    replace_account(held)
    held.world.account.timezone = "Asia/Shanghai"
    with pytest.raises(SourceChanged, match="set its time zone in Dify first"):
        accepted(held, looked(held).plan_id)
