"""The last two assets: swap the analysts' copy, then say whether the run may count as good."""

from collections.abc import Iterator

import dagster as dg

from dify_etl.assembly.night import publish_copy, publish_to_shared
from dify_etl.defs.check_help import with_help
from dify_etl.defs.figure_checks import differing_lines
from dify_etl.defs.groups import PUBLICATION
from dify_etl.defs.location import ALONE, Location
from dify_etl.defs.markdown import table
from dify_etl.defs.resources import DifyHome, clear_failures
from dify_etl.sync.causes import CAUSE_HEADINGS, SHOWN_CAUSES, by_cause
from dify_etl.sync.verdict import BadSlice, Verdict, judge
from dify_etl.warehouse.publish import CopyPlace

EVERYTHING_READ = "everything_was_read"


def published_copy(after: list[dg.AssetKey], at: Location = ALONE) -> dg.AssetsDefinition:
    """The file dify.duckdb: a whole copy that replaces the old one in one step."""

    @dg.asset(
        key=at.published_copy,
        pool=at.pool,
        deps=after,
        group_name=PUBLICATION,
        kinds={"duckdb"},
        description="dify.duckdb: the copy for analysts, swapped whole; readers are never blocked.",
    )
    def published(dify_home: DifyHome) -> dg.MaterializeResult[None]:
        with clear_failures():
            copy = publish_copy(dify_home.opened)
        return dg.MaterializeResult(
            metadata={
                "path": dg.MetadataValue.path(copy.path.resolve()),
                "bytes": copy.path.stat().st_size,
                "through": copy.through.isoformat(),
            }
        )

    return published


def shared_warehouse_asset(at: Location = ALONE) -> dg.AssetsDefinition:
    """The published copy, brought to the warehouse that several workspaces share."""

    @dg.asset(
        key=at.shared_warehouse,
        pool=at.pool,
        deps=[at.published_copy],
        group_name=PUBLICATION,
        kinds={"duckdb"},
        description="What this home published, in the warehouse of DIFY_ETL_WAREHOUSE, beside "
        "other workspaces. When it fails, the home's own copy is published all the same.",
    )
    def shared(
        context: dg.AssetExecutionContext, dify_home: DifyHome
    ) -> dg.MaterializeResult[None]:
        opened = dify_home.opened
        copy = (opened.copy or CopyPlace(opened.path)).path
        with clear_failures(failed_tries=dify_home.failed_tries(context)):
            done = publish_to_shared(opened, copy)
        if done is None:
            return dg.MaterializeResult()
        return dg.MaterializeResult(
            metadata={
                "workspace": done.workspace_id,
                "publication": done.publication_id,
                "tables that differed": done.tables,
                "partitions replaced": done.partitions,
                "rows": done.rows,
            }
        )

    return shared


def sync_verdict(at: Location = ALONE) -> dg.AssetsDefinition:
    """Fails the run when the ledger is not whole; what is good is published already."""

    @dg.asset(
        key=at.sync_verdict,
        pool=at.pool,
        deps=[at.published_copy],
        group_name=PUBLICATION,
        description="Fails when anything is failed, incomplete or in quarantine, whichever run "
        "read it, or a model does not build, with a table of what, since when and why.",
        check_specs=[
            dg.AssetCheckSpec(
                EVERYTHING_READ,
                asset=at.sync_verdict,
                description=with_help(
                    EVERYTHING_READ,
                    "Nothing is failed, incomplete or in quarantine; all models are built.",
                ),
            )
        ],
    )
    def judge_sync(dify_home: DifyHome) -> Iterator[dg.MaterializeResult[None]]:
        with clear_failures(), dify_home.opened.database() as database:
            verdict = judge(database)
        words = (
            "all that this account is shown was read" if verdict.hidden else "all slices were read"
        )
        words = words if verdict.is_good else _in_words(verdict)
        # A bad verdict is told before the step fails: else the page would show the last good one.
        metadata = {"verdict": words, **_verdict_metadata(verdict)}
        yield dg.MaterializeResult(
            metadata=metadata,
            check_results=[dg.AssetCheckResult(passed=verdict.is_good, metadata=metadata)],
        )
        if not verdict.is_good:
            raise dg.Failure(
                description=words, metadata=_verdict_metadata(verdict), allow_retries=False
            )

    return judge_sync


def _in_words(verdict: Verdict) -> str:
    parts = [f"{len(verdict.bad)} slices could not be read whole"] if verdict.bad else []
    if verdict.waiting:
        parts.append(f"{verdict.waiting} objects wait in quarantine (`dify-etl quarantine list`)")
    if verdict.broken:
        parts.append(f"{len(verdict.broken)} models could not be built and stay as they were")
    return f"{' and '.join(parts)}; what is good is published"


def _verdict_metadata(verdict: Verdict) -> dict[str, dg.MetadataValue | int | str]:
    told: dict[str, dg.MetadataValue | int | str] = {}
    if verdict.bad:
        told["slices"] = dg.MetadataValue.md(_as_markdown(verdict.bad))
    if verdict.waiting:
        told["in quarantine"] = verdict.waiting
    if verdict.odd:
        told["rows with odd fields, proven"] = verdict.odd
    if verdict.broken:
        rows = [(one.model, one.reason, one.hint) for one in verdict.broken]
        told["models"] = dg.MetadataValue.md(table(("model", "reason", "what to do"), rows))
    if verdict.differing:
        told["figures that differ"] = differing_lines(verdict.differing)
    if verdict.accepted:
        told["accepted"] = dg.MetadataValue.json([list(one) for one in verdict.accepted])
    if verdict.hidden:
        told["not shown"] = dg.MetadataValue.json([list(one) for one in verdict.hidden])
    return told


def _as_markdown(bad: list[BadSlice]) -> str:
    causes = by_cause(bad)
    more = len(causes) - SHOWN_CAUSES
    told = f"and {more} more causes in ops.slices" if more > 0 else ""
    return table(CAUSE_HEADINGS, [one.cells for one in causes[:SHOWN_CAUSES]], told)
