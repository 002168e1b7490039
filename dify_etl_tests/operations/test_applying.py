"""Applying a plan, on the smallest operation there is: API keys made and deleted."""

from collections.abc import Callable
from functools import partial

import pytest

from dify_etl.operations.applying import Action, Answer, Found, Operation, Operator
from dify_etl.operations.errors import NotConfirmed, PlanStale, TooMuch, Undecided
from dify_etl.operations.plan import Cap, Step, Target
from dify_etl.operations.redaction import State
from dify_etl_tests.dify.pretend_workspace import EDITOR, app_of
from dify_etl_tests.operations.workbench import (
    ANY,
    Workbench,
    applied,
    drop_requests,
    lose_answers,
)

THERE: State = {"exists": True}


def key_ids(operator: Operator, app_id: str) -> set[str]:
    return {key.api_key_id for key in operator.dify.api_keys.of_app(app_id)}


def one_more_key(operator: Operator, app_id: str, name: str = "a new key") -> Action:
    """Make one key; the difference of the lists tells which one it is."""
    before = key_ids(operator, app_id)

    def read_back(answer: Answer) -> Found:
        new = sorted(key_ids(operator, app_id) - before)
        if len(new) > 1:
            raise Undecided("two keys are new", where="api-keys", hint="Look.")
        return Found(THERE if new else None, new[0] if new else None)

    return Action(
        Step("keys.create", Target("api key", None, name), None, THERE),
        write=partial(operator.dify.api_keys.create_for_app, app_id),
        read_back=read_back,
        look=lambda: None if key_ids(operator, app_id) == before else THERE,
    )


def key_gone(operator: Operator, app_id: str, key_id: str) -> Action:
    def look() -> State | None:
        return THERE if key_id in key_ids(operator, app_id) else None

    return Action(
        Step("keys.delete", Target("api key", key_id, key_id), THERE, None, is_irreversible=True),
        write=partial(operator.dify.api_keys.delete_of_app, app_id, key_id),
        read_back=lambda answer: Found(look(), key_id),
        look=look,
    )


@pytest.fixture
def app_id(bench: Workbench) -> str:
    return app_of(bench.world, "chat").id


def creation(operator: Operator, app_id: str) -> Operation:
    return operator.operation("keys", [one_more_key(operator, app_id)], ())


def test_step_is_done_verified_and_audited(bench: Workbench, app_id: str) -> None:
    """One key more; the audit holds the intent and the result with status, id and actor."""
    with bench.operator() as operator:
        before = key_ids(operator, app_id)
        operation = creation(operator, app_id)
        (result,) = applied(operator, operation)
        (new,) = key_ids(operator, app_id) - before
    assert (result.outcome, result.target_id) == ("verified", new)
    begun, done = bench.audit()
    assert (begun.outcome, done.outcome, done.http_status) == ("begun", "verified", 201)
    assert (done.plan_id, done.step, done.target_id) == (operation.plan.plan_id, 1, new)
    assert bench.world.account.email in done.actor


@pytest.mark.parametrize(
    ("limits", "refusal"),
    [
        (lambda operator, plan: operator.apply(plan, "0" * 12, cap=ANY, is_sure=True), PlanStale),
        (lambda operator, plan: operator.apply(plan, plan.plan.plan_id, cap=Cap(0)), TooMuch),
        (lambda operator, plan: operator.apply(plan, plan.plan.plan_id, cap=ANY), NotConfirmed),
    ],
)
def test_refused_plan_sends_nothing(
    bench: Workbench,
    app_id: str,
    limits: Callable[[Operator, Operation], object],
    refusal: type[Exception],
) -> None:
    """A stale plan, too many objects, a name not typed back: no request, no entry."""
    with bench.operator() as operator:
        key_id = operator.dify.api_keys.create_for_app(app_id).value.api_key_id
        operation = operator.operation("keys", [key_gone(operator, app_id, key_id)], ())
        before = len(bench.server.requests)
        with pytest.raises(refusal):
            limits(operator, operation)
    assert len(bench.server.requests) == before
    assert bench.audit() == ()


