"""What a plan shows is all that changes: every operation, compared with the world around it."""

from collections.abc import Callable
from dataclasses import asdict
from datetime import timedelta

import pytest

from dify_etl.dify.app_writes import AppChanges, AppDraft
from dify_etl.home import Home
from dify_etl.operations.applying import Operation, Operator
from dify_etl.operations.apps import DesiredApp, create_operation, update_operation
from dify_etl.operations.errors import AuditUnwritable
from dify_etl.operations.exchange import import_operation
from dify_etl.operations.indexing import Examination, examine
from dify_etl.operations.indexing_retries import Patience, RetryHistory, retry_operation
from dify_etl.operations.invitees import Invitee
from dify_etl.operations.members import (
    invite_operation,
    remove_operation,
    set_role_operation,
)
from dify_etl.operations.publishing import publish_operation
from dify_etl_tests.dify.pretend_workspace import EDITOR, NORMAL
from dify_etl_tests.operations.workbench import Workbench, applied
from dify_etl_tests.sync.small_worlds import app_of

Planned = Callable[[Workbench, Operator], Operation]


def _retries(bench: Workbench, operator: Operator) -> Operation:
    looking = Examination(timedelta(days=999))  # failed ones alone
    report = examine(operator.dify, looking, clock=operator.clock)
    return retry_operation(operator, report, RetryHistory(), Patience(follow_seconds=1))


OPERATIONS: dict[str, Planned] = {
    "create": lambda bench, operator: create_operation(operator, AppDraft("New", "chat")),
    "rename": lambda bench, operator: update_operation(
        operator, app_of(bench.world).id, DesiredApp(AppChanges("Renamed", None))
    ),
    "update": lambda bench, operator: update_operation(
        operator,
        app_of(bench.world).id,
        DesiredApp(AppChanges(None, "words"), is_site_on=False, model_config={"pre_prompt": "x"}),
    ),
    "publish": lambda bench, operator: publish_operation(
        operator, [app_of(bench.world, "workflow").id, app_of(bench.world, "advanced-chat").id]
    ),
    "import": lambda bench, operator: import_operation(
        operator,
        operator.dify.apps.export_dsl(app_of(bench.world, "workflow").id),
        where="a test",
        name="A copy",
        allows_duplicate=False,
    ),
    "invite": lambda bench, operator: invite_operation(
        operator, [Invitee("ann@example.com", "normal"), Invitee("bob@example.com", "editor")]
    ),
    "set role": lambda bench, operator: set_role_operation(operator, [NORMAL, EDITOR], "admin"),
    "remove": lambda bench, operator: remove_operation(operator, [NORMAL]),
    "retry": _retries,
}


def objects(bench: Workbench) -> dict[str, object]:
    """Everything that an operation could touch, by id; members by their account."""
    world = bench.world
    members = [one for one in world.members.values() if one.tenant_id == bench.tenant]
    return {
        **{one.id: asdict(one) for one in world.apps.values()},
        **{one.id: asdict(one) for one in world.documents.values()},
        **{one.id: asdict(one) for one in world.datasets.values()},
        **{one.id: one.token for one in world.api_keys.values()},
        **{f"{one.account_id}": one.role for one in members},
    }


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_exactly_the_planned_objects_change(bench: Workbench, name: str) -> None:
    """As many objects change as the plan counts, those that it names, and no other."""
    bench.wait(60)
    with bench.operator() as operator:
        before = objects(bench)
        operation = OPERATIONS[name](bench, operator)
        assert objects(bench) == before
        results = applied(operator, operation)
    after = objects(bench)
    moved = {key for key in {*before, *after} if before.get(key) != after.get(key)}
    named = {result.target_id or result.step.target.id for result in results}
    assert results
    assert all(result.is_good for result in results), results
    assert moved == named
    assert len(moved) == len(operation.plan.targets)


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_plan_is_the_same_until_something_changes(bench: Workbench, name: str) -> None:
    """Planned by two clients, it has one id: what was shown here can be applied there."""
    bench.wait(60)
    with bench.operator() as first, bench.operator() as second:
        one, two = OPERATIONS[name](bench, first), OPERATIONS[name](bench, second)
    assert one.plan.plan_id == two.plan.plan_id


def test_what_cannot_be_recorded_is_not_done(bench: Workbench) -> None:
    """Without an audit nothing is sent."""
    (Home(bench.home).audit).mkdir()
    app = app_of(bench.world)
    before = objects(bench)
    with bench.operator() as operator, pytest.raises(AuditUnwritable) as refused:
        applied(operator, update_operation(operator, app.id, DesiredApp(AppChanges("Other", None))))
    assert "audit.jsonl" in refused.value.where
    assert objects(bench) == before
