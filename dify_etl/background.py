"""Ask something while something else is done."""

from collections.abc import Callable
from concurrent.futures import Future, wait
from contextvars import copy_context
from threading import Thread
from typing import TypeVar

R = TypeVar("R")

LOOK_SECONDS = 0.2


def in_background(ask: Callable[[], R]) -> "Future[R]":
    """Ask on a daemon thread: who gives up meanwhile does not wait for the answer."""
    future: Future[R] = Future()

    def run() -> None:
        try:
            future.set_result(ask())
        except BaseException as error:
            future.set_exception(error)

    Thread(target=copy_context().run, args=(run,), daemon=True).start()
    return future


def awaited(future: "Future[R]", check: Callable[[], None]) -> R:
    """The answer, once it has come; `check` is called meanwhile, and raises what ends the wait."""
    while not wait([future], LOOK_SECONDS).done:
        check()
    return future.result()
