"""A rotation without trouble, and with the trouble that each of its conditions is there for."""

from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from dify_etl.dify.errors import NotShown
from dify_etl.operations.errors import PlanStale, TargetUnknown
from dify_etl.operations.keys.errors import RotationRefused, RotationRunning, SinkFailed
from dify_etl.operations.keys.judging import stuck_rotations
from dify_etl.operations.keys.planning import Asked
from dify_etl.operations.keys.sinks.protocol import Stage
from dify_etl.operations.keys.states import Rotation
from dify_etl_tests.operations.keys.workshop import Workshop
from dify_simulated import Faults
from dify_simulated.server.faults import Fault


def only(shop: Workshop) -> Rotation:
    """The one rotation of the home."""
    (found,) = shop.ledger.rotations()
    return found


def is_proven(shop: Workshop) -> bool:
    rotations = shop.ledger.rotations()
    return bool(rotations) and rotations[-1].state == "proven"


@pytest.mark.parametrize("version", ["1.0.0", "1.7.2", "1.12.1", "1.14.2"])
def test_an_old_key_is_replaced_and_revoked(tmp_path: Path, version: str) -> None:
    """After some nights consumers have the new key, and the old one is refused."""
    shop = Workshop(tmp_path, version)
    old = shop.named["web"]
    shop.nights_until(lambda: is_proven(shop))
    (key,) = shop.world.api_keys.values()
    assert shop.held() == key.token != old.token
    assert only(shop).proof == "401"


def test_keys_of_datasets_are_rotated_too(tmp_path: Path) -> None:
    """The workspace's dataset keys go the same way."""
    shop = Workshop(tmp_path, consumers=(), has_datasets=True)
    shop.nights_until(lambda: is_proven(shop))
    (key,) = shop.world.api_keys.values()
    assert shop.held("LIBRARY") == key.token


@pytest.mark.parametrize("is_leaked", [False, True])
def test_key_of_some_datasets_is_not_replaced_by_one_of_all(
    tmp_path: Path, is_leaked: bool
) -> None:
    """A consumer gets no more rights than it had; the plan says so, and what to do."""
    shop = Workshop(tmp_path, "1.14.2", consumers=(), has_datasets=True)
    key = shop.named["library"]
    key.dataset_ids = ("one", "two")
    if is_leaked:
        with pytest.raises(RotationRefused, match="2 datasets alone"):
            shop.rotation().plan(Asked(compromised=frozenset({key.id})))
    planned = shop.rotation().plan()
    assert "a new one would be for all" in planned.stopped[0]
    shop.night()
    assert [*shop.world.api_keys] == [key.id]


def test_both_keys_work_in_the_grace_period(tmp_path: Path) -> None:
    """The old key is not touched before a day has passed."""
    shop = Workshop(tmp_path)
    shop.night()
    shop.pass_time(hours=23)
    shop.night()
    assert only(shop).state == "overlap"
    assert len(shop.world.api_keys) == 2


def test_a_key_that_is_still_used_stays(tmp_path: Path) -> None:
    """As long as somebody calls with the old key, it is not revoked; the reason is told."""
    shop = Workshop(tmp_path)
    shop.night()
    shop.pass_time(hours=30)
    shop.use(shop.named["web"].token)
    shop.pass_time(hours=2)
    shop.night()
    assert "the old key was used" in only(shop).message
    assert shop.named["web"].id in shop.world.api_keys


def test_what_cannot_be_observed_needs_a_person(tmp_path: Path) -> None:
    """Where Dify never shows our own use, nobody revokes without a person's word."""
    shop = Workshop(tmp_path, "1.14.2", last_used_lag=float("inf"))
    shop.night()
    shop.pass_time(hours=40)
    shop.night()
    assert only(shop).needs_person
    assert "cannot be observed" in only(shop).message

    rule = shop.policy.targets[0].model_copy(update={"revoke_unobserved": True})
    shop.policy = shop.policy.model_copy(update={"targets": (rule,)})
    shop.nights_until(lambda: is_proven(shop))
    assert shop.named["web"].id not in shop.world.api_keys


