"""The asset `indexing_report`: which documents are not indexed, with a check that fails on any."""

from collections.abc import Iterator

import dagster as dg

from dify_etl.defs.check_help import with_help
from dify_etl.defs.groups import OPERATIONS
from dify_etl.defs.location import Location
from dify_etl.defs.markdown import table
from dify_etl.defs.operation_configs import config_schema
from dify_etl.defs.operation_runs import DifyOperations
from dify_etl.defs.resources import clear_failures
from dify_etl.operations.indexing import ExamineDocuments, Report
from dify_etl.operations.table import operation_of

EVERYTHING_INDEXED = "everything_is_indexed"
SHOWN_GROUPS = 20
SHOWN_NAMES = 3


def indexing_report(at: Location) -> dg.AssetsDefinition:
    """The doctor's report as an asset; it changes nothing."""

    @dg.asset(
        key=at.indexing_report,
        pool=at.pool,
        deps=[at.feed("documents")],  # what it is about, as nights read it
        group_name=OPERATIONS,
        kinds={"dify"},
        description="Documents that failed, are stuck or paused, by error. Changes nothing.",
        config_schema=config_schema(operation_of("indexing_report")),
        check_specs=[
            dg.AssetCheckSpec(
                EVERYTHING_INDEXED,
                asset=at.indexing_report,
                description=with_help(
                    EVERYTHING_INDEXED,
                    "No document failed, is stuck or paused; every dataset can be read.",
                ),
            )
        ],
    )
    def examine_documents(
        context: dg.AssetExecutionContext, dify_operations: DifyOperations
    ) -> Iterator[dg.MaterializeResult[None]]:
        with clear_failures():
            request = ExamineDocuments.asked(context.op_execution_context.op_config)
            report = request.report(dify_operations.operator)
        counts = {"not indexed": len(report.troubles), "unreadable": len(report.unreadable)}
        yield dg.MaterializeResult(
            metadata={
                "datasets": report.datasets,
                "documents": report.documents,
                **counts,
                "troubles": dg.MetadataValue.md(_as_markdown(report)),
            },
            check_results=[
                dg.AssetCheckResult(
                    passed=not any(counts.values()), check_name=EVERYTHING_INDEXED, metadata=counts
                )
            ],
        )

    return examine_documents


def _as_markdown(report: Report) -> str:
    rows: list[tuple[str, ...]] = []
    for group in report.groups()[:SHOWN_GROUPS]:
        names = ", ".join(trouble.name for trouble in group.troubles[:SHOWN_NAMES])
        rows.append((str(len(group.troubles)), group.kind, group.error, names))
    rows += [("", "unreadable", reason, name) for name, reason in report.unreadable]
    return table(("documents", "state", "error", "such as"), rows)
