"""What the ledger of syncs says of the data: not whole, stale, in quarantine, differing figures."""

from collections.abc import Sequence
from datetime import datetime

from dify_etl.alerts.incidents import Found, Incident, Moment, name_of, plain_words
from dify_etl.alerts.nights import GRACE
from dify_etl.alerts.source import NO_SERVER, host_of
from dify_etl.sync.causes import cause_of
from dify_etl.sync.differing_figures import DifferingFigure, differing_figures
from dify_etl.sync.verdict import IS_MINOR, read_verdict
from dify_etl.warehouse.database import Database
from dify_etl.warehouse.model_builds import broken_models


def holes(database: Database, moment: Moment) -> Found:
    """One per feed and app of which anything is failed or incomplete, and not accepted."""
    seen: set[str] = set()
    for one in read_verdict(database).bad:
        key = f"{one.feed}:{one.app_id}"
        if key not in seen:
            seen.add(key)
            text = f"{one.state} since {one.since}: {plain_words(cause_of(one.reason))}"
            yield Incident("not_whole", key, _of_app(one.feed, one.app_id and one.app), text)


def broken(database: Database, moment: Moment) -> Found:
    """One per model whose last build failed."""
    for one in broken_models(database):
        text = f"since {one.failed_since:%Y-%m-%d}: {plain_words(one.reason)}"
        yield Incident("model_broken", one.model, one.model, text)


def stale_feeds(database: Database, moment: Moment) -> Found:
    """One per feed of which no read brought all that Dify shows for two nights and six hours.

    One that the settings leave out by now has no slices, and is waited for by nobody.
    """
    rows: list[tuple[str, datetime | None]] = database.rows(
        """SELECT feed, max(ended_at) FILTER (
            slices_proven > 0 OR slices_failed + slices_incomplete = 0)
        FROM ops.runs WHERE feed IN (SELECT feed FROM ops.slices) GROUP BY feed
        HAVING sum(slices_proven + slices_unproven + slices_incomplete + slices_failed) > 0
        ORDER BY feed"""
    )
    for feed, read_at in rows:
        if read_at is None or moment.now - read_at > 2 * moment.due.period + GRACE:
            told = f"last read well on {read_at:%Y-%m-%d}" if read_at else "never read well"
            yield Incident("stale", feed, feed, told)


def waiting_objects(database: Database, moment: Moment) -> Found:
    """One per feed: objects, and figures of rows, that are kept back until they can be read."""
    rows = database.rows(
        f"""SELECT feed, count(*) FROM ops.quarantine
        WHERE resolved_at IS NULL AND NOT {IS_MINOR} GROUP BY feed ORDER BY feed"""
    )
    for feed, count in rows:
        objects = "object waits" if count == 1 else "objects wait"
        yield Incident("quarantine", feed, feed, f"{count} {objects}", count)


def figures(database: Database, moment: Moment) -> Found:
    """One per app of which the rows do not give Dify's figures."""
    by_app: dict[str, list[DifferingFigure]] = {}
    for one in differing_figures(database):
        by_app.setdefault(one.app_id, []).append(one)
    for app_id, found in by_app.items():
        yield Incident(
            "figures_differ", app_id, name_of(found[0].app), _figures_in_words(found), len(found)
        )


def newer_server(database: Database, moment: Moment) -> Found:
    """The server, when it may be newer than any that was tested."""
    for origin, told in database.rows("SELECT server_origin, newer_than_tested FROM ops.source"):
        if told:
            server = plain_words(host_of(origin)) or NO_SERVER
            yield Incident("server_newer", plain_words(told), server, plain_words(told))


def loaded_from(database: Database) -> tuple[str, str]:
    """What the workspace is called in Dify, and its host: of the last sync; "" before the first."""
    rows = database.rows("SELECT workspace_name, server_origin FROM ops.source")
    name, origin = next(iter(rows), (None, None))
    return name or "", host_of(origin)


def _figures_in_words(found: Sequence[DifferingFigure]) -> str:
    newest = found[0]
    figures = "figure differs" if len(found) == 1 else "figures differ"
    return f"{len(found)} {figures}; of {newest.day} {newest.metric}: {newest.figures}"


def _of_app(feed: str, app: str) -> str:
    return f"{feed} of {name_of(app)}" if app else feed
