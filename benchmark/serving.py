"""Start the server as a process of its own, and steer it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import httpx

from benchmark.pace import Pace
from benchmark.server import ServedWorld


@dataclass(frozen=True)
class Served:
    """A running server of the benchmark."""

    base_url: str
    account: dict[str, str]

    def set_pace(self, pace: Pace) -> None:
        """From now on answer at this pace."""
        self._order("pace", asdict(pace))

    def asked(self) -> list[str]:
        """The targets of all reads since this was last asked."""
        return list(self._order("asked"))

    def flow(self) -> list[tuple[float, int]]:
        """Unanswered requests at each change, with the seconds since the pace was set."""
        return [(seconds, count) for seconds, count in self._order("flow")]

    def ids(self) -> list[tuple[str, str]]:
        """Every row that can be read now, as (table, id)."""
        return [(table, row_id) for table, row_id in self._order("ids")]

    def advance(self, seconds: float) -> None:
        """Let the world's clock go on."""
        self._order("advance", {"seconds": seconds})

    def touch(self, share: float) -> int:
        """A new message in this share of the conversations; answers in how many."""
        return int(self._order("touch", {"share": share}))

    def touch_every(self, reads: int) -> None:
        """Change the world at every so many reads; 0 = never."""
        self._order("touch-every", {"reads": reads})

    def _order(self, name: str, details: dict[str, Any] | None = None) -> Any:
        return _order(self.base_url, name, details or {})


@contextmanager
def serving(world: ServedWorld) -> Iterator[Served]:
    """Build and serve a world while the block runs."""
    command = [sys.executable, "-m", "benchmark.server", world.as_json()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            port = server.stdout.readline().strip()
            if not port:
                raise RuntimeError(f"the server of {world} did not start")
            base_url = f"http://127.0.0.1:{port}"
            yield Served(base_url, _order(base_url, "account", {}))
        finally:
            server.kill()


def _order(base_url: str, name: str, details: dict[str, Any]) -> Any:
    answer = httpx.post(f"{base_url}/-/{name}", content=json.dumps(details), timeout=300)
    return answer.raise_for_status().json()
