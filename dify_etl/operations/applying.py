"""Apply a plan: check that it is still the one agreed to, write, read back, and tell the audit.

A write is sent once. When its answer is lost, what Dify shows afterwards decides.
"""

import contextlib
import getpass
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import JsonValue

from dify_etl.dify.client import DifyClient
from dify_etl.dify.errors import (
    DifyError,
    NoSuchEndpoint,
    NotAllowed,
    NotFound,
    NotSent,
    Refused,
    WriteUnanswered,
)
from dify_etl.dify.http.clock import Clock
from dify_etl.dify.http.writes import Written
from dify_etl.errors import ActionableError
from dify_etl.operations.audit import AuditTrail, Outcome, Signature
from dify_etl.operations.errors import Undecided
from dify_etl.operations.plan import Cap, Plan, Step, check_confirmed, check_fresh, plan_of
from dify_etl.operations.redaction import State, without_secrets

# After a lost answer Dify may still be at work: how often, and how long apart, we look.
LOOKS, SECONDS_BETWEEN_LOOKS = 4, 3.0

Answer = Written[Any] | None  # None for a step that is not sent to Dify, or whose answer was lost


@dataclass(frozen=True)
class Found:
    """What stands after a write: the state (None: nothing), the target's id, a word for people.

    `is_under_way`: Dify works at it, and we do not wait any longer.
    """

    state: State | None
    target_id: str | None = None
    message: str = ""
    is_under_way: bool = False


@dataclass(frozen=True)
class Action:
    """How one step is done.

    `look` reads the fields of the step's `before` (None: nothing can be compared), `write` sends
    once, `read_back` tells what stands afterwards, `is_done` whether that is what was wanted
    (unless told otherwise: every field of `after`, or nothing there when there should be nothing).
    """

    step: Step
    write: Callable[[], Answer]
    read_back: Callable[[Answer], Found]
    look: Callable[[], State | None] | None = None
    is_done: Callable[[Found], bool] | None = None

    def is_fulfilled(self, found: Found) -> bool:
        """Whether what was found is what the step wanted."""
        return self.is_done(found) if self.is_done else agrees(found.state, self.step.after)

    def has_moved(self) -> bool:
        """Whether the target is not any more what the step was planned on."""
        if self.look is None:
            return False
        now = self.look()
        return (None if now is None else without_secrets(dict(now))) != self.step.before


def agrees(found: State | None, wanted: State | None) -> bool:
    """Whether every wanted field has its value, in nested objects too; nothing wanted, nothing
    found.
    """
    if found is None or wanted is None:
        return found is wanted
    return _holds(without_secrets(dict(found)), without_secrets(dict(wanted)))


def _holds(found: JsonValue, wanted: JsonValue) -> bool:
    if isinstance(wanted, dict) and isinstance(found, dict):
        return all(name in found and _holds(found[name], one) for name, one in wanted.items())
    return found == wanted


@dataclass(frozen=True)
class Result:
    """What came of a step."""

    step: Step
    outcome: Outcome
    message: str = ""
    target_id: str | None = None

    @property
    def line(self) -> str:
        """The step in one line, with the id of what it made and what there is to say."""
        is_new = self.step.target.id is None and self.target_id
        made = f" ({self.target_id})" if is_new else ""
        return self.step.title + made + (f": {self.message}" if self.message else "")

    @property
    def is_good(self) -> bool:
        """Whether nobody has to look at it."""
        return self.outcome in ("verified", "done")


@dataclass(frozen=True)
class Operation:
    """A plan and how each of its steps is done; notes are told beside it (nothing is done).

    `is_sequence`: a step that is not done keeps all later ones from being tried.
    """

    plan: Plan
    actions: tuple[Action, ...]
    notes: tuple[str, ...] = ()
    is_sequence: bool = False


@dataclass(frozen=True)
class Operator:
    """Who operates: a client, the workspace that it sees, a name for the audit, and the audit."""

    dify: DifyClient
    workspace_id: str
    actor: str
    trail: AuditTrail
    clock: Clock = field(default_factory=Clock)

    def operation(
        self,
        name: str,
        actions: Sequence[Action],
        notes: Sequence[str],
        *,
        is_sequence: bool = False,
    ) -> Operation:
        """The operation of those actions that change something."""
        steps = [action.step for action in actions]
        plan = plan_of(name, self.dify.origin, self.workspace_id, steps, seal=self.dify.seal)
        kept = tuple(action for action in actions if action.step in plan.steps)
        return Operation(plan, kept, tuple(notes), is_sequence)

    def apply(
        self,
        operation: Operation,
        agreed_id: str,
        *,
        cap: Cap,
        typed: Collection[str] = (),
        is_sure: bool = False,
    ) -> tuple[Result, ...]:
        """Do all steps; a step that fails keeps the later ones on its target from being done.

        Raises before anything is sent: PlanStale, TooMuch, NotConfirmed. What goes wrong afterwards
        is in the results, and each step in the audit.
        """
        check_fresh(operation.plan, agreed_id)
        cap.check(operation.plan)
        check_confirmed(operation.plan, typed, is_sure=is_sure)
        return _Run(self, operation).all_steps()


