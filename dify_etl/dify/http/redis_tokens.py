"""Sessions in Redis, for several machines. Loaded only where a setting names it."""

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import redis
from redis.exceptions import LockError, RedisError

from dify_etl.dify.errors import TokenStoreFailed
from dify_etl.dify.http.tokens import (
    KEEP_SECONDS,
    LOCK_SECONDS,
    SessionTokens,
    from_json,
    to_json,
    unknown_store,
)

log = logging.getLogger(__name__)


class RedisTokenStore:
    """Keeps sessions in Redis, for several machines; entries end with the refresh token's life."""

    def __init__(self, url: str, *, lock_seconds: float = LOCK_SECONDS) -> None:
        try:
            self._redis = redis.Redis.from_url(url, socket_timeout=5, socket_connect_timeout=5)
        except ValueError as error:
            raise unknown_store() from error
        self._lock_seconds = lock_seconds

    def load(self, key: str) -> SessionTokens | None:
        """The kept session, or None. Raises TokenStoreFailed when Redis cannot be reached."""
        with self._reached():
            kept = self._redis.get(_redis_key(key))
        try:
            return from_json(json.loads(kept)) if isinstance(kept, bytes) else None
        except ValueError:
            return None

    def save(self, key: str, tokens: SessionTokens) -> None:
        """Keep a session for 30 days. Raises TokenStoreFailed."""
        with self._reached():
            self._redis.set(_redis_key(key), json.dumps(to_json(tokens)), ex=KEEP_SECONDS)

    @contextmanager
    def locked(self, key: str) -> Iterator[None]:
        """Hold a lock in Redis; it ends by itself when its holder dies."""
        name, seconds = f"{_redis_key(key)}:lock", self._lock_seconds
        lock = self._redis.lock(name, timeout=seconds, blocking_timeout=seconds)
        with self._reached():
            if not lock.acquire():
                raise self._failed("another process holds the lock of the session")
        try:
            yield
        finally:
            self._release(lock.release)

    def _release(self, release: Callable[[], Any]) -> None:
        try:
            release()
        except LockError:
            log.warning("the lock of the session in Redis ended before the renewal did")
        except RedisError as error:
            log.warning(
                "the lock of the session in Redis stays until it ends: %s", type(error).__name__
            )

    @contextmanager
    def _reached(self) -> Iterator[None]:
        try:
            yield
        except RedisError as error:
            raise self._failed(f"Redis cannot be used ({type(error).__name__})") from None

    def _failed(self, what: str) -> TokenStoreFailed:
        kwargs = self._redis.connection_pool.connection_kwargs
        return TokenStoreFailed(
            what,
            where=f"Redis at {kwargs.get('host', kwargs.get('path'))}:{kwargs.get('port', '')}",
            hint="Start Redis, correct the address or its password, or keep the session in a file.",
        )

    def __repr__(self) -> str:
        return "RedisTokenStore(...)"


def _redis_key(key: str) -> str:
    return f"dify-etl:session:{key}"
