"""Worlds that many tests begin with: each is built once in a process, and every test has a copy."""

import pickle
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

from dify_simulated import World

P = ParamSpec("P")


def built_once(make: Callable[P, World]) -> Callable[P, World]:
    """The same worlds as `make`, for which a copy takes a quarter of the time. It may not depend on
    anything but its arguments.
    """

    held: dict[bytes, bytes] = {}

    @wraps(make)
    def copied(*args: P.args, **named: P.kwargs) -> World:
        asked = pickle.dumps((args, sorted(named.items())))
        if asked not in held:
            held[asked] = pickle.dumps(make(*args, **named))
        world = pickle.loads(held[asked])
        assert isinstance(world, World)
        return world

    return copied
