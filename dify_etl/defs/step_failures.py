"""What a failed step or run of Dagster tells of its error."""

from dataclasses import dataclass
from typing import Any

import dagster as dg


@dataclass(frozen=True)
class RunError:
    """What happened, where, and what to do; `hint` is None of an error that nobody foresaw."""

    kind: str
    what: str
    where: str
    hint: str | None


def error_of_step(event: dg.DagsterEvent) -> RunError:
    """The failure as it was raised; of anything else the innermost cause."""
    data = event.step_failure_data
    where = f"step {event.step_key}"
    if data.user_failure_data is not None:
        told = {key: str(one.value) for key, one in data.user_failure_data.metadata.items()}
        if "what to do" in told:
            return RunError(told["error"], told["what"], told["where"], told["what to do"])
    error = _innermost(data.error)
    if error is None:
        return RunError("StepFailed", "no message", where, None)
    text = error.message.strip().removeprefix(f"{error.cls_name}: ")
    return RunError(error.cls_name or "Exception", text, where, None)


def error_of_run(event: dg.DagsterEvent) -> RunError:
    """Why a run failed before its first step, as when nobody could log in."""
    error = event.job_failure_data.error
    kind = _innermost(error)
    while error is not None and error.cls_name != dg.Failure.__name__:
        error = error.cause
    name = kind.cls_name if kind is not None and kind.cls_name else "RunFailed"
    if error is None:
        return RunError(name, "no message", "the begin of the run", None)
    # A failure of ours: what, where and what to do stand in one text.
    text = error.message.strip().partition(f"{error.cls_name}: ")[2]
    return RunError(name, text, "the begin of the run", "Run `dify-etl doctor`.")


def _innermost(error: Any) -> Any:
    """Dagster has no public name for what it makes of an error."""
    while error is not None and error.cause is not None:
        error = error.cause
    return error
