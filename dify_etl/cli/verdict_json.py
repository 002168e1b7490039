"""A run and its verdict as `--json` has them: of `sync`, `accept` and `status`."""

from collections import Counter
from typing import Any

from dify_etl.cli.error_messages import ErrorMessage
from dify_etl.cli.summary import SyncOutcome, broken_messages, changes_by_table
from dify_etl.sync.causes import by_cause
from dify_etl.sync.report import STATES, FeedReport
from dify_etl.sync.verdict import Verdict
from dify_etl.warehouse.upsert import Changes

COUNTS = ("new", "changed", "unchanged", "absent")


def verdict_object(verdict: Verdict) -> dict[str, Any]:
    """All that the verdict tells; `causes` are the bad slices by state and cause."""
    return {
        "is_good": verdict.is_good,
        "bad": [one._asdict() for one in verdict.bad],
        "causes": [one._asdict() for one in by_cause(verdict.bad)],
        "accepted": [one._asdict() for one in verdict.accepted],
        "hidden": [one._asdict() for one in verdict.hidden],
        "broken": [one._asdict() for one in verdict.broken],
        "differing": [one._asdict() for one in verdict.differing],
        "in_quarantine": verdict.waiting,
        "odd_rows": verdict.odd,
    }


def sync_object(run_id: str, outcome: SyncOutcome, *, code: int, seconds: float) -> dict[str, Any]:
    """What a sync did: `feeds` and `tables` of this run alone, the verdict over all of the ledger.

    Seconds are wall time; `slices` counts those of this run by state.
    """
    slices: Counter[str] = Counter()
    for report in outcome.reports:
        slices.update(report.states)
    errors = [*outcome.messages, *broken_messages(outcome.verdict)]
    return {
        "run_id": run_id,
        "exit_code": code,
        "is_good": code == 0,
        "is_published": outcome.is_published,
        "seconds": round(seconds, 3),
        "requests": sum(report.requests for report in outcome.reports),
        "slices": {state: slices[state] for state in STATES},
        "feeds": [_feed(report) for report in outcome.reports],
        "tables": [
            {"table": f"raw.{name}"} | _counts(changes)
            for name, changes in changes_by_table(outcome.reports).items()
        ],
        "verdict": verdict_object(outcome.verdict),
        "errors": [_error(message) for message in errors],
    }


def _feed(report: FeedReport) -> dict[str, Any]:
    return {
        "feed": report.feed,
        "state": report.state,
        "slices": {state: report.states.get(state, 0) for state in STATES},
        **_counts(report.changes),
        "in_quarantine": report.quarantined,
        "requests": report.requests,
        "retries": report.retries,
        "received_bytes": report.received_bytes,
        "seconds": round(report.seconds, 3),
    }


def _counts(changes: Changes) -> dict[str, int]:
    return {name: getattr(changes, name) for name in COUNTS}


def _error(message: ErrorMessage) -> dict[str, str]:
    return {
        "kind": message.kind,
        "what": message.what,
        "where": message.where,
        "to_do": message.hint,
    }