def operator_of(dify: DifyClient, trail: AuditTrail, *, clock: Clock | None = None) -> Operator:
    """The operator that the client is logged in as."""
    workspace = dify.account.current_workspace()
    try:
        email = dify.account.profile().email
    except (NotFound, NoSuchEndpoint):
        email = "an account whose profile Dify does not tell"
    return Operator(dify, workspace.workspace_id, f"{email} ({_user()})", trail, clock or Clock())


def _user() -> str:
    # In a container the user may have no name.
    with contextlib.suppress(KeyError, OSError, ImportError):
        return getpass.getuser()
    return "unnamed user"


class _Run:
    """One application of an operation."""

    def __init__(self, operator: Operator, operation: Operation) -> None:
        self._operator = operator
        self._operation = operation
        self._signature = Signature(operation.plan, operator.actor)
        self._stopped = ""
        self._failed: set[str] = set()

    def all_steps(self) -> tuple[Result, ...]:
        return tuple(
            self._step(number, action)
            for number, action in enumerate(self._operation.actions, start=1)
        )

    def _step(self, number: int, action: Action) -> Result:
        reason = self._reason_to_skip(action)
        if reason:
            return self._noted(number, Result(action.step, "skipped", reason))
        self._record(number, "begun")
        answer: Answer = None
        try:
            answer = action.write()
        except WriteUnanswered as error:
            return self._noted(number, self._after_lost_answer(action, error), error.status)
        except ActionableError as error:
            self._note_stop(error)
            status = getattr(error, "status", None)
            return self._noted(number, Result(action.step, "failed", str(error)), status)
        return self._noted(number, self._read_back(action, answer), *_received(answer))

    def _reason_to_skip(self, action: Action) -> str:
        if self._stopped:
            return f"not tried: {self._stopped}"
        if _subject(action.step) in self._failed:
            return "not tried: a step before it on the same object was not done"
        try:
            return "the object has changed since the plan was made" if action.has_moved() else ""
        except ActionableError as error:
            self._note_stop(error)
            return f"not tried, since its state cannot be read: {error}"

    def _note_stop(self, error: ActionableError) -> None:
        """What concerns one object lets the others be tried; a lost server or login does not."""
        of_one = NotAllowed | NotFound | NoSuchEndpoint | NotSent | Refused
        if isinstance(error, DifyError) and not isinstance(error, of_one):
            self._stopped = error.what

    def _read_back(self, action: Action, answer: Answer) -> Result:
        try:
            found = action.read_back(answer)
        except ActionableError as error:
            message = f"Dify accepted it, but it cannot be read back: {error}"
            return Result(action.step, "unknown", message)
        if found.is_under_way:
            return Result(action.step, "done", found.message, found.target_id)
        if action.is_fulfilled(found):
            return Result(action.step, "verified", found.message, found.target_id)
        message = found.message or "Dify accepted it, but what it shows is not what was wanted"
        return Result(action.step, "failed", message, found.target_id)

    def _after_lost_answer(self, action: Action, error: WriteUnanswered) -> Result:
        seen = "Dify does not show it as done"
        for look in range(LOOKS):
            if look:
                self._operator.clock.sleep(SECONDS_BETWEEN_LOOKS)
            try:
                found = action.read_back(None)
            except Undecided as undecided:
                return Result(action.step, "unknown", str(undecided))
            except ActionableError as trouble:
                seen = f"it cannot be read back either ({trouble.what})"
                continue
            seen = "Dify does not show it as done"
            if found.is_under_way:
                return Result(action.step, "done", found.message, found.target_id)
            if action.is_fulfilled(found):
                told = f"the answer was lost; read back, and it is done ({error.what})"
                message = "; ".join(part for part in (told, found.message) if part)
                return Result(action.step, "verified", message, found.target_id)
        message = f"{error.what}; {seen}. It was not sent again: plan again when Dify answers."
        return Result(action.step, "unknown", message)

    def _noted(
        self,
        number: int,
        result: Result,
        status: int | None = None,
        request_id: str | None = None,
    ) -> Result:
        if not result.is_good:
            self._failed.add(_subject(result.step))
            if self._operation.is_sequence:
                self._stopped = self._stopped or f"{result.step.title} was not done"
        self._record(
            number,
            result.outcome,
            message=result.message,
            target_id=result.target_id,
            status=status,
            request_id=request_id,
        )
        return result

    def _record(self, number: int, outcome: Outcome, **told: Any) -> None:
        at = self._operator.clock.now()
        self._operator.trail.record(self._signature.entry(number, outcome, at=at, **told))


def _subject(step: Step) -> str:
    return f"{step.target.kind}/{step.target.id or step.target.name}"


def _received(answer: Answer) -> tuple[int | None, str | None]:
    return (None, None) if answer is None else (answer.status, answer.request_id)
