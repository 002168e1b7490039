"""The nodes that a run went through: a straight line, now and then an iteration or a loop."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from dify_simulated.world.build_chronicle import Chronicle
from dify_simulated.world.prices import GPT_4O, node_usage, usage_of
from dify_simulated.world.rows import JsonObject, NodeExecution, WorkflowRun

_TOOL: JsonObject = {
    "tool_info": {"provider_type": "builtin", "provider_id": "langgenius/google/google"},
    "agent_log": [],
}


# Seconds that a node of a type takes in the middle; of others a moment.
_SECONDS = {"llm": 1.1, "tool": 0.45, "code": 0.03, "iteration": 0.08, "loop": 0.08}
_A_MOMENT, _BETWEEN, _BEFORE = 0.004, 0.006, 0.09


@dataclass(frozen=True)
class _Step:
    node_id: str
    node_type: str
    metadata: JsonObject
    process_data: JsonObject | None = None


def add_nodes(
    chronicle: Chronicle, run: WorkflowRun, *, going_on: bool = False, all_kinds: bool = False
) -> None:
    """Give a run its nodes, a moment after one another.

    With `going_on` the last is open; with `all_kinds` there are an iteration, a loop, a tool and
    shortened payloads.
    """
    steps = list(_steps(chronicle, run, all_kinds=all_kinds))
    pace = _pace(run, steps)
    before: str | None = None
    at = run.created_at + timedelta(seconds=pace * _BEFORE)
    for index, step in enumerate(steps, 1):
        seconds = round(pace * _seconds_of(step), 6)
        row = _node(chronicle, run, step, index, at=at, seconds=seconds)
        at += timedelta(seconds=pace * _BETWEEN + seconds)
        row.predecessor_node_id, before = before, step.node_id
        if going_on and index == len(steps):
            row.status, row.outputs, row.finished_at = "running", None, None
        row.inputs_truncated = row.outputs_truncated = all_kinds or chronicle.happens(0.01)
        chronicle.world.put_node(row)
    run.total_steps = len(steps)


def _steps(chronicle: Chronicle, run: WorkflowRun, *, all_kinds: bool) -> Iterator[_Step]:
    chatflow = run.id in chronicle.world.message_of_run
    yield _Step("start", "start", {})
    for kind, share in (("iteration", 0.1), ("loop", 0.05)):
        if all_kinds or (not chatflow and chronicle.happens(share)):
            yield from _repeated(kind)
    latency = round(0.05 + chronicle.chance.random(), 3)
    if run.status == "failed":
        yield _Step("llm", "llm", {})
        return
    process_data, price = node_usage(_usage(chronicle, run, latency), GPT_4O)
    yield _Step("llm", "llm", price, process_data)
    if all_kinds or chronicle.happens(0.05):
        yield _Step("search", "tool", _TOOL)
    if run.status == "partial-succeeded":
        yield _Step("branch", "if-else", {"error_strategy": "fail-branch"})
    last = "answer" if chatflow else "end"
    yield _Step(last, last, {})


def _seconds_of(step: _Step) -> float:
    return _SECONDS.get(step.node_type, _A_MOMENT)


def _pace(run: WorkflowRun, steps: list[_Step]) -> float:
    """By how much the nodes of a run are slower than in the middle: 0.5 to 1.5, and less where they
    would end after their run.
    """
    pace = 0.5 + int(run.id[-4:], 16) / 0xFFFF
    whole = pace * (_BEFORE + sum(_seconds_of(step) + _BETWEEN for step in steps))
    return pace * run.elapsed_time / whole if 0 < run.elapsed_time < whole else pace


def _usage(chronicle: Chronicle, run: WorkflowRun, latency: float) -> JsonObject:
    """What the only model of the graph was asked: of a chatflow that of its message."""
    message = chronicle.world.messages.get(chronicle.world.message_of_run.get(run.id, ""))
    if message is not None:
        return usage_of(message.message_tokens, message.answer_tokens, latency)
    return usage_of(run.total_tokens - run.total_tokens // 4, run.total_tokens // 4, latency)


def _repeated(kind: str) -> Iterator[_Step]:
    """An iteration or a loop: its inner nodes come twice with one node_id."""
    outer: JsonObject = {f"{kind}_duration_map": {"0": 0.52, "1": 0.61}, "steps_boundary": [2, 6]}
    if kind == "loop":
        outer = {
            **outer,
            "loop_variable_map": {"0": {"n": 1}},
            "completed_reason": "loop_completed",
        }
    yield _Step(kind, kind, outer)
    for number in range(2):
        inside: JsonObject = {f"{kind}_id": kind, f"{kind}_index": number}
        yield _Step(f"{kind}-start", f"{kind}-start", inside)
        yield _Step(f"{kind}-code", "code", inside)


def _inputs(run: WorkflowRun, step: _Step, index: int) -> JsonObject | None:
    if step.node_type.endswith("-start"):
        return None
    return run.inputs if index == 1 else {"text": "输入"}


def _node(
    chronicle: Chronicle,
    run: WorkflowRun,
    step: _Step,
    index: int,
    *,
    at: datetime,
    seconds: float,
) -> NodeExecution:
    broken = run.status == "failed" and step.node_type == "llm"
    strained = "error_strategy" in step.metadata
    return NodeExecution(
        id=chronicle.world.new_id(),
        app_id=run.app_id,
        workflow_run_id=run.id,
        index=index,
        node_id=step.node_id,
        node_type=step.node_type,
        title=f"{step.node_type} 节点",
        status="failed" if broken else "exception" if strained else "succeeded",
        created_by_role=run.created_by_role,
        created_by=run.created_by,
        created_at=at,
        inputs=_inputs(run, step, index),
        process_data=step.process_data,
        outputs=None if broken else {"text": "输出"},
        error=run.error if broken else None,
        elapsed_time=seconds,
        execution_metadata=step.metadata,
        finished_at=at + timedelta(seconds=seconds),
    )
