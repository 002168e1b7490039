"""What a sync brought, as tables on a terminal."""

import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from shlex import quote

from rich.console import Console
from rich.markup import escape

from dify_etl.assembly.night import NightResult
from dify_etl.cli.clear_errors import message_of
from dify_etl.cli.error_messages import ErrorMessage
from dify_etl.cli.shown_tables import ShownTable
from dify_etl.sync.causes import SHOWN_CAUSES, by_cause
from dify_etl.sync.differing_figures import RECONCILIATION, DifferingFigure
from dify_etl.sync.report import STATES, FeedReport
from dify_etl.sync.verdict import AcceptedHole, BadSlice, HiddenFeed, Verdict
from dify_etl.warehouse.upsert import Changes

SHOWN_FIGURES = 20


@dataclass(frozen=True)
class SyncOutcome:
    """What is shown of a night: the feeds' reports, the verdict, what failed besides."""

    reports: tuple[FeedReport, ...]
    verdict: Verdict
    messages: tuple[ErrorMessage, ...]
    traces: tuple[str, ...]
    is_published: bool

    @classmethod
    def of(cls, night: NightResult) -> "SyncOutcome":
        """The outcome of a night that was read without Dagster."""
        failed = [night.failure] if night.failure is not None else []
        return cls(
            night.reports,
            night.verdict,
            tuple(message_of(error) for error in failed),
            tuple("".join(traceback.format_exception(error)) for error in failed),
            night.is_published,
        )


def show_summary(console: Console, reports: Sequence[FeedReport], seconds: float) -> None:
    """A line per raw table: rows, what was new, requests and states of the slices."""
    table = ShownTable(title=f"Loaded in {seconds:.1f} s", title_justify="left")
    table.add_column("feed")
    for heading in ("rows", "new", "changed", "requests", "seconds"):
        table.add_column(heading, justify="right")
    table.add_column("state")
    own = {report.feed: report for report in reports}
    for name, changes in changes_by_table(reports).items():
        report = own.get(name)
        table.add_row(
            name,
            f"{changes.new + changes.changed + changes.unchanged:,}",
            f"{changes.new:,}",
            f"{changes.changed:,}",
            f"{report.requests:,}" if report else "",
            f"{report.seconds:.1f}" if report else "",
            _states(report) if report else "",
        )
    console.print(table)


def show_verdict(console: Console, verdict: Verdict) -> None:
    """All that a verdict tells but models that do not build: those are errors."""
    show_hidden_feeds(console, verdict.hidden)
    show_bad_slices(console, verdict.bad)
    show_accepted(console, verdict.accepted)
    show_waiting(console, verdict)
    show_differing(console, verdict.differing)


def broken_messages(verdict: Verdict) -> list[ErrorMessage]:
    """A message for each model that does not build."""
    return [ErrorMessage("ModelBroken", one.reason, one.where, one.hint) for one in verdict.broken]


def show_bad_slices(console: Console, bad: list[BadSlice]) -> None:
    """What is not whole, a paragraph per cause; each slice stands in ops.slices."""
    if not bad:
        return
    causes = by_cause(bad)
    console.print("\n[bold]Not read whole[/]", highlight=False)
    for one in causes[:SHOWN_CAUSES]:
        console.print(one.paragraph(), markup=False, highlight=False, soft_wrap=True)
    if len(causes) > SHOWN_CAUSES:
        console.print(f"and {len(causes) - SHOWN_CAUSES} more causes in ops.slices")
    console.print(
        f"They are tried again. A hole that stays: dify-etl accept {quote(causes[0].name)} "
        "--reason '…'",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )


def show_accepted(console: Console, accepted: list[AcceptedHole]) -> None:
    """Holes that count in no verdict, since somebody accepted them."""
    if not accepted:
        return
    table = ShownTable(title="Accepted holes", title_justify="left")
    for heading in ("feed", "app", "days", "why", "until"):
        table.add_column(heading, overflow="fold")
    for one in accepted:
        table.add_row(*(escape(text) for text in one))
    console.print(table)


def show_differing(console: Console, differing: list[DifferingFigure]) -> None:
    """Dify's figures that our rows do not give, with both; all of them stand in the mart."""
    if not differing:
        return
    table = ShownTable(title="Figures that differ from Dify's", title_justify="left")
    for heading in ("app", "day", "metric", "figures", "what is known"):
        table.add_column(heading, overflow="fold")
    for one in differing[:SHOWN_FIGURES]:
        cells = (one.app, one.day.isoformat(), one.metric, one.figures, one.reason)
        table.add_row(*(escape(text) for text in cells))
    console.print(table)
    if len(differing) > SHOWN_FIGURES:
        more = len(differing) - SHOWN_FIGURES
        console.print(f"and {more} more in {RECONCILIATION}, where verdict is differs")
    console.print(
        f"Read again: {differing[0].command}", highlight=False, markup=False, soft_wrap=True
    )


def show_waiting(console: Console, verdict: Verdict) -> None:
    """One line on what waits in quarantine, and how to see it."""
    told = []
    if verdict.waiting:
        told.append(f"{verdict.waiting} {'object' if verdict.waiting == 1 else 'objects'}")
    if verdict.odd:
        rows = "row that is" if verdict.odd == 1 else "rows that are"
        told.append(f"odd fields of {verdict.odd} {rows} loaded and proven without them")
    if told:
        verb = "waits" if verdict.waiting == 1 and not verdict.odd else "wait"
        console.print(
            f"{' and '.join(told)} {verb} in quarantine: `dify-etl quarantine list` shows what is "
            "wrong.",
            highlight=False,
            soft_wrap=True,
        )


def show_hidden_feeds(console: Console, hidden: list[HiddenFeed]) -> None:
    """What Dify does not show to this account: no failure, but nothing to miss unknowingly."""
    if not hidden:
        return
    table = ShownTable(title="Not shown to this account", title_justify="left")
    for heading in ("feed", "apps", "to whom it is shown, and what to ask for"):
        table.add_column(heading, overflow="fold")
    for feed, apps, reason in hidden:
        table.add_row(feed, str(apps or ""), escape(reason))
    console.print(table)


def changes_by_table(reports: Sequence[FeedReport]) -> dict[str, Changes]:
    """Per raw table what all feeds of the run brought; feeds that failed early show too."""
    sums: dict[str, Changes] = {}
    for report in reports:
        for name in (report.feed, *report.table_changes):
            sums.setdefault(name, Changes())
        for name, changes in report.table_changes.items():
            sums[name] += changes
    return sums


def _states(report: FeedReport) -> str:
    return ", ".join(f"{report.states[one]} {one}" for one in STATES if report.states.get(one))
