"""Every question at a terminal: Ctrl-C ends it, whatever libraries did to the signal.

Polars, when it is imported, sets a handler of SIGINT with SA_RESTART: the kernel then goes on with
a read that Ctrl-C interrupted, and Python never gets to raise KeyboardInterrupt.
"""

import getpass
import signal
import sys
import threading

import typer


def asked(prompt: str, default: str | None = None, *, on_stderr: bool = False) -> str:
    """What was typed, without spaces around it. KeyboardInterrupt on Ctrl-C and at the end of
    input.
    """
    make_reads_interruptible()
    try:
        return str(typer.prompt(prompt, default=default, err=on_stderr)).strip()
    except typer.Abort:
        raise KeyboardInterrupt from None


def asked_unseen(prompt: str) -> str:
    """What was typed without an echo. KeyboardInterrupt on Ctrl-C and at the end of input."""
    make_reads_interruptible()
    try:
        return getpass.getpass(prompt)
    except EOFError:
        raise KeyboardInterrupt from None


def confirmed(prompt: str) -> bool:
    """Yes or no, Enter is yes. KeyboardInterrupt on Ctrl-C and at the end of input."""
    make_reads_interruptible()
    try:
        return typer.confirm(prompt, default=True)
    except typer.Abort:
        raise KeyboardInterrupt from None


def asked_line(prompt: str) -> str:
    """A line for a shell. KeyboardInterrupt on Ctrl-C, EOFError at the end of input."""
    make_reads_interruptible()
    return input(prompt)


def standard_input() -> str:
    """All of stdin. KeyboardInterrupt on Ctrl-C."""
    make_reads_interruptible()
    return sys.stdin.read()


def make_reads_interruptible() -> None:
    """From here on Ctrl-C interrupts a read that waits. The handler itself stays as it is."""
    if threading.current_thread() is threading.main_thread():
        signal.siginterrupt(signal.SIGINT, True)