def test_a_use_that_dify_shows_holds_the_old_key_back(tmp_path: Path) -> None:
    """Our own use of the new key was missed while the worker was off, and a person allowed to
    revoke unobserved; the worker runs again, and shows that somebody still uses the old key.
    """
    shop = Workshop(tmp_path, "1.14.2", last_used_lag=float("inf"))
    rule = shop.policy.targets[0].model_copy(update={"revoke_unobserved": True})
    shop.policy = shop.policy.model_copy(update={"targets": (rule,)})
    shop.night()
    shop.pass_time(hours=40)
    old = shop.world.api_keys[shop.named["web"].id]
    old.last_used_at = shop.world.now() - timedelta(minutes=3)
    shop.night()
    assert only(shop).state == "overlap"
    assert "the old key was used" in only(shop).message
    assert old.id in shop.world.api_keys
    shop.nights_until(lambda: is_proven(shop))
    assert shop.world.now() - old.last_used_at >= timedelta(hours=24)


def test_what_went_wrong_once_is_over_when_the_next_run_gets_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tries are those in a row: three hiccups in a long overlap, with good runs between them, are
    nobody's business.
    """
    shop = Workshop(tmp_path)
    shop.night()
    for _ in range(3):
        shop.pass_time(hours=2)
        with monkeypatch.context() as moment:
            _deny(shop, moment, "WEB")
            (done,) = shop.rotation().apply(None)
            assert (done.tries, done.needs_person) == (1, False)
        (done,) = shop.rotation().apply(None)
        assert (done.tries, done.state) == (0, "overlap")


def test_the_defaults_speak_for_a_target_that_left(tmp_path: Path) -> None:
    """Its old key cannot be observed, and its entry was renamed: a person's word still counts."""
    shop = Workshop(tmp_path, "1.14.2", last_used_lag=float("inf"))
    shop.night()
    shop.pass_time(hours=40)
    shop.night()
    assert only(shop).needs_person

    allowed = shop.policy.defaults.model_copy(update={"revoke_unobserved": True})
    shop.policy = shop.policy.model_copy(update={"targets": (), "defaults": allowed})
    shop.nights_until(lambda: is_proven(shop))
    assert shop.named["web"].id not in shop.world.api_keys


def test_a_cache_that_still_answers_is_waited_for(tmp_path: Path) -> None:
    """Deleted is not proven: the old key must be refused once the cache's ten minutes are over."""
    shop = Workshop(tmp_path, "1.14.2", deleted_key_lives=500)
    shop.night()
    shop.pass_time(hours=40)
    for minutes, state in ((0, "revoked"), (5, "revoked"), (6, "proven")):
        shop.pass_time(minutes=minutes)
        shop.night()
        assert only(shop).state == state


@pytest.mark.parametrize("mask", [True, "stars"])
def test_masked_lists_are_understood(tmp_path: Path, mask: bool | str) -> None:
    """Where lists show no key, in whatever shape, what the create answered is enough."""
    shop = Workshop(tmp_path, "1.14.2", mask_keys=mask)
    shop.nights_until(lambda: is_proven(shop))
    (key,) = shop.world.api_keys.values()
    assert shop.held() == key.token
    assert only(shop).proof == "401"


@pytest.mark.parametrize("mask", [True, "stars"])
def test_key_of_the_sink_is_found_among_masked_ones(tmp_path: Path, mask: bool | str) -> None:
    """Nobody named it: its mask tells which it is, and so that it is old and not missing."""
    shop = Workshop(tmp_path, "1.14.2", mask_keys=mask, names_keys=False)
    shop.add_key(shop.app.id)
    (rotation,) = shop.rotation().plan().rotations
    assert rotation.reason == "older than 90 days"


@pytest.mark.parametrize("mask", [True, "stars"])
def test_keys_that_look_alike_are_named_and_none_is_revoked(
    tmp_path: Path, mask: bool | str
) -> None:
    """Two masks fit the key in the sink: nothing is made or revoked until it is named."""
    shop = Workshop(tmp_path, "1.14.2", mask_keys=mask, names_keys=False)
    named, twin = shop.named["web"], shop.add_key(shop.app.id)
    twin.token = named.token[:8] + twin.token[8:-4] + named.token[-4:]
    planned = shop.rotation().plan()
    shop.night()
    (told,) = planned.held_back
    assert named.id in told
    assert twin.id in told
    assert "key_ids" in told
    assert set(shop.world.api_keys) == {named.id, twin.id}


