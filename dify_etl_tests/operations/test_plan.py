"""Plans: their id, their text, and what refuses them."""

from dataclasses import replace

import pytest

from dify_etl.operations.errors import NotConfirmed, PlanStale, TooMuch
from dify_etl.operations.plan import (
    Cap,
    Plan,
    Step,
    Target,
    check_confirmed,
    check_fresh,
    plan_of,
)
from dify_etl.operations.redaction import State

BOT = Target("app", "id-1", "Support bot")
RENAME = Step("apps.update", BOT, {"name": "Support bot"}, {"name": "Help"})
DELETE = Step("apps.delete", BOT, {"name": "Support bot"}, None, is_irreversible=True)


def plan(*steps: Step) -> Plan:
    return plan_of("apps", "https://dify.test", "workspace", steps)


def test_same_content_has_the_same_id() -> None:
    """The order of keys and the notes for people make no other plan."""
    one = Step("apps.update", BOT, {"name": "a", "icon": "b"}, {"name": "c", "icon": "b"})
    two = replace(one, before={"icon": "b", "name": "a"}, note="used a minute ago")
    assert plan(one).plan_id == plan(two).plan_id
    assert len(plan(one).plan_id) == 12


@pytest.mark.parametrize(
    "other",
    [
        plan(replace(RENAME, before={"name": "Bot"})),
        plan(replace(RENAME, after={"name": "Helper"})),
        plan(replace(RENAME, target=replace(BOT, id="id-2"))),
        plan(replace(RENAME, is_irreversible=True)),
        plan(RENAME, DELETE),
        replace(plan(RENAME), origin="https://other.test"),
        replace(plan(RENAME), workspace_id="another"),
        replace(plan(RENAME), operation="members"),
    ],
)
def test_other_content_has_another_id(other: Plan) -> None:
    """Whatever would be done otherwise, or elsewhere, is another plan."""
    assert other.plan_id != plan(RENAME).plan_id


def test_step_that_changes_nothing_is_left_out() -> None:
    """What is already as wanted needs no write."""
    assert plan(replace(RENAME, after={"name": "Support bot"})).steps == ()


def test_plan_reads_as_a_diff() -> None:
    """What is, what will be, how many objects, and what cannot be undone."""
    assert plan(RENAME, DELETE).lines() == [
        "apps.update: app 'Support bot' (id-1)",
        "  - name: Support bot",
        "  + name: Help",
        "apps.delete: app 'Support bot' (id-1)",
        "  - name: Support bot",
        "  ! cannot be undone",
        f"plan {plan(RENAME, DELETE).plan_id}: 2 steps on 1 object of https://dify.test, "
        "1 cannot be undone",
    ]


def test_long_text_shows_the_lines_that_change() -> None:
    """A prompt of many lines is shown as a diff of its lines, nested fields in their place."""
    before: State = {"model_config": {"pre_prompt": "one\ntwo\nthree\nfour\nfive", "opening": "hi"}}
    after: State = {"model_config": {"pre_prompt": "one\ntwo\nthree\n4\nfive", "opening": "hi"}}
    lines = Step("apps.update", BOT, before, after).lines()
    assert [line.strip() for line in lines[1:]] == [
        "model_config:",
        "pre_prompt:",
        "@@ -3,3 +3,3 @@",
        "three",
        "-four",
        "+4",
        "five",
    ]


def test_stale_plan_is_refused_with_both_plans() -> None:
    """The error tells the plan agreed to, where it is known, and what would be done now."""
    shown, now = plan(RENAME), plan(replace(RENAME, before={"name": "Bot"}))
    check_fresh(now, now.plan_id)
    with pytest.raises(PlanStale) as refused:
        check_fresh(now, shown.plan_id, shown=shown)
    for line in (shown.plan_id, now.plan_id, "- name: Support bot", "- name: Bot"):
        assert line in refused.value.what


def test_stale_plan_with_nothing_left_offers_no_id() -> None:
    """Applying the empty plan would be no advice."""
    done = Plan("apps.rename", "https://dify.test", "w", ())
    with pytest.raises(PlanStale, match="nothing is left to do") as refused:
        check_fresh(done, plan(RENAME).plan_id)
    assert "Nothing is left to do" in refused.value.hint
    assert f"apply {done.plan_id}" not in refused.value.hint


def test_cap_counts_objects_not_steps() -> None:
    """Two steps on one app are one object; one more object than allowed is refused."""
    both = plan(RENAME, DELETE)
    Cap(1).check(both)
    with pytest.raises(TooMuch, match="2 objects, the cap of one run is 1"):
        Cap(1).check(plan(RENAME, replace(RENAME, target=replace(BOT, id="id-2"))))


def test_deletion_needs_the_name() -> None:
    """Only the exact name, or --yes, lets a deletion pass; other steps need neither."""
    check_confirmed(plan(RENAME), [], is_sure=False)
    check_confirmed(plan(DELETE), ["Support bot"], is_sure=False)
    check_confirmed(plan(DELETE), [], is_sure=True)
    with pytest.raises(NotConfirmed, match="Support bot"):
        check_confirmed(plan(DELETE), ["support bot"], is_sure=False)


def test_step_holds_no_secret() -> None:
    """Values whose names say that they are secrets never get into a plan."""
    state: State = {"tools": [{"api_key": "canary-1", "max_tokens": 5}], "token": "canary-2"}
    step = Step("apps.update", BOT, None, {**state, "masked_token": "app-a...wxyz"})
    assert "canary" not in repr(plan(step)) + "\n".join(plan(step).lines())
    assert step.after is not None
    assert step.after["masked_token"] == "app-a...wxyz"
    assert "max_tokens" in repr(step.after)
