"""Ctrl-C and SIGTERM that no library swallows."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_pressed = threading.Event()


@contextmanager
def noted_interrupts() -> Iterator[None]:
    """While the block runs, Ctrl-C is noted as well as raised; SIGTERM, by which systemd and
    containers stop, is the same.

    KeyboardInterrupt is raised in whatever runs at that moment. In a callback of Polars or DuckDB
    it is written to stderr and dropped, or comes back as another error. Where a run notes an error
    or goes on, `check_interrupt` finds out. Nothing is done on other threads than the main one, or
    where somebody else, such as Dagster, handles the signal.
    """
    is_main = threading.current_thread() is threading.main_thread()
    usual = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
    ours = {one: how for one, how in usual.items() if is_main and signal.getsignal(one) is how}
    if not ours:
        yield
        return
    _pressed.clear()
    for number in ours:
        signal.signal(number, _note)
    try:
        yield
    finally:
        for number, before in ours.items():
            signal.signal(number, before)
        _pressed.clear()


def let_interrupts_end_waits() -> None:
    """From here on Ctrl-C interrupts a read or a lock that is waited for; handlers stay.

    Polars, when it is imported, sets one with SA_RESTART: the kernel then goes on with what Ctrl-C
    interrupted, and Python never gets to raise KeyboardInterrupt.
    """
    if threading.current_thread() is threading.main_thread():
        signal.siginterrupt(signal.SIGINT, True)


def check_interrupt() -> None:
    """KeyboardInterrupt when Ctrl-C was pressed in a block of `noted_interrupts`."""
    if _pressed.is_set():
        raise KeyboardInterrupt


def _note(number: int, frame: FrameType | None) -> None:
    _pressed.set()
    raise KeyboardInterrupt
