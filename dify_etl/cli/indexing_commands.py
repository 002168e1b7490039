"""`dify-etl indexing`: the documents that are not indexed, and another try for them."""

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from dify_etl.cli.clear_errors import Debug, clear_errors
from dify_etl.cli.consoles import err, out
from dify_etl.cli.operating import Apply, Asked, Most, opened_operator, operate
from dify_etl.cli.simulated_option import Commands

if TYPE_CHECKING:
    from pathlib import Path

    from dify_etl.operations.applying import Operation, Operator
    from dify_etl.operations.indexing import Examination, Report

MOST_DOCUMENTS = 20
SHOWN_DOCUMENTS = 5

indexing = Commands(
    help="Documents that failed, are stuck or paused: list them, retry them.", no_args_is_help=True
)
Datasets = Annotated[
    list[str] | None, typer.Option("--dataset", help="Id or name of a dataset; repeat for more.")
]
StuckAfter = Annotated[
    int, typer.Option(min=1, help="Minutes without progress after which a document is stuck.")
]
LookAgain = Annotated[
    float, typer.Option(min=0, help="Seconds until the second look at those that may be stuck.")
]


@indexing.command("list")
def list_troubles(
    *,
    dataset: Datasets = None,
    stuck_after: StuckAfter = 30,
    look_again: LookAgain = 10.0,
    debug: Debug = False,
) -> None:
    """Show what is not indexed, by error; exit code 1 when there is anything."""
    with clear_errors(debug=debug):
        from dify_etl.operations.indexing import examine

        with opened_operator() as (operator, _):
            report = examine(
                operator.dify, _examination(stuck_after, look_again), datasets=dataset or ()
            )
        show_report(report)
        raise typer.Exit(1 if report.troubles or report.unreadable else 0)


@indexing.command("retry")
def retry(
    *,
    dataset: Datasets = None,
    stuck_after: StuckAfter = 30,
    look_again: LookAgain = 10.0,
    tries: Annotated[
        int, typer.Option(min=1, help="Tries after which a document is given up.")
    ] = 3,
    follow: Annotated[
        float, typer.Option(min=1, help="Seconds for which each retry is followed.")
    ] = 120.0,
    apply: Apply = None,
    most: Most = MOST_DOCUMENTS,
    debug: Debug = False,
) -> None:
    """Retry what failed or is stuck, one document per call, and follow it to its end."""
    with clear_errors(debug=debug):
        from dify_etl.home import Home
        from dify_etl.operations.audit import AuditFile
        from dify_etl.operations.indexing import examine
        from dify_etl.operations.indexing_retries import Patience, RetryHistory, retry_operation

        def plan(operator: "Operator", home: "Path") -> "Operation":
            report = examine(
                operator.dify, _examination(stuck_after, look_again), datasets=dataset or ()
            )
            _show_unreadable(report)
            history = RetryHistory(AuditFile(Home(home).audit).entries())
            return retry_operation(operator, report, history, Patience(tries, follow))

        raise typer.Exit(operate(out, plan, Asked(apply, most)))


def _examination(stuck_after: int, look_again: float) -> "Examination":
    from dify_etl.operations.indexing import Examination

    return Examination(timedelta(minutes=stuck_after), look_again)


def show_report(report: "Report") -> None:
    """Groups of errors with some of their documents each."""
    out.print(
        f"{report.documents} documents in {report.datasets} datasets, "
        f"{len(report.troubles)} not indexed",
        highlight=False,
    )
    for group in report.groups():
        out.print(
            f"[bold]{len(group.troubles)} {group.kind}[/]: {escape(group.error)}",
            highlight=False,
            soft_wrap=True,
        )
        for trouble in group.troubles[:SHOWN_DOCUMENTS]:
            since = f", since {trouble.since:%Y-%m-%d %H:%M} UTC" if trouble.since else ""
            line = f"  {trouble.name} ({trouble.document_id}, {trouble.indexing_status}{since})"
            out.print(escape(line), highlight=False, soft_wrap=True)
        if len(group.troubles) > SHOWN_DOCUMENTS:
            out.print(f"  and {len(group.troubles) - SHOWN_DOCUMENTS} more", highlight=False)
    _show_unreadable(report)


def _show_unreadable(report: "Report") -> None:
    for name, reason in report.unreadable:
        err.print(f"dataset {escape(name)} cannot be read: {escape(reason)}", soft_wrap=True)
