"""What Dify does not show to this account: said in the ledger, and neither failed nor tried less.

A slice that a role cannot see is unproven: nothing is wrong with the read, and only an owner can
change it. It stays due, so it is read as soon as the account may.
"""

from collections.abc import Callable
from threading import Lock
from typing import Protocol, TypeVar

from dify_etl.dify.errors import DifyError, NotShown
from dify_etl.sync.run import Sync


class OfApp(Protocol):
    """A row of an app."""

    @property
    def app_id(self) -> str:
        """The app."""


R = TypeVar("R")
S = TypeVar("S")
T = TypeVar("T", bound=OfApp)

# How the reason of every such slice begins.
NOT_SHOWN = "not shown to this account"


def role_of(sync: Sync) -> str | None:
    """The account's role in the workspace when the run began; None when Dify tells none."""
    role = sync.database.value("SELECT role FROM ops.source")
    return None if role is None else str(role)


def why_not_shown(sync: Sync, error: DifyError | None) -> str | None:
    """The reason of a slice that our role is not shown: what, to whom, where, and what to ask
    for. None for every other error.
    """
    return not_shown_reason(error, role_of(sync)) if isinstance(error, NotShown) else None


def not_shown_reason(error: NotShown, role: str | None) -> str:
    """That reason, for a thread of its own, which may not ask the database for the role."""
    who = f" ({role})" if role else ""
    advice = error.right.advice_for(role)
    return f"{NOT_SHOWN}{who}: {error.right.sentence} [GET {error.route}] {advice}"


class Refusals:
    """Remembers which apps or datasets Dify refused in one feed: it is not asked again for each of
    their rows. Thread-safe.
    """

    def __init__(self) -> None:
        self._refused: dict[str, NotShown] = {}
        self._lock = Lock()

    def asking(self, fetch: Callable[[T], R]) -> Callable[[T], R]:
        """`fetch` for a row of an app; the NotShown of an earlier row is raised without asking."""
        return self.asking_of(lambda row: row.app_id, fetch)

    def asking_of(self, owner: Callable[[S], str], fetch: Callable[[S], R]) -> Callable[[S], R]:
        """The same for rows of what `owner` tells."""

        def ask(row: S) -> R:
            with self._lock:
                known = self._refused.get(owner(row))
            if known is not None:
                raise known.with_traceback(None)
            try:
                return fetch(row)
            except NotShown as error:
                with self._lock:
                    self._refused[owner(row)] = error
                raise

        return ask
