"""Feeds that are read only where a setting asks for them, and what the ledger says of the others:
nothing.
"""

from collections.abc import Mapping
from typing import Protocol

from dify_etl.time_zones import utc_now
from dify_etl.warehouse.database import Database

# Feed -> the setting that asks for it.
OPT_IN: Mapping[str, str] = {"document_segments": "DIFY_ETL_SEGMENTS"}


class Choice(Protocol):
    """What settings and rules have in common."""

    @property
    def segments(self) -> bool:
        """Whether segments of documents are read."""


def is_read(feed: str, choice: Choice) -> bool:
    """Whether the settings ask for a feed; most are read always."""
    return feed not in OPT_IN or choice.segments


def leave_out(database: Database, choice: Choice) -> None:
    """Take feeds that are read no more out of the ledger: no verdict waits for them. Their rows
    stay as they were read last. Call it inside a transaction.
    """
    for feed in OPT_IN:
        if is_read(feed, choice):
            continue
        database.execute("DELETE FROM ops.slices WHERE feed = ?", [feed])
        database.execute(
            "UPDATE ops.quarantine SET resolved_at = ? WHERE feed = ? AND resolved_at IS NULL",
            [utc_now(), feed],
        )
        database.execute("DELETE FROM ops.document_reads")
