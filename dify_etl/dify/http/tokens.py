"""Keep a session between runs: in memory, in a file, or in Redis.

A refresh token works once, so whoever renews a session holds the store's lock meanwhile.
"""

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Literal, Protocol

from dify_etl.dify.errors import TokenStoreFailed
from dify_etl.private_files import (
    ADVICE_WITHOUT_LOCKS,
    LockHeld,
    LockUnavailable,
    process_lock,
    replace_file,
)

log = logging.getLogger(__name__)

LOCK_SECONDS = 120.0  # longest wait for, and hold of, a lock between processes
KEEP_SECONDS = 30 * 24 * 3600  # Dify's default life of a refresh token


@dataclass(frozen=True)
class SessionTokens:
    """What Dify gave at login or refresh. `renew_at`: aware UTC, when to refresh unasked."""

    access_token: str = field(repr=False)
    refresh_token: str | None = field(default=None, repr=False)
    csrf_token: str | None = field(default=None, repr=False)
    cookie_prefix: str = ""  # "__Host-" when Dify serves https only
    renew_at: datetime | None = None
    source: Literal["login", "refresh", "store"] = "login"
    password_mark: str | None = field(default=None, repr=False)  # of the password it was made with


class TokenStore(Protocol):
    """Where sessions are kept, by a key that names server and account."""

    def load(self, key: str) -> SessionTokens | None:
        """The kept session, or None. Raises TokenStoreFailed."""

    def save(self, key: str, tokens: SessionTokens) -> None:
        """Keep a session; call it inside `locked`. Raises TokenStoreFailed."""

    def locked(self, key: str) -> AbstractContextManager[None]:
        """Hold the right to renew this session, against other processes too."""


class MemoryTokenStore:
    """Keeps sessions as long as the process lives."""

    def __init__(self) -> None:
        self._tokens: dict[str, SessionTokens] = {}
        self._lock = threading.Lock()

    def load(self, key: str) -> SessionTokens | None:
        """The kept session, or None."""
        return self._tokens.get(key)

    def save(self, key: str, tokens: SessionTokens) -> None:
        """Keep a session."""
        self._tokens[key] = tokens

    def locked(self, key: str) -> AbstractContextManager[None]:
        """One renewal at a time in this process."""
        return _held(self._lock)


@contextmanager
def _held(lock: threading.Lock) -> Iterator[None]:
    with lock:
        yield


class FileTokenStore:
    """Keeps sessions in a JSON file of mode 0600, with a lock file beside it."""

    def __init__(
        self,
        path: Path,
        *,
        lock_seconds: float = LOCK_SECONDS,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._path = path
        self._lock_seconds = lock_seconds
        self._sleep = sleep

    def load(self, key: str) -> SessionTokens | None:
        """The kept session, or None. Raises TokenStoreFailed when the file cannot be read."""
        return from_json(self._all().get(key))

    def save(self, key: str, tokens: SessionTokens) -> None:
        """Replace the file as a whole, so that no reader ever sees half of it."""
        try:
            kept = {**self._all(), key: to_json(tokens)}
            replace_file(self._path, json.dumps(kept).encode())
        except OSError as error:
            raise self._failed("written", error) from error

    def locked(self, key: str) -> AbstractContextManager[None]:
        """Hold the lock file; raises TokenStoreFailed when another process keeps it too long."""
        return process_lock(
            Path(f"{self._path}.lock"),
            wait_seconds=self._lock_seconds,
            refused=partial(self._failed, "locked"),
            sleep=self._sleep,
        )

    def _all(self) -> dict[str, Any]:
        try:
            kept = json.loads(self._path.read_text("utf-8"))
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise self._failed("read", error) from error
        except ValueError:
            log.warning("the session file %s is damaged; logging in anew", self._path)
            return {}
        return kept if isinstance(kept, dict) else {}

    def _failed(self, verb: str, error: OSError | LockHeld) -> TokenStoreFailed:
        reason = (
            f"another process holds it: {error}" if isinstance(error, LockHeld) else error.strerror
        )
        return TokenStoreFailed(
            f"the session file cannot be {verb}: {reason}",
            where=str(self._path),
            hint=f"{ADVICE_WITHOUT_LOCKS} Or set DIFY_TOKEN_STORE=memory."
            if isinstance(error, LockUnavailable)
            else "Free disk space, fix its permissions, end the other process, or keep the session "
            "elsewhere.",
        )


def unknown_store() -> TokenStoreFailed:
    """The error of a setting that names no store."""
    return TokenStoreFailed(
        "unknown kind of token store",
        where="token store setting",
        hint="Use memory, file, file:/path/to/session.json or redis://host:6379/0.",
    )


def to_json(tokens: SessionTokens) -> dict[str, Any]:
    """The session as JSON, for a store."""
    renew_at = tokens.renew_at.timestamp() if tokens.renew_at else None
    return {**asdict(tokens), "renew_at": renew_at}


def from_json(kept: Any) -> SessionTokens | None:
    """The session out of its JSON; None when it is of another shape, so that we log in anew."""
    try:
        renew_at = datetime.fromtimestamp(kept["renew_at"], UTC) if kept["renew_at"] else None
        return replace(SessionTokens(**kept), renew_at=renew_at)
    except (TypeError, KeyError, ValueError):
        return None
