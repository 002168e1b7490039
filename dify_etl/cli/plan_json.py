"""Plans and results as JSON, for scripts: `--json` of every command that changes Dify."""

from typing import TYPE_CHECKING, Any

from dify_etl.cli.json_answers import json_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dify_etl.operations.applying import Result
    from dify_etl.operations.plan import Plan, Step


def plan_json(plan: "Plan", notes: "Sequence[str]") -> str:
    """The plan: `plan_id`, `operation`, `origin`, `workspace_id`, `steps` (empty: nothing is to be
    done), and `notes`, what is left alone and why.
    """
    return json_text(
        {
            "plan_id": plan.plan_id,
            "operation": plan.operation,
            "origin": plan.origin,
            "workspace_id": plan.workspace_id,
            "steps": [_step(step) for step in plan.steps],
            "notes": [*notes],
        }
    )


def results_json(plan_id: str, results: "Sequence[Result]") -> str:
    """What came of each step: `outcome` as in the audit, and what there is to say."""
    told = [
        {
            "operation": result.step.operation,
            "target": _target(result.step, result.target_id),
            "outcome": result.outcome,
            "message": result.message,
        }
        for result in results
    ]
    return json_text({"plan_id": plan_id, "results": told})


def _step(step: "Step") -> dict[str, Any]:
    return {
        "operation": step.operation,
        "target": _target(step),
        "before": None if step.before is None else dict(step.before),
        "after": None if step.after is None else dict(step.after),
        "is_irreversible": step.is_irreversible,
        "note": step.note,
    }


def _target(step: "Step", made_id: str | None = None) -> dict[str, Any]:
    target = step.target
    return {"kind": target.kind, "id": target.id or made_id, "name": target.name}
