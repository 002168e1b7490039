"""Progress of a sync: what moves, what is said, and that it fits."""

import time
from io import StringIO

from rich.console import Console

from dify_etl.cli.progress import Bars, Lines
from dify_etl.sync.report import FeedReport
from dify_etl.sync.run import Seen
from dify_etl.warehouse.upsert import Changes


def report(feed: str, states: dict[str, int]) -> FeedReport:
    changes = {feed: Changes(new=5, unchanged=2)}
    return FeedReport(feed, changes, 0, 9, 0, 0, 1.0, states, ())


def frame(bars: Bars) -> list[str]:
    """The lines that the bars show now, at 80 columns."""
    console = Console(file=StringIO(), width=80, force_terminal=True, color_system=None)
    console.print(bars._progress.get_renderable())
    text = console.file.getvalue()  # type: ignore[attr-defined]
    return [line.rstrip() for line in text.splitlines()]


def new_bars() -> Bars:
    return Bars(Console(file=StringIO(), width=80, force_terminal=True, color_system=None))


def test_bars_have_labels_and_fit_into_80_columns() -> None:
    """The longest name and large figures are not cut."""
    bars = new_bars()
    bars.follows("workflow_versions", lambda: Seen(1_234_567, 123_456))
    bars.begins("workflow_versions", 12_345)
    heading, line = frame(bars)
    assert heading.split() == ["steps", "rows", "read", "requests", "time", "state"]
    assert line.startswith("workflow_versions ")
    assert "0/12,345" in line
    assert line.split()[-4:] == ["1,234,567", "123,456", "0:00:00", "reading"]


def test_rows_move_while_one_step_goes_on() -> None:
    """What is drawn asks the feed, whether a step has ended or not."""
    bars = new_bars()
    rows = [100]
    bars.follows("conversations", lambda: Seen(rows[0], 7))
    bars.begins("conversations", 1)
    before = frame(bars)[-1].split()
    rows[0] = 200
    after = frame(bars)[-1].split()
    assert [(one, other) for one, other in zip(before, after, strict=True) if one != other] == [
        ("100", "200")
    ]


def test_bar_of_a_failed_feed_does_not_end_full() -> None:
    """It stays where it was, and says so; one that is read whole is full."""
    bars = new_bars()
    for feed in ("apps", "members"):
        bars.begins(feed, 4)
        bars.advances(feed)
    bars.ends(report("apps", {"proven": 3, "failed": 1}))
    bars.begins("datasets", 0)
    bars.ends(report("datasets", {"proven": 1}))
    bars.begins("annotations", 0)
    bars.ends(report("annotations", {"failed": 1}))
    shown = {line.split()[0]: line for line in frame(bars)[1:]}
    assert "1/4" in shown["apps"]
    assert shown["apps"].endswith("failed")
    assert "1/1" in shown["datasets"]
    assert "0/0" in shown["annotations"]


def test_models_and_publication_are_told() -> None:
    """They are no feeds, but one waits for them."""
    bars = new_bars()
    bars.begins("building models", 58)
    bars.advances("building models")
    assert "1/58" in frame(bars)[-1]
    bars.is_done("building models")
    assert frame(bars)[-1].endswith("done")


def test_lines_come_by_time() -> None:
    """Also while the loading thread waits for one long list."""
    out = StringIO()
    with Lines(Console(file=out, width=160), every_seconds=0.02) as lines:
        lines.begins("conversations", 1)
        lines.follows("conversations", lambda: Seen(300, 3))
        deadline = time.monotonic() + 5
        while "300 rows read" not in out.getvalue() and time.monotonic() < deadline:
            time.sleep(0.01)
        lines.ends(report("conversations", {"proven": 1}))
    assert out.getvalue().splitlines()[:2] == [
        "conversations: 1 to do",
        "conversations: 300 rows read, 3 requests",
    ]
    assert "conversations: done, 5 new" in out.getvalue()