@pytest.mark.parametrize("mask", [True, "stars"])
def test_other_key_than_the_listed_one_stops_with_the_true_reason(
    tmp_path: Path, mask: bool | str
) -> None:
    """The row of the new key contradicts what the sink holds: told so, and the old one stays."""
    shop = Workshop(tmp_path, "1.14.2", mask_keys=mask)
    old = shop.named["web"]

    def change(number: int, method: str, path: str, status: int) -> None:
        if method == "POST" and path.endswith("/api-keys"):
            new = next(key for key in shop.world.api_keys.values() if key.id != old.id)
            new.token = new.token[:-4] + "zzzz"

    shop.night(Faults(after_request=change))
    assert "the sink holds another key than Dify lists" in only(shop).message
    assert old.id in shop.world.api_keys
    assert shop.held() == old.token


def test_keys_that_nobody_named_are_never_revoked(tmp_path: Path) -> None:
    """Without key_ids the old key stays; it is reported, not touched."""
    shop = Workshop(tmp_path, names_keys=False)
    shop.nights_until(lambda: is_proven(shop))
    assert shop.named["web"].id in shop.world.api_keys
    standings = {held.key.api_key_id: held.standing for held in shop.rotation().inventory().keys}
    assert standings[shop.named["web"].id] == "unowned"


def test_nothing_is_due_after_a_rotation(tmp_path: Path) -> None:
    """A second run makes nothing."""
    shop = Workshop(tmp_path)
    shop.nights_until(lambda: is_proven(shop))
    assert shop.rotation().plan().plan.steps == ()
    before = set(shop.world.api_keys)
    shop.night()
    assert set(shop.world.api_keys) == before


def test_planning_changes_nothing(tmp_path: Path) -> None:
    """A dry run writes neither to Dify nor to the home."""
    shop = Workshop(tmp_path)
    before = shop.world.snapshot()
    planned = shop.rotation().plan()
    assert len(planned.rotations) == 1
    assert shop.world.snapshot() == before
    assert shop.ledger.rotations() == ()


def test_a_stale_plan_is_refused(tmp_path: Path) -> None:
    """When the world has moved since the plan was shown, nothing is done."""
    shop = Workshop(tmp_path, consumers=("web", "batch"))
    plan_id = shop.rotation().plan().plan.plan_id
    shop.world.delete_api_key(shop.named["batch"].id)
    with pytest.raises(PlanStale):
        shop.rotation().apply(plan_id)
    assert len(shop.world.api_keys) == 1


def test_ten_keys_leave_no_room(tmp_path: Path) -> None:
    """The slots are counted before Dify is asked: nothing was sent."""
    shop = Workshop(tmp_path)
    for _ in range(9):
        shop.add_key(shop.app.id)
    assert any("all 10 keys are taken" in line for line in shop.rotation().plan().held_back)
    shop.night()
    assert "all 10 keys are taken" in only(shop).message
    assert len(shop.world.api_keys) == 10


def test_an_editor_makes_nothing(tmp_path: Path) -> None:
    """Who may not delete a key does not make one."""
    shop = Workshop(tmp_path)
    shop.world.set_role("editor")
    assert any("only an admin or owner" in line for line in shop.rotation().plan().held_back)
    shop.night()
    assert "only an admin or owner" in only(shop).message
    assert len(shop.world.api_keys) == 1


def test_keys_that_a_role_is_not_shown_hide_no_other(tmp_path: Path) -> None:
    """An editor of the newest servers gets the list of app keys, and reads whose keys it lacks; a
    rotation of just those is refused.
    """
    shop = Workshop(tmp_path, "main-2026-08")
    shop.world.set_role("editor")
    inventory = shop.rotation().inventory()
    assert [held.key.api_key_id for held in inventory.keys] == [shop.named["web"].id]
    (told,) = inventory.unseen
    assert told.startswith("(datasets): not shown to this account.")
    assert "admin or owner" in told
    library = Workshop(tmp_path, "main-2026-08", consumers=(), has_datasets=True)
    library.world.set_role("editor")
    with pytest.raises(NotShown):
        library.rotation().plan()


