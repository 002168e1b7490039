"""The report says what was measured, what was lost, and which targets were missed."""

from dataclasses import replace

import pytest

from benchmark.losses import losses_of, merged
from benchmark.markdown_table import table
from benchmark.profiling import OTHER, shares
from benchmark.rates import median_rate
from benchmark.report import report
from benchmark.results import (
    FeedTime,
    FirstLoad,
    Load,
    Losses,
    MovingWorld,
    Night,
    Processing,
    Results,
    Run,
    typical,
)
from benchmark.targets import verdicts

ALL_THERE = {"conversations": Losses(200, 0, 0), "messages": Losses(1000, 0, 0)}
FEEDS = (FeedTime("conversations", 3.0, 80), FeedTime("messages", 7.0, 217))
OURS = Run("dify-etl", 8, 10.5, 6.0, 250_000_000, 300, ALL_THERE, 29.0, FEEDS)
FLOOR = Run("floor", 8, 10.0, 2.0, 60_000_000, 300, median_rate=30.0)
DLT = Run("dlt", 8, 31.5, 20.0, 10**9, 280, {"messages": Losses(1000, 60, 2)})
LOAD = FirstLoad("200 conversations, 1,000 messages", "20 ms", 3, (OURS, FLOOR, DLT))
NIGHTS = (
    Night("dify-etl", 30, 200, 0, 30, 1.0, 8, 0.3),
    Night("dlt, lag of 7 days", 30, 200, 0, 400, 9.0),
    Night("dlt, no lag", 30, 200, 0, 9, 1.0),
)
NIGHT = FirstLoad("200 conversations", "a real Dify's work", 1, (OURS, FLOOR))


@pytest.fixture
def results() -> Results:
    return Results(
        size="small",
        machine={"cores": "2"},
        versions={"dlt": "1.2.3"},
        loads=(LOAD,),
        with_runs=(),
        moving=(MovingWorld("dlt", 10, DLT.losses, ALL_THERE),),
        settled=NIGHTS,
        settled_beside_floor=NIGHT,
        history=NIGHTS[:1],
        load=(Load("works on 2 at a time", 32, 0.5, (1.0, 2.5, 2.5, 5.0), ALL_THERE),),
        processing=Processing(5, 1000, 80_000.0, 90_000.0, 70_000.0, 31_500.0),
        memory=(OURS,),
        profile=(("sending", 0.4),),
        seconds=300.0,
    )


def test_good_results_meet_every_target(results: Results) -> None:
    """The numbers of the fixture are good enough for all targets."""
    assert [one.target for one in verdicts(results) if not one.is_met] == []


def test_slow_and_hungry_results_miss_their_targets(results: Results) -> None:
    """Each target is missed by the number that concerns it."""
    slow = replace(OURS, seconds=16.0, peak_bytes=700_000_000)
    missed = replace(
        results,
        loads=(replace(LOAD, runs=(slow, FLOOR, replace(DLT, seconds=15.0))),),
        settled_beside_floor=replace(NIGHT, runs=(slow, FLOOR)),
        settled=(replace(NIGHTS[0], requests=41), *NIGHTS[1:]),
        processing=replace(results.processing, all=24_000.0),
        memory=(slow,),
    )
    assert [one.is_met for one in verdicts(missed)] == [False] * 6


def test_report_tells_losses_and_versions(results: Results) -> None:
    """Lost and doubled rows stand in the reader's line, versions at the end."""
    text = report(results)
    assert "| dlt x8 | 31.50 | 3.00 | 20.0 | 280 | 30 | 1,000 | 60 messages | 2 messages |" in text
    assert "| dlt | 1.2.3 |" in text


def test_report_tells_where_the_seconds_beyond_the_floor_go(results: Results) -> None:
    """Each feed's seconds beside those of its requests at the floor's rate; what is no feed's."""
    text = report(results)
    assert "at full speed dify-etl 29, the floor 30" in text
    assert "| login, tables, closing | 3 | 0.50 | 0.10 | 0.40 |" in text
    assert "| conversations | 80 | 3.00 | 2.67 | 0.33 |" in text
    assert "| all | 300 | 10.50 | 10.00 | 0.50 |" in text


def test_rate_at_full_speed_is_that_of_the_median_half_second() -> None:
    """A slow begin and a pause do not count; nothing at all is no rate."""
    moments = [0.1, *(second / 100 for second in range(50, 250)), 3.1]
    assert median_rate(moments) == 100.0
    assert median_rate([]) == 0.0


def test_load_is_drawn_against_time(results: Results) -> None:
    """The median fills half of the height; more than twice the median is cut."""
    line = "| works on 2 at a time | `▂▄▄█` | 2.5 | 5.0 | 2 | 0 |"
    assert line in report(results)


def test_every_line_of_a_table_has_as_many_cells() -> None:
    """A table in Markdown stays a table."""
    lines = table(("a", "b"), [("1", "2"), ("3", "4")]).splitlines()
    assert {line.count("|") for line in lines} == {3}


def test_losses_are_counted_by_id() -> None:
    """A missing id is lost, a repeated one doubled; conversations of all apps count together."""
    expected = merged([("conversations", "a"), ("completions", "b"), ("messages", "m")])
    found = losses_of(expected, {"conversations": ["a", "a"], "messages": ["m"]})
    assert found == {"conversations": Losses(2, 1, 1), "messages": Losses(1, 0, 0)}


def test_run_in_the_middle_stands_for_equal_runs() -> None:
    """One slow run of three does not count, and all figures are those of one run."""
    runs = [replace(OURS, seconds=seconds, requests=int(seconds)) for seconds in (2.0, 90.0, 1.0)]
    assert (typical(runs).seconds, typical(runs).requests) == (2.0, 2)


def test_innermost_known_frame_names_the_step() -> None:
    """httpx called by the client is sending; imports are their own; the start does not count."""
    reading, fetching = "read (benchmark/read_with_dify_etl.py:55)", "run (threading.py:1)"
    lines = [
        f"{fetching};read (dify_etl/dify/http/session.py:1);send (httpx/_client.py:9) 3",
        f"{reading};load (<frozen importlib._bootstrap>:1);x (polars/a.py:2) 1",
        "<module> (benchmark/read_with_dify_etl.py:9);x (polars/a.py:2) 96",
    ]
    assert [share for _, share in shares(lines)] == [0.75, 0.25]
    assert shares(lines)[1][0] == OTHER
