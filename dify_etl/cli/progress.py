"""Progress of a sync: bars on a terminal, plain lines in a log."""

import time

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from dify_etl.sync.report import FeedReport

LINE_EVERY_SECONDS = 10.0


class Bars:
    """A bar per feed with steps, rows, requests and the time that is left."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description:<18}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rows]:>8} rows {task.fields[requests]:>6} requests"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> "Bars":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def tells(self, line: str) -> None:
        """Show the line above the bars."""
        self._progress.console.print(line, markup=False, highlight=False)

    def begins(self, feed: str, steps: int) -> None:
        """Show the feed's bar; further steps of the same feed make it longer."""
        if feed not in self._tasks:
            self._tasks[feed] = self._progress.add_task(feed, total=0, rows=0, requests=0)
        task = self._tasks[feed]
        total = self._progress.tasks[task].total or 0
        self._progress.update(task, total=total + steps)

    def advances(self, feed: str, *, rows: int, requests: int) -> None:
        """Move the feed's bar by one step."""
        if feed in self._tasks:
            self._progress.update(self._tasks[feed], advance=1, rows=rows, requests=requests)

    def ends(self, report: FeedReport) -> None:
        """Fill the feed's bar."""
        self.begins(report.feed, 0)
        task = self._tasks[report.feed]
        total = self._progress.tasks[task].total or 1
        rows = report.changes.new + report.changes.changed + report.changes.unchanged
        self._progress.update(
            task, total=total, completed=total, rows=rows, requests=report.requests
        )


class Lines:
    """A line when a feed begins and ends, and one every ten seconds in between."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._said_at = 0.0

    def __enter__(self) -> "Lines":
        return self

    def __exit__(self, *_: object) -> None:
        return

    def tells(self, line: str) -> None:
        """Print the line."""
        self._console.print(line, markup=False, highlight=False)

    def begins(self, feed: str, steps: int) -> None:
        """Say how much there is to fetch."""
        self._said_at = time.monotonic()
        self._console.print(f"{feed}: {steps} to fetch", highlight=False)

    def advances(self, feed: str, *, rows: int, requests: int) -> None:
        """Say how far it is, not too often."""
        if time.monotonic() - self._said_at >= LINE_EVERY_SECONDS:
            self._said_at = time.monotonic()
            self._console.print(f"{feed}: {rows} rows, {requests} requests", highlight=False)

    def ends(self, report: FeedReport) -> None:
        """Say what the feed brought."""
        changes = report.changes
        self._console.print(
            f"{report.feed}: done, {changes.new} new, {changes.changed} changed, "
            f"{changes.unchanged} unchanged, {report.requests} requests, "
            f"{report.seconds:.1f} s, {report.state}",
            highlight=False,
        )


def progress_on(console: Console) -> Bars | Lines:
    """Bars where somebody watches, lines where it goes into a file."""
    return Bars(console) if console.is_terminal else Lines(console)