def test_an_app_without_its_api_is_left(tmp_path: Path) -> None:
    """A key that cannot be tested is not made."""
    shop = Workshop(tmp_path)
    shop.app.enable_api = False
    assert any("the app's API is off" in line for line in shop.rotation().plan().held_back)
    shop.night()
    assert "the app's API is off" in only(shop).message
    assert len(shop.world.api_keys) == 1


def test_keys_are_sent_nowhere_else(tmp_path: Path) -> None:
    """A service API on another origin gets a key only when a setting says so."""
    shop = Workshop(tmp_path, service_api_url="https://elsewhere.test")
    shop.night()
    assert "DIFY_SERVICE_API_URL" in only(shop).message
    assert len(shop.world.api_keys) == 1


@pytest.mark.parametrize("url", ["https://dify.test:99999", "http://[dify.test", "http://\x1b:1:2"])
def test_service_api_without_an_address_is_named(tmp_path: Path, url: str) -> None:
    """What Dify tells is no address: no key is made, and the message says what to correct."""
    shop = Workshop(tmp_path, service_api_url=url)
    assert "no address" in " ".join(shop.rotation().plan().stopped)
    shop.night()
    assert "DIFY_SERVICE_API_URL" in only(shop).message
    assert "\x1b" not in only(shop).message
    assert len(shop.world.api_keys) == 1


def test_a_key_that_opens_another_app_is_withdrawn(tmp_path: Path) -> None:
    """When the call tells another app, the new key is deleted and consumers keep the old one."""
    shop = Workshop(tmp_path)

    def rename(number: int, method: str, path: str) -> None:
        if path == "/v1/info":
            shop.app.name = "another app"

    shop.night(Faults(before_request=rename))
    assert only(shop).state == "failed"
    assert "another app" in only(shop).message
    assert shop.held() == shop.named["web"].token
    assert list(shop.world.api_keys) == [shop.named["web"].id]


def test_two_keys_after_a_lost_answer_need_a_person(tmp_path: Path) -> None:
    """When somebody made a key in the same minute, nobody guesses which is ours."""
    shop = Workshop(tmp_path)
    others: list[str] = []

    def lose(number: int, method: str, path: str, status: int) -> Fault | None:
        if method == "POST" and path.endswith("/api-keys"):
            others.append(shop.add_key(shop.app.id).id)
            return Fault.LOST
        return None

    shop.night(Faults(after_request=lose))
    assert only(shop).needs_person
    assert others[0] in only(shop).message
    assert len(shop.world.api_keys) == 3
    assert shop.held() == shop.named["web"].token


def _no_key_is_made(fault: Fault) -> Faults:
    """Dify, or what stands before it, answers the request for a key with this, and makes none."""

    def before(number: int, method: str, path: str) -> Fault | None:
        return fault if method == "POST" and path.endswith("/api-keys") else None

    return Faults(before_request=before)


@pytest.mark.parametrize(
    ("version", "mask"), [("1.12.1", False), ("1.14.2", True), ("1.14.2", "stars")]
)
def test_key_that_a_colleague_makes_after_an_error_is_not_ours(
    tmp_path: Path, version: str, mask: bool | str
) -> None:
    """Dify answered that it made none: one that appears minutes later is neither handed over nor
    deleted, and ours is made by the next run.
    """
    shop = Workshop(tmp_path, version, mask_keys=mask)
    shop.night(_no_key_is_made(Fault.SERVER_ERROR))
    shop.pass_time(minutes=2)
    theirs = shop.add_key(shop.app.id)
    shop.pass_time(minutes=1)
    shop.night()
    assert only(shop).state == "overlap"
    assert shop.held() not in {theirs.token, shop.named["web"].token}
    planned = shop.rotation().plan_rollback(only(shop).rotation_id)
    shop.rotation().roll_back(only(shop).rotation_id, planned.plan.plan_id)
    assert {*shop.world.api_keys} == {theirs.id, shop.named["web"].id}


