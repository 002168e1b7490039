"""The report, as an asset behind the published copy, with a chart of it in Dagster."""

import dagster as dg

from dify_etl.defs.groups import PUBLICATION
from dify_etl.defs.location import Location
from dify_etl.defs.markdown import fenced
from dify_etl.defs.resources import DifyHome, clear_failures
from dify_etl.report.preview import PREVIEW_DAYS, preview_of
from dify_etl.report.writing import keep_report
from dify_etl.warehouse.publish import CopyPlace


def report_asset(at: Location) -> dg.AssetsDefinition:
    """The page of all figures in the home; a night that changed nothing leaves it as it is."""

    @dg.asset(
        key=at.report,
        pool=at.pool,
        deps=[at.published_copy],
        group_name=PUBLICATION,
        kinds={"html"},
        description="One HTML page with all figures of the published copy, for a browser without "
        "network; written again when the copy changed.",
    )
    def write(dify_home: DifyHome) -> dg.MaterializeResult[None]:
        opened = dify_home.opened
        copy = (opened.copy or CopyPlace(opened.path)).path
        with clear_failures():
            report = keep_report(opened.path, copy)
            preview = preview_of(copy)
        return dg.MaterializeResult(
            metadata={
                "path": dg.MetadataValue.path(report.path.resolve()),
                "bytes": report.size,
                "written now": report.is_new,
                f"last {PREVIEW_DAYS} days": fenced("text", preview),
            }
        )

    return write
