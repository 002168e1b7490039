"""The last two assets: swap the analysts' copy, then say whether the run may count as good."""

import dagster as dg

from dify_etl.operations.filling import fill_books
from dify_etl.pipeline.resources import DifyHome, clear_failures
from dify_etl.sync.rights import NOT_SHOWN
from dify_etl.sync.windows import local_date
from dify_etl.warehouse.database import Database
from dify_etl.warehouse.publish import publish

PUBLISHED_COPY = dg.AssetKey("published_copy")
SYNC_VERDICT = dg.AssetKey("sync_verdict")
SHOWN_SLICES = 50


def published_copy(after: list[dg.AssetKey]) -> dg.AssetsDefinition:
    """The file dify.duckdb: a whole copy that replaces the old one in one step."""

    @dg.asset(
        key=PUBLISHED_COPY,
        deps=after,
        group_name="publication",
        kinds={"duckdb"},
        description="dify.duckdb: the copy for analysts, swapped whole; readers are never blocked.",
    )
    def publish_copy(dify_home: DifyHome) -> dg.MaterializeResult[None]:
        home = dify_home.opened
        through = local_date(home.began_at, home.rules.zone)
        with clear_failures():
            with home.database() as database:
                fill_books(database, home.path)
            copy = publish(
                home.path,
                run_id=home.run_id,
                through=through,
                wait_seconds=home.wait_seconds,
            )
        return dg.MaterializeResult(
            metadata={
                "path": dg.MetadataValue.path(copy.resolve()),
                "bytes": copy.stat().st_size,
                "through": through.isoformat(),
            }
        )

    return publish_copy


def sync_verdict() -> dg.AssetsDefinition:
    """Fails the run when a slice failed or is incomplete; what is good is published already."""

    @dg.asset(
        key=SYNC_VERDICT,
        deps=[PUBLISHED_COPY],
        group_name="publication",
        description="Fails when anything could not be read, with a table of what and why.",
    )
    def judge_sync(dify_home: DifyHome) -> dg.MaterializeResult[None]:
        with clear_failures(), dify_home.opened.database() as database:
            bad = bad_slices(database, dify_home.opened.run_id)
            hidden = hidden_feeds(database, dify_home.opened.run_id)
        if bad:
            raise dg.Failure(
                description=f"{len(bad)} slices could not be read whole; what is good is published",
                metadata={"slices": dg.MetadataValue.md(_as_markdown(bad))},
                allow_retries=False,
            )
        if hidden:
            return dg.MaterializeResult(
                metadata={
                    "verdict": "all that this account is shown was read",
                    "not shown": dg.MetadataValue.json([list(one) for one in hidden]),
                }
            )
        return dg.MaterializeResult(metadata={"verdict": "all slices were read"})

    return judge_sync


BadSlice = tuple[str, str, str, str, str]


def bad_slices(database: Database, run_id: str) -> list[BadSlice]:
    """Slices of a run that failed or are incomplete: feed, app, days, state, reason."""
    return database.rows(
        """SELECT s.feed, coalesce(any_value(a.name), s.app_id, 'workspace'),
            coalesce(min(slice_date)::VARCHAR || ' to ' || max(slice_date)::VARCHAR, 'whole list'),
            s.state, coalesce(s.reason, '')
        FROM ops.slices s LEFT JOIN raw.apps a USING (app_id)
        WHERE s.run_id = ? AND s.state IN ('failed', 'incomplete')
        GROUP BY s.feed, s.app_id, s.state, s.reason ORDER BY s.state, s.feed, s.app_id""",
        [run_id],
    )


HiddenFeed = tuple[str, int, str]


def hidden_feeds(database: Database, run_id: str) -> list[HiddenFeed]:
    """What Dify does not show to the account of a run: feed, apps (0: of the workspace), reason."""
    return database.rows(
        """SELECT feed, count(DISTINCT app_id), reason FROM ops.slices
        WHERE run_id = ? AND state = 'unproven' AND starts_with(reason, ?)
        GROUP BY feed, reason ORDER BY feed, reason""",
        [run_id, NOT_SHOWN],
    )


def _as_markdown(bad: list[BadSlice]) -> str:
    head = "| feed | app | days | state | what happened, and what to do |\n|---|---|---|---|---|\n"
    rows = "\n".join("| " + " | ".join(_cell(text) for text in row) + " |" for row in bad)
    more = len(bad) - SHOWN_SLICES
    shown = "\n".join(rows.splitlines()[:SHOWN_SLICES])
    return head + shown + (f"\n\nand {more} more in ops.slices" if more > 0 else "")


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
