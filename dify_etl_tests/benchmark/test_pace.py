"""A server with few workers makes the others wait; a pace without workers makes all wait alike."""

import asyncio
from functools import partial

import pytest

from benchmark.pace import Pace, Pacer


def answered(pace: Pace, requests: int) -> list[int]:
    """The order in which requests that came together are answered."""
    order: list[int] = []

    async def ask() -> None:
        pacer = Pacer(pace)
        for number in range(requests):
            pacer.later(partial(order.append, number))
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
        pacer.later(partial(order.append, "first"))
        pacer.later(partial(order.append, "second"))
        pacer.later(partial(order.append, "third"))
        pacer.pace = Pace("at once", 0.0, workers=2)  # of those that begin later
        assert order == []
        while len(order) < 3:
            await asyncio.sleep(0)

    asyncio.run(ask())
    assert order[0] == "first"
