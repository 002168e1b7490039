"""`dify-etl indexing`: the documents that are not indexed, and another try for them."""

from dataclasses import asdict
from typing import Any

from rich.markup import escape

from dify_etl.cli.consoles import err, out
from dify_etl.cli.json_answers import print_json
from dify_etl.cli.operating import opened_operator
from dify_etl.cli.operation_commands import add_operations
from dify_etl.cli.shared_options import Commands
from dify_etl.operations.indexing import ExamineDocuments, Report
from dify_etl.operations.request import Agreement

SHOWN_DOCUMENTS = 5

indexing = Commands()


def list_troubles(request: ExamineDocuments, agreement: Agreement) -> int:
    """Show what is not indexed; 1 when there is anything."""
    with opened_operator() as context:
        report = request.report(context.operator)
    if agreement.as_json:
        print_json(report_object(report))
    else:
        show_report(report)
    return 1 if report.troubles or report.unreadable else 0


def report_object(report: Report) -> dict[str, Any]:
    """What the doctor found, for machines: a line per document."""
    return {
        "datasets": report.datasets,
        "documents": report.documents,
        "not_indexed": [asdict(trouble) for trouble in report.troubles],
        "unreadable": [{"dataset": name, "reason": reason} for name, reason in report.unreadable],
    }


def show_report(report: Report) -> None:
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
    for name, reason in report.unreadable:
        err.print(f"dataset {escape(name)} cannot be read: {escape(reason)}", soft_wrap=True)


add_operations(indexing, "indexing", list=list_troubles)
