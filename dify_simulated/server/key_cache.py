"""How the service API finds a key, and when a use of it shows: in the database, or behind a cache.

Up to 1.12 each call asks the database and writes `last_used_at` itself, once a minute at most. From
1.13 on a cache stands before it, and uses are written down every half hour by a worker.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from math import floor, isinf

from dify_simulated.versions import ServerVersion
from dify_simulated.world.rows import ApiKey
from dify_simulated.world.world import World

CACHE_SECONDS = 600.0
FLUSH_SECONDS = 1800.0
_NOTED_EVERY = timedelta(minutes=1)


class KeyCache:
    """Keys as the service API of one server sees them.

    `deleted_key_lives`: seconds for which a deleted key still opens the API from 1.13 on, when a
    call meanwhile put it back into the cache; 0 to 600. `last_used_lag`: seconds between two
    writings of `last_used_at` from 1.13 on, None = 1800; infinity: the worker is missing.
    Raises ValueError for others.
    """

    def __init__(
        self, version: ServerVersion, *, deleted_key_lives: float, last_used_lag: float | None
    ) -> None:
        if not 0 <= deleted_key_lives <= CACHE_SECONDS:
            raise ValueError(f"a deleted key lives 0 to {CACHE_SECONDS:.0f} seconds")
        if last_used_lag is not None and last_used_lag <= 0:
            raise ValueError("last_used_lag is more than 0 seconds, or None")
        self._has_cache = version.caches_keys
        self._lives = timedelta(seconds=deleted_key_lives if self._has_cache else 0)
        self._lag = FLUSH_SECONDS if last_used_lag is None else last_used_lag
        self._deleted: dict[str, tuple[ApiKey, datetime]] = {}
        self._uses: dict[str, datetime] = {}

    def find(self, world: World, token: str, kind: str, *, at: datetime) -> ApiKey | None:
        """The key that a caller shows, a deleted one too while the cache holds it."""
        rows = world.api_keys.values()
        found = next((row for row in rows if row.token == token and row.type == kind), None)
        if found is not None:
            return found
        row, until = self._deleted.get(token, (None, at))
        return row if row is not None and row.type == kind and at < until else None

    def note_deleted(self, row: ApiKey, *, at: datetime) -> None:
        """A key was deleted."""
        self._deleted[row.token] = (row, at + self._lives)

    def note_use(self, row: ApiKey, *, at: datetime) -> None:
        """A key was used."""
        now = at.replace(microsecond=0)
        if self._has_cache:
            self._uses[row.id] = now
        elif row.last_used_at is None or at - row.last_used_at >= _NOTED_EVERY:
            row.last_used_at = now

    def write_down_uses(self, world: World, *, at: datetime) -> None:
        """Let the worker write what was used before its last round."""
        if not self._uses or isinf(self._lag):
            return
        last_round = floor(at.timestamp() / self._lag) * self._lag
        due = [key_id for key_id, use in self._uses.items() if use.timestamp() <= last_round]
        for key_id in due:
            used_at = self._uses.pop(key_id)
            if key_id in world.api_keys:
                world.api_keys[key_id].last_used_at = used_at
