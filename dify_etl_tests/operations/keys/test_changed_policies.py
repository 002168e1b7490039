"""A policy that changes while rotations are open, and a clock that jumps meanwhile."""

from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from dify_etl.assembly.key_rotation import key_rotation
from dify_etl.dify.http.clock import Clock
from dify_etl.operations.applying import operator_of
from dify_etl.operations.keys.errors import SinkFailed
from dify_etl.operations.keys.planning import Asked
from dify_etl.operations.keys.policy import Policy
from dify_etl.operations.keys.sinks.protocol import Stage
from dify_etl.operations.keys.states import Rotation
from dify_etl.settings import Settings
from dify_etl_tests.operations.keys.workshop import NOW, Workshop
from dify_simulated import Faults
from dify_simulated.server.faults import Fault
from dify_simulated.world.rows import App


def only(shop: Workshop) -> Rotation:
    """The one rotation of the home."""
    (found,) = shop.ledger.rotations()
    return found


def with_targets(policy: Policy, *changes: dict[str, object]) -> Policy:
    """The same policy, its first target once for each change of it."""
    first = policy.targets[0]
    return policy.model_copy(
        update={"targets": tuple(first.model_copy(update=one) for one in changes)}
    )


def test_sink_of_an_open_rotation_is_opened(tmp_path: Path) -> None:
    """Its target has left the policy: the rotation ends as it began, in the sink that is there."""
    shop = Workshop(tmp_path)
    shop.night()
    path = tmp_path / "rotation.toml"
    path.write_text(f'[sinks.file]\ntype = "file"\npath = "{shop.home / "keys.env"}"\n')
    for _ in range(3):
        shop.pass_time(hours=26)
        operator = operator_of(shop.dify(), shop.audit)
        key_rotation(operator, shop.home, Settings(), policy=path).apply(None)

    assert only(shop).state == "proven"
    assert shop.named["web"].id not in shop.world.api_keys


def test_no_key_is_made_for_a_target_that_left(tmp_path: Path) -> None:
    """It was planned and could not begin; the policy has it no more: it ends without a key."""
    shop = Workshop(tmp_path)
    shop.night(Faults(before_request=lambda number, method, path: _refused(method, path)))
    assert only(shop).state == "planned"
    keys = dict(shop.world.api_keys)
    shop.policy = with_targets(shop.policy)
    shop.night()

    assert only(shop).state == "failed"
    assert "no such target any more" in only(shop).message
    assert shop.world.api_keys == keys


def test_no_key_is_made_anew_for_a_target_that_left(tmp_path: Path) -> None:
    """Dify was asked, and made none; the policy has the target no more, so nobody asks again, and
    nobody waits for a person to correct an entry that is no target's.
    """
    shop = Workshop(tmp_path)

    def fail(number: int, method: str, path: str) -> Fault | None:
        return Fault.SERVER_ERROR if method == "POST" and path.endswith("/api-keys") else None

    shop.night(Faults(before_request=fail))
    keys = dict(shop.world.api_keys)
    shop.policy = with_targets(shop.policy)
    shop.pass_time(hours=1)
    shop.night()
    assert only(shop).state == "failed"
    assert "no such target any more" in only(shop).message
    assert shop.world.api_keys == keys


def _refused(method: str, path: str) -> Fault | None:
    return Fault.RATE_LIMITED if method == "POST" and path.endswith("/api-keys") else None


@pytest.mark.parametrize("mask", [False, True, "stars"])
def test_key_that_another_entry_holds_is_not_deleted(tmp_path: Path, mask: bool | str) -> None:
    """Two consumers had one key: it stays until the second has got one of its own."""
    shop = Workshop(tmp_path, "1.14.2", mask_keys=mask)
    old = shop.named["web"]
    shop.put("file", "BATCH", old.token)
    batch = {"consumer": "batch", "entry": "BATCH", "key_ids": (), "max_age_days": 3650}
    shop.policy = with_targets(shop.policy, {}, batch)
    for _ in range(4):
        shop.pass_time(hours=26)
        shop.night()

    assert old.id in shop.world.api_keys
    assert f"{shop.app.name} / batch still gets it" in only(shop).message
    assert only(shop).needs_person
    shop.policy = with_targets(shop.policy, {}, {**batch, "max_age_days": 30})
    shop.nights_until(lambda: old.id not in shop.world.api_keys)
    alive = {key.token for key in shop.world.api_keys.values()}
    assert {shop.held("WEB"), shop.held("BATCH")} <= alive


@pytest.mark.parametrize("trouble", ["twin", "renamed", "renamed, and replaced"])
@pytest.mark.parametrize("is_leaked", [False, True])
def test_key_of_a_consumer_whose_target_does_not_resolve_is_not_deleted(
    tmp_path: Path, trouble: str, is_leaked: bool
) -> None:
    """Whoever may name apps keeps a target from being rotated, and does not kill its consumer: the
    entry is read all the same.
    """
    shop = Workshop(tmp_path, consumers=("a", "b"))
    old, app = shop.named["a"], shop.app
    shop.put("file", "B", old.token)
    first, second = shop.policy.targets
    named = second.model_copy(update={"app": app.name})
    shop.policy = shop.policy.model_copy(update={"targets": (first, named)})
    if trouble in ("twin", "renamed, and replaced"):
        shop.world.add_app(
            name=app.name,
            mode=app.mode,
            at=shop.world.now(),
            created_by=shop.world.account_id,
            tenant_id=shop.world.workspace_id,
        )
    if trouble.startswith("renamed"):
        app.name = "Another name"
    asked = Asked(compromised=frozenset({old.id})) if is_leaked else None
    for _ in range(3):
        shop.night(asked=asked if not shop.ledger.rotations() else None)
        shop.pass_time(hours=26)

    (of_a,) = [one for one in shop.ledger.rotations() if one.consumer == "a"]
    assert shop.held("B") == old.token
    assert shop.use(old.token) == 200
    assert of_a.state == "drained"
    assert "still gets it" in of_a.message
    shop.put("file", "B", str(shop.held("A")))
    shop.nights_until(lambda: old.id not in shop.world.api_keys)


