"""A plan: what an operation would change, step by step, before anything is sent.

No plan is stored. Its id is a hash of its content: applying plans anew, and a world that has moved
gives another id. The hash is keyed by the home: who gives an id has read the plan. States hold no
secrets: `step` hides them before a plan can hold them.
"""

import difflib
import hashlib
import hmac
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import orjson
from pydantic import JsonValue

from dify_etl.operations.errors import NotConfirmed, PlanStale, TooMuch
from dify_etl.operations.redaction import State, canonical, without_secrets

ID_LENGTH = 12


@dataclass(frozen=True)
class Target:
    """What a step changes: an app, a member, a key, a document. `id` is None before it exists."""

    kind: str
    id: str | None
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name!r}" + (f" ({self.id})" if self.id else "")


@dataclass(frozen=True)
class Step:
    """One write: what is (`before`, None: nothing) and what will be (`after`, None: nothing).

    Both name the fields that the step is about. `note` is for people and no part of the plan's id.
    """

    operation: str
    target: Target
    before: State | None
    after: State | None
    is_irreversible: bool = False
    note: str = ""

    def __post_init__(self) -> None:
        for name in ("before", "after"):
            state = getattr(self, name)
            if state is not None:
                object.__setattr__(self, name, without_secrets(dict(state)))

    @property
    def is_deletion(self) -> bool:
        """Whether the target is there now and will not be."""
        return self.before is not None and self.after is None

    @property
    def title(self) -> str:
        """One line: the operation and its target."""
        return f"{self.operation}: {self.target}"

    def lines(self) -> list[str]:
        """The step as text: its title, then `-` what is and `+` what will be."""
        marks = ["  ! cannot be undone"] if self.is_irreversible else []
        notes = [f"  # {line}" for line in self.note.splitlines()]
        changes = [f"  {line}" for line in difference(self.before, self.after)]
        return [self.title, *changes, *marks, *notes]


@dataclass(frozen=True)
class Plan:
    """All steps of one operation on one workspace, in the order in which they are done.

    `seal`: the secret of the home that is planned from (`DifyClient.seal`); it is never shown.
    """

    operation: str
    origin: str
    workspace_id: str
    steps: tuple[Step, ...] = field(default=())
    seal: str = field(default="", repr=False)

    @property
    def plan_id(self) -> str:
        """The first 12 hex digits of a keyed SHA-256 over all that would be done and to what."""
        key = self.seal.encode()
        return hmac.new(key, canonical(self._content()), hashlib.sha256).hexdigest()[:ID_LENGTH]

    @property
    def targets(self) -> tuple[Target, ...]:
        """The objects that are touched, each once."""
        return tuple(dict.fromkeys(step.target for step in self.steps))

    def lines(self) -> list[str]:
        """The whole plan as text: every step, how many objects, what cannot be undone."""
        final = sum(step.is_irreversible for step in self.steps)
        steps, objects = _counted(self.steps, "step"), _counted(self.targets, "object")
        counted = f"{steps} on {objects} of {self.origin}"
        undone = f", {final} cannot be undone" if final else ""
        shown = [line for step in self.steps for line in step.lines()]
        return [*shown, f"plan {self.plan_id}: {counted}{undone}"]

    def _content(self) -> JsonValue:
        return {
            "operation": self.operation,
            "origin": self.origin,
            "workspace_id": self.workspace_id,
            "steps": [_step_content(step) for step in self.steps],
        }


def _counted(things: Sequence[object], word: str) -> str:
    return f"{len(things)} {word}" + ("" if len(things) == 1 else "s")


def _step_content(step: Step) -> JsonValue:
    return {
        "operation": step.operation,
        "target": [step.target.kind, step.target.id, step.target.name],
        "before": None if step.before is None else dict(step.before),
        "after": None if step.after is None else dict(step.after),
        "is_irreversible": step.is_irreversible,
    }


@dataclass(frozen=True)
class Cap:
    """The most objects that one run may touch."""

    most: int

    def check(self, plan: Plan) -> None:
        """TooMuch when the plan touches more objects."""
        touched = len(plan.targets)
        if touched > self.most:
            raise TooMuch(
                f"the plan touches {touched} objects, the cap of one run is {self.most}",
                where=plan.operation,
                hint=f"Do fewer at a time, or allow them: --most {touched}, in Dagster "
                f"`most: {touched}`.",
            )


def check_fresh(plan: Plan, agreed_id: str, *, shown: Plan | None = None) -> None:
    """PlanStale when the plan of now is not the one agreed to, with what would be done now.

    `shown` is the plan that was agreed to, where the caller still has it: then both are told.
    """
    if plan.plan_id == agreed_id:
        return
    told = [f"the plan agreed to is {agreed_id}, but what would be done now is {plan.plan_id}"]
    if shown is not None:
        told += ["agreed to:", *shown.lines()]
    told += ["now:", *(plan.lines() if plan.steps else ["nothing is left to do"])]
    again = (
        f"If the plan of now is right, apply {plan.plan_id}. An id holds for the DIFY_ETL_HOME in "
        "which the plan was made."
        if plan.steps
        else "Nothing is left to do; `dify-etl audit list` tells what was done from here."
    )
    raise PlanStale("\n".join(told), where=plan.operation, hint=f"Nothing was changed. {again}")


def check_confirmed(plan: Plan, typed: Collection[str], *, is_sure: bool) -> None:
    """NotConfirmed unless each name that the plan deletes was typed back, or `is_sure`."""
    missing = deleted_names(plan) - set(typed)
    if missing and not is_sure:
        names = ", ".join(repr(name) for name in sorted(missing))
        raise NotConfirmed(
            f"{names} would be deleted, and the name was not typed back",
            where=plan.operation,
            hint="Give it with --name exactly as it stands here, or say --yes.",
        )


def deleted_names(plan: Plan) -> set[str]:
    """The names of everything that the plan deletes."""
    return {step.target.name for step in plan.steps if step.is_deletion}


def plan_of(
    operation: str, origin: str, workspace_id: str, steps: Sequence[Step], *, seal: str = ""
) -> Plan:
    """A plan of these steps, without those that change nothing."""
    kept = tuple(step for step in steps if step.before != step.after)
    return Plan(operation, origin, workspace_id, kept, seal)


CONTEXT_LINES = 1


def difference(before: State | None, after: State | None) -> list[str]:
    """The lines of what changes; fields that stay are left out."""
    old, new = before or {}, after or {}
    names = [*old, *(name for name in new if name not in old)]
    return [line for name in names for line in _field(name, old, new)]


def _field(name: str, old: State, new: State) -> list[str]:
    if name in old and name in new:
        return [] if old[name] == new[name] else _changed(name, old[name], new[name])
    sign, value = ("-", old[name]) if name in old else ("+", new[name])
    first, *rest = _text(value).splitlines() or [""]
    return [f"{sign} {name}: {first}", *(f"{sign}   {line}" for line in rest)]


def _changed(name: str, old: JsonValue, new: JsonValue) -> list[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        inner = difference(old, new)
        return [f"  {name}:", *(f"  {line}" for line in inner)]
    before, after = _text(old), _text(new)
    if "\n" not in before + after:
        return [f"- {name}: {before}", f"+ {name}: {after}"]
    compared = difflib.unified_diff(
        before.splitlines(), after.splitlines(), n=CONTEXT_LINES, lineterm=""
    )
    shown = [line for line in compared if not line.startswith(("---", "+++"))]
    return [f"  {name}:", *(f"  {line}" for line in shown)]


def _text(value: JsonValue) -> str:
    if isinstance(value, str):
        return value if value else '""'
    return orjson.dumps(value).decode()