def test_key_that_appears_after_a_broken_connection_needs_a_person(tmp_path: Path) -> None:
    """Dify may have gone on with the request: whose the key is, nobody guesses."""
    shop = Workshop(tmp_path)
    shop.night(_no_key_is_made(Fault.TIMEOUT))
    shop.pass_time(minutes=2)
    theirs = shop.add_key(shop.app.id)
    for act in ("apply", "rollback"):
        if act == "apply":
            shop.night()
        else:
            planned = shop.rotation().plan_rollback(only(shop).rotation_id)
            shop.rotation().roll_back(only(shop).rotation_id, planned.plan.plan_id)
        assert only(shop).needs_person
        assert f"whether key {theirs.id} is ours" in only(shop).message
        assert theirs.id in shop.world.api_keys
        assert shop.held() == shop.named["web"].token


@pytest.mark.parametrize("mask", [True, "stars"])
def test_lost_key_that_nobody_can_read_is_left_to_a_person(
    tmp_path: Path, mask: bool | str
) -> None:
    """By its time alone no key is deleted; once a person deleted it, the rotation goes on."""
    shop = Workshop(tmp_path, "1.14.2", mask_keys=mask)

    def lose(number: int, method: str, path: str, status: int) -> Fault | None:
        return Fault.LOST if method == "POST" and path.endswith("/api-keys") else None

    shop.night(Faults(after_request=lose))
    (lost,) = {*shop.world.api_keys} - {shop.named["web"].id}
    assert only(shop).needs_person
    assert f"whether key {lost} is ours" in only(shop).message
    shop.world.delete_api_key(lost)
    shop.nights_until(lambda: is_proven(shop))
    assert shop.use(str(shop.held())) == 200


def test_key_that_an_older_release_inferred_is_judged_again(tmp_path: Path) -> None:
    """A ledger of then may name a colleague's key as the new one: it is not deleted unasked."""
    shop = Workshop(tmp_path, "1.14.2", mask_keys=True)
    shop.night(_no_key_is_made(Fault.SERVER_ERROR))
    shop.pass_time(minutes=2)
    theirs = shop.add_key(shop.app.id)
    before = only(shop).model_dump(mode="json", exclude={"create_was_answered"})
    shop.ledger.write(Rotation.model_validate({**before, "new_key_id": theirs.id}))
    shop.night()
    assert only(shop).needs_person
    assert theirs.id in shop.world.api_keys


def test_compromised_keys_go_at_once(tmp_path: Path) -> None:
    """No grace period and no watching: the new key is handed over, the old one revoked."""
    shop = Workshop(tmp_path)
    old = shop.named["web"]
    old.created_at = shop.world.now()  # not due by its age
    shop.use(old.token)
    assert shop.rotation().plan().rotations == ()
    shop.night(asked=Asked(compromised=frozenset({old.id})))
    assert old.id not in shop.world.api_keys
    assert only(shop).state == "proven"
    assert shop.held() in {key.token for key in shop.world.api_keys.values()}


def test_a_leak_in_the_overlap_ends_it(tmp_path: Path) -> None:
    """When the old key leaks while both live, it is revoked at once."""
    shop = Workshop(tmp_path)
    shop.night()
    shop.night(asked=Asked(compromised=frozenset({shop.named["web"].id})))
    assert only(shop).state == "proven"
    assert len(shop.world.api_keys) == 1


def test_an_unknown_compromised_key_is_refused(tmp_path: Path) -> None:
    """A key that no target would replace is not silently ignored."""
    shop = Workshop(tmp_path)
    with pytest.raises(RotationRefused, match="key_ids"):
        shop.rotation().plan(Asked(compromised=frozenset({"another"})))


def _deny(shop: Workshop, monkeypatch: pytest.MonkeyPatch, entry: str) -> None:
    """The sink refuses to show one entry."""
    read = shop.sinks["file"].read

    def denied(asked: str, stage: Stage) -> SecretStr | None:
        if asked == entry:
            raise SinkFailed("the token was revoked", where=f"entry {entry}", hint="Renew it.")
        return read(asked, stage)

    monkeypatch.setattr(shop.sinks["file"], "read", denied)


