"""Every question at a terminal: Ctrl-C ends it, whatever libraries did to the signal."""

import getpass
import sys

import typer

from dify_etl.interrupts import let_interrupts_end_waits


def asked(prompt: str, default: str | None = None, *, on_stderr: bool = False) -> str:
    """What was typed, as it was. KeyboardInterrupt on Ctrl-C and at the end of input."""
    let_interrupts_end_waits()
    try:
        return str(typer.prompt(prompt, default=default, err=on_stderr))
    except typer.Abort:
        raise KeyboardInterrupt from None


def asked_unseen(prompt: str) -> str:
    """What was typed without an echo. KeyboardInterrupt on Ctrl-C and at the end of input."""
    let_interrupts_end_waits()
    try:
        return getpass.getpass(prompt)
    except EOFError:
        raise KeyboardInterrupt from None


def confirmed(prompt: str) -> bool:
    """Yes or no, Enter is yes. KeyboardInterrupt on Ctrl-C and at the end of input."""
    let_interrupts_end_waits()
    try:
        return typer.confirm(prompt, default=True)
    except typer.Abort:
        raise KeyboardInterrupt from None


def asked_line(prompt: str) -> str:
    """A line for a shell. KeyboardInterrupt on Ctrl-C, EOFError at the end of input."""
    let_interrupts_end_waits()
    return input(prompt)


def standard_input() -> str:
    """All of stdin. KeyboardInterrupt on Ctrl-C."""
    let_interrupts_end_waits()
    return sys.stdin.read()
