"""Progress of a sync: bars on a terminal, plain lines in a log."""

import threading
from collections.abc import Callable, Iterable

from rich.console import Console
from rich.progress import BarColumn, Progress, Task, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table as RichTable

from dify_etl.cli.log_line import print_line
from dify_etl.sync.report import FeedReport
from dify_etl.sync.run import NoWatcher, Seen

LINE_EVERY_SECONDS = 10.0
# The labels of the columns; with the widths below they fit into 80 columns.
HEADINGS = ("", "", "steps", "rows read", "requests", "time", "state")
_STYLES = {"proven": "green", "failed": "red", "incomplete": "red", "unproven": "yellow"}
_NOTHING = Seen(0, 0)

Look = Callable[[], Seen]


class _Labelled(Progress):
    """Bars under headings; what a feed has read so far is asked for whenever they are drawn."""

    def make_tasks_table(self, tasks: Iterable[Task]) -> RichTable:
        tasks = list(tasks)
        for task in tasks:
            seen = task.fields["look"]()
            task.fields |= {"rows": f"{seen.rows:,}", "requests": f"{seen.requests:,}"}
        table = super().make_tasks_table(tasks)
        table.show_header = bool(tasks)
        for column, heading in zip(table.columns, HEADINGS, strict=True):
            column.header = heading
            column.header_style = "dim"
        return table


class Bars:
    """A bar per feed, and for models and publication: steps, rows, requests, time, state.

    A bar is as long as the share of the steps that are done: one of a feed that failed stays so.
    """

    def __init__(self, console: Console) -> None:
        self._progress = _Labelled(
            TextColumn("{task.description}"),
            BarColumn(bar_width=10),
            TextColumn("{task.completed:,}/{task.total:,}", justify="right"),
            TextColumn("{task.fields[rows]}", justify="right"),
            TextColumn("{task.fields[requests]}", justify="right"),
            TimeElapsedColumn(),
            TextColumn("[{task.fields[style]}]{task.fields[state]}"),
            console=console,
        )
        self._tasks: dict[str, TaskID] = {}
        self._looks: dict[str, Look] = {}

    def __enter__(self) -> "Bars":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def tells(self, line: str) -> None:
        """Show the line above the bars."""
        self._progress.console.print(line, markup=False, highlight=False)

    def follows(self, feed: str, look: Look) -> None:
        """Show what the feed has read, as it goes on."""
        self._looks[feed] = look

    def begins(self, task: str, steps: int) -> None:
        """Show the bar; further steps of the same feed make it longer."""
        if task not in self._tasks:
            look = self._looks.get(task, lambda: _NOTHING)
            self._tasks[task] = self._progress.add_task(
                task, total=0, look=look, rows="", requests="", style="dim", state="reading"
            )
        shown = self._progress.tasks[self._tasks[task]]
        self._progress.update(shown.id, total=(shown.total or 0) + steps)

    def advances(self, task: str) -> None:
        """Move the bar by one step."""
        if task in self._tasks:
            self._progress.update(self._tasks[task], advance=1)

    def ends(self, report: FeedReport) -> None:
        """Say how the feed ended. Its rows are now those that it has, each counted once."""
        rows = report.changes.new + report.changes.changed + report.changes.unchanged
        self._looks[report.feed] = look = lambda: Seen(rows, report.requests)
        self.begins(report.feed, 0)
        task = self._progress.tasks[self._tasks[report.feed]]
        if not task.total and report.state != "failed":  # nothing was to be fetched, or by one call
            self._progress.update(task.id, total=1, completed=1)
        self._end(task.id, report.state, _STYLES[report.state], look)

    def is_done(self, task: str) -> None:
        """Models are built, or the copy is published."""
        if task in self._tasks:
            self._end(self._tasks[task], "done", "green", lambda: _NOTHING)

    def _end(self, task: TaskID, state: str, style: str, look: Look) -> None:
        self._progress.update(task, state=state, style=style, look=look)
        self._progress.stop_task(task)


class Lines:
    """A line when a feed begins and ends, and one every ten seconds in between, also while one list
    is walked for long.
    """

    def __init__(self, console: Console, every_seconds: float = LINE_EVERY_SECONDS) -> None:
        self._console = console
        self._every = every_seconds
        self._looks: dict[str, Look] = {}
        self._begun: set[str] = set()
        self._ended = threading.Event()
        self._teller = threading.Thread(target=self._tell_now_and_then, daemon=True)

    def __enter__(self) -> "Lines":
        self._teller.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._teller.join()

    def tells(self, line: str) -> None:
        """Print the line."""
        self._console.print(line, markup=False, highlight=False)

    def follows(self, feed: str, look: Look) -> None:
        """From now on lines tell of this feed as well."""
        self._looks = {**self._looks, feed: look}

    def begins(self, task: str, steps: int) -> None:
        """Say how much there is to do."""
        if steps and task not in self._begun:  # what is found later is told by the lines of time
            self._begun.add(task)
            self._console.print(f"{task}: {steps} to do", highlight=False)

    def advances(self, task: str) -> None:
        """Say nothing: lines come by time."""

    def ends(self, report: FeedReport) -> None:
        """Say what the feed brought."""
        self._looks = {one: look for one, look in self._looks.items() if one != report.feed}
        changes = report.changes
        self._console.print(
            f"{report.feed}: done, {changes.new} new, {changes.changed} changed, "
            f"{changes.unchanged} unchanged, {report.requests} requests, "
            f"{report.seconds:.1f} s, {report.state}",
            highlight=False,
        )

    def is_done(self, task: str) -> None:
        """Say so."""
        self._console.print(f"{task}: finished", highlight=False)

    def _tell_now_and_then(self) -> None:
        while not self._ended.wait(self._every):
            for feed, look in self._looks.items():
                seen = look()
                self._console.print(
                    f"{feed}: {seen.rows} rows read, {seen.requests} requests", highlight=False
                )


class JsonLines(NoWatcher):
    """One JSON object when a feed has ended, with its figures; and one for what is told besides."""

    def __init__(self, run_id: str) -> None:
        self._fields = {"run_id": run_id}

    def tells(self, line: str) -> None:
        """Print the line."""
        print_line(line, **self._fields)

    def ends(self, report: FeedReport) -> None:
        """Say what the feed brought."""
        changes = report.changes
        print_line(
            "feed read",
            level="warning" if report.state in ("failed", "incomplete") else "info",
            feed=report.feed,
            state=report.state,
            rows_new=changes.new,
            rows_changed=changes.changed,
            rows_unchanged=changes.unchanged,
            requests=report.requests,
            seconds=round(report.seconds, 1),
            **self._fields,
        )


def progress_on(console: Console) -> Bars | Lines:
    """Bars where somebody watches, lines where it goes into a file."""
    return Bars(console) if console.is_terminal else Lines(console)
