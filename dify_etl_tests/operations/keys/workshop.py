"""A small workspace with keys, a sink in a file, and everything that a rotation needs."""

import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from pydantic import SecretStr

from dify_etl.dify import DifyClient
from dify_etl.dify.http.clock import Clock
from dify_etl.dify.http.tokens import MemoryTokenStore
from dify_etl.home import Home
from dify_etl.operations.audit import AuditFile
from dify_etl.operations.keys.ledger import RotationLedger
from dify_etl.operations.keys.planning import Asked
from dify_etl.operations.keys.policy import Policy
from dify_etl.operations.keys.running import KeyRotation
from dify_etl.operations.keys.sinks.file import FileSink
from dify_etl.operations.keys.sinks.protocol import SecretSink
from dify_etl.operations.keys.states import Rotation
from dify_simulated import Faults, SimulatedDify, WorldPlan, build_world
from dify_simulated.world.build_workspace import PASSWORD
from dify_simulated.world.rows import ApiKey

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
MEMORY_DISK = Path("/dev/shm")


class Served:
    """A simulated Dify with one app and no keys, and the session of its owner."""

    def __init__(self, version: str, **options: Any) -> None:
        self.world = build_world(
            WorldPlan(seed=11, apps=1, days=0, conversations_per_day=0, now=NOW)
        )
        self.server = SimulatedDify(self.world, version, **options)
        self.store = MemoryTokenStore()

    def emptied(self) -> "Served":
        """Without keys again, at the same moment."""
        self.world.set_now(NOW)
        for key_id in list(self.world.api_keys):
            self.world.delete_api_key(key_id)
        self.server.faults = Faults()
        return self


class Workshop:
    """One home with its world. `consumers` get keys of the app; `has_datasets`: one more of them.

    Each starts with a key that is 100 days old, in the sink and named by the policy.
    """

    def __init__(
        self,
        folder: Path,
        version: str = "1.12.1",
        *,
        consumers: tuple[str, ...] = ("web",),
        has_datasets: bool = False,
        names_keys: bool = True,
        served: Served | None = None,
        **server: Any,
    ) -> None:
        served = (served or Served(version, **server)).emptied()
        self.home = Path(tempfile.mkdtemp(dir=folder))
        self.world, self.server, self.store = served.world, served.server, served.store
        self.app = next(iter(self.world.apps.values()))
        self.ledger = RotationLedger(self.home)
        self.audit = AuditFile(Home(self.home).audit)
        self.paths = {"file": self.home / "keys.env", "other": self.home / "other.env"}
        self.sinks: dict[str, SecretSink] = {"file": FileSink(self.paths["file"], "dotenv")}
        self.told: list[Any] = []
        places: list[tuple[str, str | None]] = [(name, self.app.id) for name in consumers]
        places += [("library", None)] if has_datasets else []
        self.named = {name: self.add_key(app_id, days=100) for name, app_id in places}
        (self.home / "keys.env").write_text(
            "".join(f"{name.upper()}={key.token}\n" for name, key in self.named.items())
        )
        self.policy = self._policy(places, names_keys)

    def _policy(self, places: list[tuple[str, str | None]], names_keys: bool) -> Policy:
        targets = []
        for name, app_id in places:
            scope: dict[str, Any] = {"app": app_id} if app_id else {"datasets": True}
            key_ids = [self.named[name].id] if names_keys else []
            target = {"consumer": name, "sink": "file", "entry": name.upper(), "key_ids": key_ids}
            targets.append({**target, **scope})
        sink = {"type": "file", "path": str(self.home / "keys.env")}
        return Policy.model_validate({"sinks": {"file": sink}, "targets": targets})

    def add_key(self, app_id: str | None, *, days: float = 0) -> ApiKey:
        """A key that somebody made in the console."""
        at = self.world.now() - timedelta(days=days)
        return self.world.add_api_key(tenant_id=self.world.workspace_id, at=at, app_id=app_id)

    def add_key_like(self, key: ApiKey) -> ApiKey:
        """The same, and by its first and last characters it cannot be told from another."""
        made = self.add_key(key.app_id)
        middle = made.token[10:-6]
        made.token = key.token[:10] + middle + key.token[-6:]
        return made

    def use(self, token: str) -> int:
        """A consumer calls the service API; answers the status."""
        path = "/v1/info" if token.startswith("app-") else "/v1/datasets"
        transport = httpx.WSGITransport(app=self.server)
        with httpx.Client(transport=transport, base_url="http://dify.test") as client:
            return client.get(path, headers={"authorization": f"Bearer {token}"}).status_code

    def pass_time(self, **time: float) -> None:
        """Move the world's clock."""
        self.world.set_now(self.world.now() + timedelta(**time))

    def held(self, entry: str = "WEB") -> str | None:
        """What consumers get from the sink."""
        return self.all_held().get(entry)

    def all_held(self) -> dict[str, str]:
        """Everything that consumers get from the sink, by entry."""
        return self.held_in("file")

    def held_in(self, sink: str) -> dict[str, str]:
        """Everything that consumers get from a file, by entry."""
        path = self.paths[sink]
        lines = path.read_text().splitlines() if path.exists() else []
        return dict(line.split("=", 1) for line in lines)

    def put(self, sink: str, entry: str, token: str) -> None:
        """The operator writes an entry himself."""
        held = {**self.held_in(sink), entry: token}
        self.paths[sink].write_text("".join(f"{key}={value}\n" for key, value in held.items()))

    def dify(self, **options: Any) -> DifyClient:
        """A client of the owner that never waits."""
        return DifyClient(
            "http://dify.test",
            **{
                "email": self.world.account.email,
                "password": SecretStr(PASSWORD),
                "transport": httpx.WSGITransport(app=self.server),
                "clock": Clock(sleep=lambda seconds: None, now=self.world.now),
                "fingerprint_key": b"key",
                "token_store": self.store,
                **options,
            },
        )

    def rotation(self, dify: DifyClient | None = None) -> KeyRotation:
        """The rotation of this home."""
        return KeyRotation(
            dify=dify or self.dify(),
            policy=self.policy,
            sinks=self.sinks,
            ledger=self.ledger,
            trail=self.audit,
            actor="tests",
            notify=lambda event: self.told.append(dict(event)),
        )

    def night(
        self, faults: Faults | None = None, asked: Asked | None = None
    ) -> tuple[Rotation, ...]:
        """Plan and apply, as the schedule does; the server has these faults meanwhile."""
        self.server.faults = faults or Faults()
        rotation = self.rotation()
        return rotation.apply(rotation.plan(asked).plan.plan_id, asked)

    def nights_until(self, is_done: Callable[[], bool], *, hours: float = 12) -> None:
        """Nights until something is so; fails after thirty."""
        for _ in range(30):
            if is_done():
                return
            self.pass_time(hours=hours)
            self.night()
        raise AssertionError([one.model_dump() for one in self.ledger.rotations()])

    def written(self) -> bytes:
        """Everything that the home keeps beside the sink."""
        names = ("key_rotations.sqlite", "audit.jsonl", "rotation.lock")
        paths = [self.home / name for name in names]
        return b"".join(path.read_bytes() for path in paths if path.exists())
