"""How a sync speaks: tables and bars for people, or one JSON object per line for machines."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, Protocol

from rich.console import Console

from dify_etl.cli.consoles import err, teller
from dify_etl.cli.error_messages import ErrorMessage, print_error, print_error_line
from dify_etl.cli.log_line import line_teller, print_line

# Said long after the first request, which waits for the import of nothing that it does not need.
if TYPE_CHECKING:
    from dify_etl.cli.summary import SyncOutcome
    from dify_etl.sync.run import Watcher


class Voice(Protocol):
    """What a sync has to say, and to whom."""

    def tell(self, line: str) -> None:
        """What it says of itself: server, workspace, home."""

    def warn(self, line: str) -> None:
        """What may be wrong and ends nothing."""

    def watch(self) -> AbstractContextManager["Watcher"]:
        """Who is told how far it is."""

    def outcome(self, outcome: "SyncOutcome", seconds: float) -> None:
        """What came of it."""

    def error(self, message: ErrorMessage) -> None:
        """What went wrong."""


class TextVoice:
    """For people: the answer to stdout, what went wrong to stderr."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self.tell: Callable[[str], None] = teller(console)
        self.warn: Callable[[str], None] = teller(err)

    def watch(self) -> AbstractContextManager["Watcher"]:
        """Bars on a terminal, else lines."""
        from dify_etl.cli.progress import progress_on

        return progress_on(self._console)

    def outcome(self, outcome: "SyncOutcome", seconds: float) -> None:
        """A table of the feeds, and all of the verdict."""
        from dify_etl.cli.summary import show_summary, show_verdict

        show_summary(self._console, outcome.reports, seconds)
        show_verdict(self._console, outcome.verdict)
        self._errors(outcome)

    def error(self, message: ErrorMessage) -> None:
        """Three lines."""
        print_error(err, message)

    def _errors(self, outcome: "SyncOutcome") -> None:
        from dify_etl.cli.summary import broken_messages

        for message in [*outcome.messages, *broken_messages(outcome.verdict)]:
            self.error(message)


class JsonVoice:
    """For machines: a JSON object per line on stdout, each with the run's id, as in `ops.runs`."""

    def __init__(self, run_id: str) -> None:
        self._run_id = run_id
        self.tell: Callable[[str], None] = line_teller(run_id=run_id)
        self.warn: Callable[[str], None] = line_teller(level="warning", run_id=run_id)

    def watch(self) -> AbstractContextManager["Watcher"]:
        """Lines of the feeds."""
        from dify_etl.cli.progress import JsonLines

        return nullcontext(JsonLines(self._run_id))

    def outcome(self, outcome: "SyncOutcome", seconds: float) -> None:
        """A line per cause that is not whole, per error, and one that sums up."""
        from dify_etl.cli.summary import broken_messages

        verdict = outcome.verdict
        for one in verdict.bad:
            told: dict[str, Any] = {"feed": one.feed, "app": one.app, "days": one.days}
            told |= {"state": one.state, "since": one.since, "reason": one.reason}
            print_line("not read whole", level="error", run_id=self._run_id, **told)
        for message in [*outcome.messages, *broken_messages(verdict)]:
            self.error(message)
        is_good = outcome.is_published and verdict.is_good and not outcome.messages
        print_line(
            "sync ended",
            level="info" if is_good else "error",
            run_id=self._run_id,
            is_published=outcome.is_published,
            is_whole=is_good,
            seconds=round(seconds, 1),
            not_whole=len(verdict.bad),
            accepted=len(verdict.accepted),
            in_quarantine=verdict.waiting + verdict.odd,
            figures_that_differ=len(verdict.differing),
        )

    def error(self, message: ErrorMessage) -> None:
        """One line with what, where and what to do."""
        print_error_line(message, run_id=self._run_id)


def voice_of(console: Console, run_id: str, *, is_json: bool) -> Voice:
    """The voice that the settings want."""
    return JsonVoice(run_id) if is_json else TextVoice(console)