def another_app(shop: Workshop, name: str) -> App:
    """A second app of the workspace."""
    world = shop.world
    return world.add_app(
        name=name,
        mode=shop.app.mode,
        at=world.now(),
        created_by=world.account_id,
        tenant_id=world.workspace_id,
    )


def deny(shop: Workshop, patch: pytest.MonkeyPatch, denied: str) -> None:
    """From now on one entry of the sink cannot be read."""
    read = shop.sinks["file"].read

    def asked(entry: str, stage: Stage) -> SecretStr | None:
        if entry == denied:
            raise SinkFailed("denied", where=f"entry {entry}", hint="Look.")
        return read(entry, stage)

    patch.setattr(shop.sinks["file"], "read", asked)


@pytest.mark.parametrize("is_renamed", [False, True])
def test_entry_of_another_app_that_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_renamed: bool
) -> None:
    """It holds up no key of this app, unless this app had that name when its rotation began: then
    the consumer behind the entry may have the key that would be deleted.
    """
    shop = Workshop(tmp_path, consumers=("a",))
    old, name = shop.named["a"], "Support"
    if is_renamed:
        shop.app.name = name
    other = another_app(shop, "Other" if is_renamed else name)
    shop.put("file", "B", shop.add_key(other.id).token)
    of_name: dict[str, object] = {"app": name, "consumer": "b", "entry": "B", "key_ids": ()}
    shop.policy = with_targets(shop.policy, {}, of_name)
    shop.night()
    if is_renamed:
        shop.app.name, other.name = "Old support", name
    deny(shop, monkeypatch, "B")
    for _ in range(4):
        shop.pass_time(hours=26)
        shop.night()

    (of_a,) = [one for one in shop.ledger.rotations() if one.consumer == "a"]
    assert (of_a.state, old.id in shop.world.api_keys) == (
        ("drained", True) if is_renamed else ("proven", False)
    )


def test_entry_that_got_a_key_of_this_app_and_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The policy gives it to another app since: what is in it nobody knows, so none is deleted."""
    shop = Workshop(tmp_path, consumers=("a", "b"))
    old = shop.named["a"]
    whole = shop.policy
    shop.policy = whole.model_copy(update={"targets": whole.targets[1:]})
    shop.nights_until(lambda: shop.named["b"].id not in shop.world.api_keys)
    other = another_app(shop, "Support")
    first, second = whole.targets
    given = second.model_copy(update={"app": other.name, "key_ids": ()})
    shop.policy = whole.model_copy(update={"targets": (first, given)})
    deny(shop, monkeypatch, second.entry)
    for _ in range(5):
        shop.pass_time(hours=26)
        shop.night()

    (of_a,) = [one for one in shop.ledger.rotations() if one.consumer == "a"]
    assert (of_a.state, old.id in shop.world.api_keys) == ("drained", True)


def test_new_key_that_was_copied_is_not_taken_back(tmp_path: Path) -> None:
    """The operator has moved the consumer to another entry meanwhile, with the new key in it."""
    shop = Workshop(tmp_path)
    shop.night()
    new = shop.held()
    assert new is not None
    shop.put("file", "MOVED", new)
    shop.policy = with_targets(shop.policy, {"entry": "MOVED"})
    rotation = shop.rotation()
    plan = rotation.plan_rollback(only(shop).rotation_id).plan
    done = rotation.roll_back(only(shop).rotation_id, plan.plan_id)

    assert done.state == "withdrawing"
    assert "entry MOVED" in done.message
    assert shop.use(shop.held("MOVED") or "") == 200


@pytest.mark.parametrize("days", [400, -400])
def test_grace_is_counted_by_a_clock_that_nobody_sets(tmp_path: Path, days: int) -> None:
    """Our clock jumps in the middle of a run: the old key keeps its day, and goes after it."""
    shop = Workshop(tmp_path)
    shop.night()
    jump = [timedelta(0)]
    sink = shop.sinks["file"]

    class Jumping:
        """The clock is set while the sink is read."""

        place, stage, promote = sink.place, sink.stage, sink.promote
        restore, discard = sink.restore, sink.discard

        def read(self, entry: str, stage: Stage) -> object:
            jump[0] = timedelta(days=days)
            return sink.read(entry, stage)

    shop.sinks = {"file": Jumping()}  # type: ignore[dict-item]
    for hours in (2, 30):
        shop.pass_time(hours=hours)
        jump[0] = timedelta(0)
        shop.rotation(
            shop.dify(
                clock=Clock(
                    now=lambda: shop.world.now() + jump[0],
                    monotonic=lambda: (shop.world.now() - NOW).total_seconds(),
                )
            )
        ).apply(None)
        assert (shop.named["web"].id in shop.world.api_keys) is (hours == 2)