def test_leaked_key_whose_sink_is_down_tells_the_true_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In an emergency nobody is sent to key_ids, where the key stands."""
    shop = Workshop(tmp_path)
    _deny(shop, monkeypatch, "WEB")
    with pytest.raises(RotationRefused, match="the token was revoked") as refused:
        shop.rotation().plan(Asked(compromised=frozenset({shop.named["web"].id})))
    assert refused.value.where == "entry WEB"
    assert refused.value.hint == "Renew it."


def test_leaked_keys_do_not_wait_for_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What one run may begin bounds the schedule, not an emergency; a sink that is down keeps no
    other key alive.
    """
    shop = Workshop(tmp_path, consumers=("a", "b", "c", "d"))
    shop.policy = shop.policy.model_copy(update={"most_per_run": 2})
    _deny(shop, monkeypatch, "D")
    asked = Asked(compromised=frozenset(key.id for key in shop.named.values()))
    planned = shop.rotation().plan(asked)
    assert "the token was revoked" in planned.stopped[0]
    shop.night(asked=asked)
    left = {name for name, key in shop.named.items() if key.id in shop.world.api_keys}
    assert left == {"d"}


def test_excluded_key_that_leaked_says_where_it_stands(tmp_path: Path) -> None:
    """It belongs to a target, and is excluded all the same."""
    shop = Workshop(tmp_path)
    key_id = shop.named["web"].id
    excluded = shop.policy.exclude.model_copy(update={"key_ids": (key_id,)})
    shop.policy = shop.policy.model_copy(update={"exclude": excluded})
    with pytest.raises(RotationRefused) as refused:
        shop.rotation().plan(Asked(compromised=frozenset({key_id})))
    assert "exclude.key_ids" in refused.value.hint


def test_leaked_key_of_a_target_that_does_not_resolve_says_why(tmp_path: Path) -> None:
    """The app was renamed: the key is named by the policy, and the policy names no app."""
    shop = Workshop(tmp_path)
    rule = shop.policy.targets[0].model_copy(update={"app": "Former name"})
    shop.policy = shop.policy.model_copy(update={"targets": (rule,)})
    with pytest.raises(RotationRefused) as refused:
        shop.rotation().plan(Asked(compromised=frozenset({shop.named["web"].id})))
    assert "named under key_ids of 'web'" in refused.value.hint
    assert "there is no such app" in refused.value.hint


@pytest.mark.parametrize("hours", [0, 30])
def test_a_rollback_brings_the_old_key_back(tmp_path: Path, hours: float) -> None:
    """Before the revocation consumers can have the old key again; the new one is deleted."""
    shop = Workshop(tmp_path)
    old = shop.named["web"]
    shop.night()
    shop.pass_time(hours=hours)
    rotation = shop.rotation()
    planned = rotation.plan_rollback(only(shop).rotation_id)
    done = rotation.roll_back(only(shop).rotation_id, planned.plan.plan_id)
    assert done.state == "rolled_back"
    assert shop.held() == old.token
    assert list(shop.world.api_keys) == [old.id]
    planned = shop.rotation().plan()
    assert planned.rotations == ()
    assert "rests until" in planned.held_back[0]


def test_first_rotation_into_an_empty_entry_has_no_way_back(tmp_path: Path) -> None:
    """The plan says so before, the refusal why; and the way out that it names keeps the old key."""
    shop = Workshop(tmp_path)
    old = shop.named["web"]
    shop.paths["file"].unlink()
    (before,) = shop.rotation().plan().plan.steps
    assert "write the key in use into it first" in before.note
    shop.night()
    (after,) = shop.rotation().plan().plan.steps
    assert "cannot be taken back" in after.note
    with pytest.raises(RotationRefused, match="never held the old key") as refused:
        shop.rotation().plan_rollback(only(shop).rotation_id)
    assert "exclude.key_ids" in refused.value.hint
    excluded = shop.policy.exclude.model_copy(update={"key_ids": (old.id,)})
    shop.policy = shop.policy.model_copy(update={"exclude": excluded})
    shop.nights_until(lambda: is_proven(shop))
    assert shop.use(old.token) == 200
    assert shop.use(str(shop.held())) == 200


@pytest.mark.parametrize("has_old", [False, True])
def test_way_back_is_not_denied_where_there_is_one(tmp_path: Path, has_old: bool) -> None:
    """Neither where the entry holds the old key, as the way out says, nor for a first key at all,
    which replaces nothing.
    """
    shop = Workshop(tmp_path)
    if not has_old:
        shop.paths["file"].unlink()
        shop.world.api_keys.clear()
    (step,) = shop.rotation().plan().plan.steps
    assert step.note == ""
    shop.night()
    assert not only(shop).has_no_way_back


