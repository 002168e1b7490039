"""What is no key of a target is never overwritten, unless the operator says so."""

from pathlib import Path

import pytest

from dify_etl.operations.errors import PlanStale, TargetUnknown
from dify_etl_tests.operations.keys.workshop import Workshop
from dify_simulated import Faults
from dify_simulated.server.faults import Fault

PASSWORD = "hunter2 of the database"


def hold(shop: Workshop, value: str) -> None:
    (shop.home / "keys.env").write_text(f"WEB={value}\n")


def web(shop: Workshop) -> str:
    return f"{shop.app.name} / web"


@pytest.mark.parametrize(
    "value",
    [PASSWORD, "app-0123456789abcdefghijklmn", "(put the key here)"],
    ids=["a password", "a key of another app", "a placeholder"],
)
@pytest.mark.parametrize("mask", [False, True, "stars"])
def test_what_is_no_key_of_the_target_stops_before_a_key_is_made(
    tmp_path: Path, value: str, mask: bool | str
) -> None:
    """Nothing is made, revoked or written; the plan says where and what to do, not the value."""
    shop = Workshop(tmp_path, "1.14.2", mask_keys=mask)
    keys = dict(shop.world.api_keys)
    hold(shop, value)
    planned = shop.rotation().plan()
    shop.night()
    (told,) = planned.stopped
    assert str(shop.home / "keys.env") in told
    assert f"keys adopt '{web(shop)}'" in told
    assert value not in told
    assert planned.rotations == shop.ledger.rotations() == ()
    assert shop.world.api_keys == keys
    assert shop.held() == value


@pytest.mark.parametrize("value", ["", "  "])
def test_empty_entry_is_filled(tmp_path: Path, value: str) -> None:
    """Nobody loses anything."""
    shop = Workshop(tmp_path)
    hold(shop, value)
    shop.night()
    assert shop.held() in {key.token for key in shop.world.api_keys.values()}


def test_adopted_value_is_overwritten_and_no_other(tmp_path: Path) -> None:
    """Plan and audit; the plan is stale once something else stands there."""
    shop = Workshop(tmp_path)
    hold(shop, PASSWORD)
    plan = shop.rotation().plan_adoption(web(shop)).plan
    hold(shop, "another value")
    with pytest.raises(PlanStale):
        shop.rotation().adopt(web(shop), plan.plan_id)
    hold(shop, PASSWORD)
    shop.rotation().adopt(web(shop), plan.plan_id)
    hold(shop, "another value")
    assert len(shop.rotation().plan().stopped) == 1
    hold(shop, PASSWORD)
    shop.night()
    assert shop.held() in {key.token for key in shop.world.api_keys.values()}
    told = [(one.operation, one.outcome) for one in shop.audit.entries()][:2]
    assert told == [("keys.adopt", "begun"), ("keys.adopt", "verified")]
    assert PASSWORD not in str(plan.lines()) + shop.written().decode("utf-8", "replace")


def test_nothing_is_to_be_adopted_where_all_is_well(tmp_path: Path) -> None:
    """The entry holds the key of the target; a name that is none is told."""
    shop = Workshop(tmp_path)
    assert shop.rotation().plan_adoption(web(shop)).plan.steps == ()
    with pytest.raises(TargetUnknown, match="wbe"):
        shop.rotation().plan_adoption("wbe")


def test_key_that_a_rotation_made_may_be_replaced_when_dify_lost_it(tmp_path: Path) -> None:
    """A human deleted it in Dify: the ledger knows that it was ours."""
    shop = Workshop(tmp_path)
    shop.night()
    (rotation,) = shop.ledger.rotations()
    shop.nights_until(lambda: shop.ledger.rotations()[0].is_over)
    shop.world.delete_api_key(str(rotation.new_key_id))
    shop.night()
    assert shop.held() in {key.token for key in shop.world.api_keys.values()}


def fail_tests(number: int, method: str, path: str) -> Fault | None:
    """The service API answers no call."""
    return Fault.SERVER_ERROR if path.startswith("/v1/") else None


def test_what_somebody_put_there_meanwhile_stays(tmp_path: Path) -> None:
    """Between making a key and handing it over somebody else began to use the entry."""
    shop = Workshop(tmp_path)
    shop.night(Faults(before_request=fail_tests))
    (rotation,) = shop.ledger.rotations()
    assert rotation.state == "created"
    hold(shop, PASSWORD)
    shop.night()
    (rotation,) = shop.ledger.rotations()
    assert shop.held() == PASSWORD
    assert rotation.needs_person
    assert "no key of this target" in rotation.message


def test_plan_names_file_and_entry(tmp_path: Path) -> None:
    """Who agrees to it sees what is overwritten, behind all links."""
    shop = Workshop(tmp_path)
    lines = "\n".join(shop.rotation().plan().plan.lines())
    assert f"WEB in {shop.home / 'keys.env'}" in lines
