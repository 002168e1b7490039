"""The asset `status`: one glance at the home, as `dify-etl status` gives it."""

import dagster as dg

from dify_etl.assembly.status import read_status
from dify_etl.assembly.status_lines import (
    FEED_HEADINGS,
    feed_cells,
    headline,
    size,
    times,
    unread,
    waiting,
)
from dify_etl.defs.groups import PUBLICATION
from dify_etl.defs.location import Location
from dify_etl.defs.markdown import listed, plain, table
from dify_etl.defs.resources import clear_failures
from dify_etl.settings import Settings


def status_asset(settings: Settings, at: Location) -> dg.AssetsDefinition:
    """What is proven through which day, what is red and since when, what waits, how large it is."""

    @dg.asset(
        key=at.status,
        pool=at.pool,
        deps=[at.published_copy],
        group_name=PUBLICATION,
        description="One glance: what is proven through which day, what waits, how large it is. "
        "What is red, and what to do about it, stands in sync_verdict.",
    )
    def look() -> dg.MaterializeResult[None]:
        with clear_failures():
            found = read_status(settings)
        told = [*unread(found), *times(found), *waiting(found), size(found)]
        return dg.MaterializeResult(
            metadata={
                "status": plain(headline(found)),
                "what is known": listed(told),
                "feeds": dg.MetadataValue.md(
                    table(FEED_HEADINGS, [feed_cells(one) for one in found.feeds])
                ),
                "feeds with slices that are bad": sum(one.bad > 0 for one in found.feeds),
                "bytes of the live file": found.size.live,
            }
        )

    return look