def test_no_rollback_after_the_revocation(tmp_path: Path) -> None:
    """A deleted key cannot come back."""
    shop = Workshop(tmp_path)
    shop.nights_until(lambda: is_proven(shop))
    with pytest.raises(RotationRefused):
        shop.rotation().plan_rollback(only(shop).rotation_id)


@pytest.mark.parametrize("rotation_id", ["", "no such id"])
def test_only_one_rotation_is_taken_back(tmp_path: Path, rotation_id: str) -> None:
    """An id that fits none, or every one, takes nothing back."""
    shop = Workshop(tmp_path)
    shop.night()
    with pytest.raises(RotationRefused, match="no open rotation"):
        shop.rotation().plan_rollback(rotation_id)


def test_a_second_run_is_refused(tmp_path: Path) -> None:
    """One rotation at a time in a home, and the error names the other."""
    shop = Workshop(tmp_path)
    with shop.ledger.exclusive(), pytest.raises(RotationRunning, match="PID"):
        shop.night()


def test_a_deleted_app_ends_its_rotation(tmp_path: Path) -> None:
    """Dify deletes the keys with the app: the rotation ends, and the next plan has no target."""
    shop = Workshop(tmp_path)
    shop.night()
    shop.world.delete_app(shop.app.id)
    shop.night()
    assert only(shop).state == "failed"
    planned = shop.rotation().plan()
    assert planned.rotations == ()
    assert "there is no such app" in planned.held_back[0]


@pytest.mark.parametrize("what", ["app deleted", "target left", "failed before it left"])
def test_failed_rotation_of_a_target_that_is_gone_is_not_stuck(tmp_path: Path, what: str) -> None:
    """Nothing is left to mend: no alarm tells of it week after week. A target that comes back is
    looked at again.
    """
    shop = Workshop(tmp_path)
    policy = shop.policy
    shop.night(_no_key_is_made(Fault.RATE_LIMITED))
    if what == "app deleted":
        shop.world.delete_app(shop.app.id)
    elif what == "failed before it left":
        shop.ledger.write(only(shop).having(state="failed"))
        assert stuck_rotations(shop.ledger.rotations(), shop.world.now())
    shop.policy = policy.model_copy(update={"targets": ()}) if what != "app deleted" else policy
    shop.night()
    assert only(shop).state == "failed"
    assert stuck_rotations(shop.ledger.rotations(), shop.world.now()) == []
    if what == "failed before it left":
        shop.policy = policy
        shop.rotation().plan()
        assert stuck_rotations(shop.ledger.rotations(), shop.world.now())


def _switch_workspace(shop: Workshop) -> None:
    """Somebody switches the owner's account in the console, to the workspace where it is not."""
    world = shop.world
    joins = world.accounts[world.account_id].joins
    for join in joins:
        join.role = "owner"
    (other,) = [join.tenant_id for join in joins if not join.current]
    world.switch_workspace(world.account_id, other)


@pytest.mark.parametrize("when", ["between runs", "in a run", "ledger of before"])
def test_no_key_of_another_workspace_is_made(tmp_path: Path, when: str) -> None:
    """A person switched the account's workspace: keys there are nobody's business, and what is open
    goes on once the account is back.
    """
    shop = Workshop(tmp_path, consumers=("web",), has_datasets=True)

    def switch(number: int, method: str, path: str) -> None:
        if when == "in a run" and method == "DELETE":
            _switch_workspace(shop)

    shop.night()
    held, keys = shop.all_held(), {*shop.world.api_keys}
    if when == "ledger of before":
        for one in shop.ledger.rotations():
            shop.ledger.write(one.having(workspace_id=None))
        shop.night()  # the first run with this version keeps it
    shop.pass_time(hours=26)
    if when == "in a run":
        shop.server.faults = Faults(before_request=switch)
        for one in shop.rotation().apply(None):
            assert one.state in ("overlap", "drained")
            assert "works in workspace" in one.message
    else:
        _switch_workspace(shop)
        for revokes in (True, False):
            with pytest.raises(RotationRefused, match="works in workspace"):
                shop.rotation().apply(None, revokes=revokes)
        with pytest.raises(RotationRefused, match="works in workspace"):
            shop.rotation().revoke()
        assert {one.state for one in shop.ledger.rotations()} == {"overlap"}
    assert shop.all_held() == held
    assert {*shop.world.api_keys} == keys
    _switch_workspace(shop)
    shop.server.faults = Faults()
    shop.nights_until(lambda: all(one.state == "proven" for one in shop.ledger.rotations()))


