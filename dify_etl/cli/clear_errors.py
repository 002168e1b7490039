"""How a command ends when something goes wrong: one clear message, and an exit code."""

import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from dify_etl.cli.consoles import err
from dify_etl.cli.error_messages import ErrorMessage, print_error, print_error_line
from dify_etl.errors import ActionableError, is_interrupt

Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]

# The exit codes, as the README lists them.
NOT_WHOLE = FAILED = 1
WRONG_USE = 2
NOTHING_PUBLISHED = 3
INTERRUPTED = 130
# Of several commands the last of these counts. What may pass by itself comes before what a person
# has to set right; whoever stopped it knows that the rest was not tried.
FROM_GOOD_TO_BAD = (0, NOT_WHOLE, NOTHING_PUBLISHED, WRONG_USE, INTERRUPTED)
EXIT_CODES = (
    "Exit codes: 0 all is well; 1 something is to be looked at (a sync: not whole; else: it "
    "failed, or a list is not empty that should be); 2 wrong usage or settings; 3 a sync published "
    "nothing; 130 interrupted, what was committed is kept. `dify-etl docs NAME` tells more of an "
    "error, by the name that stands before the colon."
)
STOPPED = "Stopped. What was committed is kept; the next run reads the rest."


def worst(codes: Iterable[int]) -> int:
    """The exit code of several commands together; 0 of none."""
    return max(codes, key=FROM_GOOD_TO_BAD.index, default=0)


@contextmanager
def clear_errors(
    *, debug: bool, failed: int = FAILED, as_lines: bool = False, stopped: str = STOPPED
) -> Iterator[None]:
    """One clear message instead of a traceback; exit code 2 for wrong usage and settings, 130 for
    Ctrl-C (said as `stopped`), `failed` for the rest. With `as_lines` the message is a line of a
    JSON log.
    """
    try:
        with clear_interrupt(stopped):
            yield
    except typer.Exit:
        raise
    except Exception as error:
        if is_interrupt(error) or isinstance(error, typer.Abort):
            err.print(stopped)
            raise typer.Exit(INTERRUPTED) from None
        if debug:
            err.print_exception()
        if as_lines:
            print_error_line(message_of(error))
        else:
            print_error(err, message_of(error))
        raise typer.Exit(_exit_code(error, failed)) from None


@contextmanager
def clear_interrupt(stopped: str = STOPPED) -> Iterator[None]:
    """One line for Ctrl-C, and exit code 130, whatever Typer makes of it in its releases."""
    try:
        yield
    except KeyboardInterrupt:
        err.print(stopped)
        raise typer.Exit(INTERRUPTED) from None


def message_of(error: Exception) -> ErrorMessage:
    """What is shown of an error; of one that nobody foresaw, where it was raised."""
    if isinstance(error, ActionableError):
        return ErrorMessage.of(error)
    frame = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{frame.filename}, line {frame.lineno}"
    return ErrorMessage.of_bug(type(error).__name__, str(error), where=where)


def _exit_code(error: Exception, failed: int) -> int:
    from dify_etl.operations.errors import InputWrong, TargetUnknown
    from dify_etl.operations.keys.errors import PolicyWrong
    from dify_etl.settings import SettingWrong
    from dify_etl.sync.errors import WindowWrong
    from dify_etl.warehouse.errors import ExportRefused, QueryWrong

    wrong_use = SettingWrong | WindowWrong | InputWrong | TargetUnknown | PolicyWrong
    wrong_use |= QueryWrong | ExportRefused
    return WRONG_USE if isinstance(error, wrong_use) else failed