def test_lost_answer_is_read_back_and_never_sent_again(bench: Workbench, app_id: str) -> None:
    """The key was made although the answer was lost: found by reading, one request in all."""
    with bench.operator() as operator:
        before = key_ids(operator, app_id)
        lose_answers(bench, "POST", "api-keys")
        (result,) = applied(operator, creation(operator, app_id))
        (new,) = key_ids(operator, app_id) - before
    assert (result.outcome, result.target_id) == ("verified", new)
    assert "answer was lost" in result.message
    assert sum(request.method == "POST" for request in bench.server.requests_of(KEYS)) == 1


KEYS = "/apps/{app_id}/api-keys"


def test_request_that_never_arrived_stays_unknown(bench: Workbench, app_id: str) -> None:
    """Nothing is there after several looks: unknown, sent once, left to the next plan."""
    drop_requests(bench, "POST", "api-keys")
    with bench.operator() as operator:
        before = key_ids(operator, app_id)
        (result,) = applied(operator, creation(operator, app_id))
        assert key_ids(operator, app_id) == before
    assert result.outcome == "unknown"
    assert sum(request.method == "POST" for request in bench.server.requests_of(KEYS)) == 1
    assert bench.waited > 5


def test_two_new_keys_are_left_to_a_person(bench: Workbench, app_id: str) -> None:
    """When somebody else makes one at the same moment, nobody guesses which is ours."""
    with bench.operator() as operator:
        operation = creation(operator, app_id)
        lose_answers(bench, "POST", "api-keys")
        action = operation.actions[0]

        def write_beside_somebody() -> Answer:
            bench.world.add_api_key(
                tenant_id=bench.world.workspace_id, app_id=app_id, at=bench.world.now()
            )
            return action.write()

        beside = Action(action.step, write_beside_somebody, action.read_back, action.look)
        (result,) = applied(operator, Operation(operation.plan, (beside,)))
    assert result.outcome == "unknown"
    assert "two keys are new" in result.message


def test_step_whose_target_moved_is_skipped(bench: Workbench, app_id: str) -> None:
    """A key that somebody deleted between plan and step is not deleted again."""
    with bench.operator() as operator:
        keys = [operator.dify.api_keys.create_for_app(app_id).value.api_key_id for _ in "12"]
        actions = [key_gone(operator, app_id, key_id) for key_id in keys]
        operation = operator.operation("keys", actions, ())
        operator.dify.api_keys.delete_of_app(app_id, keys[0])
        results = applied(operator, operation)
        assert not key_ids(operator, app_id) & set(keys)
    assert [result.outcome for result in results] == ["skipped", "verified"]
    assert bench.outcomes() == ["skipped", "begun", "verified"]


def test_refusal_keeps_the_next_step_on_the_same_object(bench: Workbench, app_id: str) -> None:
    """An editor may not delete: that step failed, the next on its target is not tried."""
    with bench.operator() as operator:
        keys = [operator.dify.api_keys.create_for_app(app_id).value.api_key_id for _ in "12"]
    bench.email = EDITOR
    with bench.operator() as operator:
        actions = [key_gone(operator, app_id, key) for key in (keys[0], keys[0], keys[1])]
        results = applied(operator, operator.operation("keys", actions, ()))
        assert key_ids(operator, app_id) >= set(keys)
    assert [result.outcome for result in results] == ["failed", "skipped", "failed"]
    assert [entry.http_status for entry in bench.audit()] == [None, 403, None, None, 403]


def test_lost_server_stops_the_rest(bench: Workbench, app_id: str) -> None:
    """When Dify cannot be reached, later steps are not tried at all."""
    with bench.operator() as operator:
        keys = [operator.dify.api_keys.create_for_app(app_id).value.api_key_id for _ in "12"]
        actions = [key_gone(operator, app_id, key) for key in keys]
        operation = operator.operation("keys", actions, ())
        drop_requests(bench, "GET", "api-keys")
        results = applied(operator, operation)
    assert [result.outcome for result in results] == ["skipped", "skipped"]
    assert "not tried" in results[1].message
