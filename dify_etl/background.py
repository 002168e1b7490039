"""Ask something while something else is done."""

from collections.abc import Callable
from concurrent.futures import Future
from contextvars import copy_context
from threading import Thread
from typing import TypeVar

R = TypeVar("R")


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
