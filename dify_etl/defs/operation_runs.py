"""One run of an operation in Dagster: the plan in the metadata, applied only when told to."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import dagster as dg
from pydantic import Field, PrivateAttr

from dify_etl.assembly.connection import effective_settings
from dify_etl.assembly.operator import open_operator
from dify_etl.assembly.ops_copies import fill_ops_tables_of
from dify_etl.defs.markdown import fenced, listed, plain
from dify_etl.defs.resources import clear_failures, teller
from dify_etl.defs.schedule_tokens import ScheduleTokens
from dify_etl.operations.applying import Operation, Operator
from dify_etl.operations.errors import InputWrong, TooMuch
from dify_etl.operations.plan import Cap, Plan
from dify_etl.operations.request import Agreement, OperationContext, PlannedRequest


class DifyOperations(dg.ConfigurableResource["DifyOperations"]):
    """The operator of the settings' Dify. No lock: Dify and the audit take several at once."""

    audit_wait_seconds: float = Field(
        default=1.0,
        ge=0,
        description="How long to wait for the database to write ops.audit; when it stays busy, the "
        "next sync brings the entries from audit.jsonl.",
    )

    _context: OperationContext | None = PrivateAttr(default=None)

    @property
    def context(self) -> OperationContext:
        """Where this run operates."""
        if self._context is None:
            raise RuntimeError("the operator is only there while a run lasts")
        return self._context

    @property
    def operator(self) -> Operator:
        """Who operates in this run."""
        return self.context.operator

    @property
    def home(self) -> Path:
        """The home whose audit is written."""
        return self.context.home

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator["DifyOperations"]:
        """Log in for a run. A setting or login that is wrong fails it clearly."""
        with ExitStack() as stack:
            with clear_failures():
                run_id = context.run.run_id if context.run else None
                opened = open_operator(effective_settings(), tell=teller(context), run_id=run_id)
                self._context = stack.enter_context(opened)
            yield self


def run_operation(
    context: dg.OpExecutionContext,
    operations: DifyOperations,
    request: PlannedRequest,
    agreement: Agreement,
) -> dg.Output[None]:
    """Show the plan; with `dry_run` false apply it and fail when a step did not come out well.

    InputWrong when nobody agreed to it: neither a person, who gives its id, nor a schedule.
    """
    operation, cap = request.plan(operations.context), Cap(agreement.most)
    plan, agreed_id = operation.plan, agreement.plan_id
    is_nothing = not plan.steps and not agreed_id
    if agreement.dry_run or is_nothing:
        return _shown(operation, cap)
    if not agreed_id:
        token = agreement.schedule_token
        consume_token(context, operations.home, token, plan.operation, plan)
        agreed_id = plan.plan_id
    typed = agreement.names
    results = operations.operator.apply(operation, agreed_id, cap=cap, typed=typed)
    fill_ops_tables_of(operations.home, wait_seconds=operations.audit_wait_seconds)
    metadata = plan_metadata(plan, operation.notes) | {
        "results": dg.MetadataValue.md(
            "\n".join(f"- **{result.outcome}** {plain(result.line)}" for result in results)
        )
    }
    bad = [result for result in results if not result.is_good]
    if bad:
        raise dg.Failure(
            description=f"{len(bad)} of {len(results)} steps did not come out well",
            metadata=metadata,
            allow_retries=False,
        )
    return dg.Output(None, metadata=metadata)


def consume_token(
    context: dg.OpExecutionContext | dg.AssetExecutionContext,
    home: Path,
    token: str,
    operation: str,
    plan: Plan | None = None,
) -> None:
    """Let the run of a schedule go on without the id of a plan; once for each token.

    InputWrong without a token that a tick of the run's job wrote into the home: nothing else in a
    run's config or tags proves who asked for it. It tells the id of the `plan` of now.
    """
    if not token:
        raise nobody_agreed(operation, plan)
    run, failed = context.run, None
    if run.parent_run_id and (parent := context.instance.get_run_by_id(run.parent_run_id)):
        is_failed = parent.status in (dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)
        failed = parent.run_id if is_failed else None
    ScheduleTokens(home).consume(token, run.job_name, run.run_id, retried_run_id=failed)


def nobody_agreed(operation: str, plan: Plan | None = None) -> InputWrong:
    """What to raise where an id is missing; it tells that of the `plan` of now."""
    now = f" The plan of now has the id {plan.plan_id}." if plan else ""
    return InputWrong(
        "there is no plan_id, so nobody has seen what would be done",
        where=operation,
        hint=f"Run it with dry_run first.{now}",
    )


def _shown(operation: Operation, cap: Cap) -> dg.Output[None]:
    """The plan as the output's metadata; a failure that shows it when the cap is too low."""
    metadata = plan_metadata(operation.plan, operation.notes)
    try:
        cap.check(operation.plan)
    except TooMuch as error:
        raise dg.Failure(str(error), metadata, allow_retries=False) from None
    return dg.Output(None, metadata=metadata)


def plan_metadata(plan: Plan, notes: Sequence[str]) -> dict[str, dg.MetadataValue]:
    """The plan as Dagster shows it: id, diff, what is left alone and why."""
    shown = "\n".join(plan.lines()) if plan.steps else "nothing is to be done"
    return {
        "plan_id": dg.MetadataValue.text(plan.plan_id),
        "steps": dg.MetadataValue.int(len(plan.steps)),
        "plan": fenced("diff", shown),
        "left alone": listed(notes),
    }