def test_a_new_key_that_a_human_deletes_is_taken_out_of_the_sink(tmp_path: Path) -> None:
    """While the old key lives, consumers get it back."""
    shop = Workshop(tmp_path)
    shop.night()
    new = only(shop).new_key_id
    assert new is not None
    shop.world.delete_api_key(new)
    shop.night()
    assert shop.held() == shop.named["web"].token
    assert only(shop).state == "rolled_back"


@pytest.mark.parametrize("begins_before", [False, True])
def test_excluded_keys_stay(tmp_path: Path, begins_before: bool) -> None:
    """What the policy excludes is not revoked, also when that was said after the handing over."""
    shop = Workshop(tmp_path)
    if begins_before:
        shop.night()
    excluded = shop.policy.exclude.model_copy(update={"key_ids": (shop.named["web"].id,)})
    shop.policy = shop.policy.model_copy(update={"exclude": excluded})
    shop.nights_until(lambda: is_proven(shop), hours=20)
    assert shop.named["web"].id in shop.world.api_keys


def test_the_oldest_keys_go_first(tmp_path: Path) -> None:
    """A run begins no more rotations than the policy allows, and names the others."""
    shop = Workshop(tmp_path, consumers=("web", "batch"))
    shop.named["batch"].created_at -= timedelta(days=1)
    shop.policy = shop.policy.model_copy(update={"most_per_run": 1})
    planned = shop.rotation().plan()
    assert [one.consumer for one in planned.rotations] == ["batch"]
    assert "waits for a later run" in planned.held_back[0]


def test_consumers_are_told(tmp_path: Path) -> None:
    """The policy's command hears of the handing over and of the end, without any key."""
    shop = Workshop(tmp_path)
    shop.nights_until(lambda: is_proven(shop))
    assert [event["event"] for event in shop.told] == ["promoted", "proven"]
    assert not any(key.token in str(shop.told) for key in shop.world.api_keys.values())


def test_revoking_waits_for_its_own_call(tmp_path: Path) -> None:
    """Handing over and revoking may be two calls; the audit has the plan that was agreed to."""
    shop = Workshop(tmp_path)
    plan_id = shop.rotation().plan().plan.plan_id
    shop.rotation().apply(plan_id, revokes=False)
    shop.pass_time(hours=30)
    assert shop.rotation().revoke("another plan") == ()
    (done,) = shop.rotation().revoke(plan_id)
    assert done.state == "proven"
    assert {entry.plan_id for entry in shop.audit.entries()} == {plan_id}


def test_asked_for_one_target_nothing_else_moves(tmp_path: Path) -> None:
    """What a person names is planned, open rotations of others are not; a wrong name is told."""
    shop = Workshop(tmp_path, consumers=("web", "batch"))
    shop.night()
    asked = Asked(targets=(f"{shop.app.name} / web",))
    assert [one.consumer for one in shop.rotation().plan(asked).rotations] == ["web"]
    with pytest.raises(TargetUnknown, match="wbe"):
        shop.rotation().plan(Asked(targets=("wbe",)))


def test_targets_that_share_an_entry_are_left_alone(tmp_path: Path) -> None:
    """They would take the key from each other; the plan says why nothing is done."""
    shop = Workshop(tmp_path)
    (rule,) = shop.policy.targets
    other = {"consumer": "batch", "entry": shop.app.id, "key_ids": ()}
    targets = (rule.model_copy(update={"entry": "{app_id}"}), rule.model_copy(update=other))
    shop.policy = shop.policy.model_copy(update={"targets": targets})
    planned = shop.rotation().plan()
    assert planned.rotations == ()
    assert ["several targets share it" in line for line in planned.held_back] == [True]
