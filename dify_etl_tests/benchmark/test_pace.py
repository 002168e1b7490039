"""A server with few workers makes the others wait; a pace without workers makes all wait alike."""

import asyncio
from functools import partial

import pytest

from benchmark.load import in_steps
from benchmark.pace import Pace, Pacer


def answered(pace: Pace, requests: int) -> list[int]:
    """The order in which requests that came together are answered."""
    order: list[int] = []

    async def ask() -> None:
        pacer = Pacer(pace)
        for number in range(requests):
            pacer.take(partial(order.append, number), pace.seconds)
        while len(order) < requests:
            await asyncio.sleep(0)

    asyncio.run(ask())
    return order


@pytest.mark.parametrize(
    "pace", [Pace("at once", 0.0), Pace("late", 0.001), Pace("busy", 0.001, workers=2)]
)
def test_every_request_is_answered_in_its_order(pace: Pace) -> None:
    """No answer is lost or overtakes another, whatever the pace."""
    assert answered(pace, 7) == list(range(7))


def test_no_more_than_the_workers_are_busy() -> None:
    """With two workers the third request waits until the first is answered."""
    order: list[str] = []

    async def ask() -> None:
        pacer = Pacer(Pace("busy", 0.001, workers=2))
        pacer.take(partial(order.append, "first"), 0.001)
        pacer.take(partial(order.append, "second"), 0.001)
        pacer.take(partial(order.append, "third"), 0.001)
        pacer.set(Pace("at once", 0.0, workers=2))  # of those that begin later
        assert order == []
        while len(order) < 3:
            await asyncio.sleep(0)
        assert [count for _, count in pacer.flow][-1] == 0

    asyncio.run(ask())
    assert order[0] == "first"


def test_refusal_ends_with_its_time() -> None:
    """Reads are refused only between the seconds that the pace names."""
    assert Pacer(Pace("refuses", 0.0, refuses_until=60.0)).is_refusing
    assert not Pacer(Pace("refuses later", 0.0, refuses_from=60.0, refuses_until=90.0)).is_refusing
    assert not Pacer(Pace("never refuses", 0.0)).is_refusing


def test_means_over_time_are_weighed_by_how_long_a_count_held() -> None:
    """Two requests for a second and four for three are 2 in the first quarter, then 4."""
    assert in_steps([(10.0, 2), (11.0, 4), (14.0, 0)], 4) == pytest.approx([2, 4, 4, 4])
    assert in_steps([(0.0, 2), (1.0, 4), (4.0, 0)], 1) == pytest.approx([3.5])


def test_work_is_counted_by_listed_rows_and_by_calls_of_messages() -> None:
    """What a real server works on row by row takes as long as it has rows; the rest the same."""
    pace = Pace("real", 0.01, workers=2, listed_row=0.008, messages=0.03)
    rows = b'HTTP/1.1 200 OK\r\n\r\n{"data": [{"id": "1"}, {"id": "2"}, {"id": "3"}], "total": 3}'
    apps = b"/console/api/apps/4"
    works = {
        target: pace.work(apps + target, rows)
        for target in (
            b"/chat-conversations?page=1",
            b"/workflow-app-logs?page=1",
            b"/advanced-chat/workflow-runs?limit=100",
            b"/chat-messages?conversation_id=5",
            b"/workflow-runs/6",
            b"/annotations?page=1",
        )
    }
    assert list(works.values()) == pytest.approx([0.034, 0.034, 0.034, 0.04, 0.01, 0.01])
    assert Pace("20 ms", 0.02).work(apps + b"/chat-conversations?page=1", b"no answer") == 0.02
