"""What is wrong now: one small function per kind of incident, over the live file."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import duckdb

from dify_etl.alerts.incidents import Found, Incident, Moment
from dify_etl.alerts.objects import ending_retention, old_keys, stuck_documents
from dify_etl.alerts.readings import (
    broken,
    figures,
    holes,
    newer_server,
    stale_feeds,
    waiting_objects,
)
from dify_etl.alerts.usage import dear_days, failing_workflows
from dify_etl.warehouse.database import Database

Finder = Callable[[Database, Moment], Found]
FINDERS: Mapping[str, Finder] = {
    "not_whole": holes,
    "model_broken": broken,
    "stale": stale_feeds,
    "quarantine": waiting_objects,
    "figures_differ": figures,
    "cost": dear_days,
    "failure_rate": failing_workflows,
    "documents_stuck": stuck_documents,
    "key_over_age": old_keys,
    "retention": ending_retention,
    "server_newer": newer_server,
}


@dataclass(frozen=True)
class Findings:
    """What was found, and at which kinds was looked: of the others nothing begins or ends."""

    incidents: tuple[Incident, ...]
    looked: frozenset[str]


def find_incidents(database: Database, moment: Moment) -> Findings:
    """All incidents that the live file tells of.

    A kind whose tables are not there yet, as in a home that an earlier version made, is passed
    over: the next sync makes them.
    """
    incidents: list[Incident] = []
    looked: set[str] = set()
    for kind, find in FINDERS.items():
        try:
            found = list(find(database, moment))
        except (duckdb.CatalogException, duckdb.BinderException):
            continue
        incidents += found
        looked.add(kind)
    return Findings(tuple(incidents), frozenset(looked))
