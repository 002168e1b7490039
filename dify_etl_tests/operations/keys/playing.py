"""Plays a history of rotations, and looks at every moment whether the promises hold."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from dify_etl.dify.client import DifyClient
from dify_etl.dify.errors import DifyError
from dify_etl.dify.http.clock import Clock
from dify_etl.dify.http.tokens import MemoryTokenStore
from dify_etl.operations.errors import PlanStale
from dify_etl.operations.keys.errors import RotationRefused, SinkFailed
from dify_etl.operations.keys.planning import Asked
from dify_etl.operations.keys.running import KeyRotation
from dify_etl.operations.keys.sinks.file import FileSink
from dify_etl.operations.keys.states import Rotation
from dify_etl.operations.keys.targets import used_sinks
from dify_etl_tests.operations.keys.generated import History, Night, Server
from dify_etl_tests.operations.keys.people import People
from dify_etl_tests.operations.keys.promises import Promises
from dify_etl_tests.operations.keys.troubles import (
    Crash,
    Mishap,
    UnluckyLedger,
    UnluckySink,
    UnluckyTrail,
)
from dify_etl_tests.operations.keys.workshop import NOW, Served, Workshop
from dify_simulated import Faults

MOST_QUIET_NIGHTS = 60
Flaw = Callable[[KeyRotation], KeyRotation]


@lru_cache
def _served(server: Server) -> Served:
    """To build a server takes longer than to play a history on it."""
    options: dict[str, object] = {}
    if server.version == "1.14.2":
        options = {
            "mask_keys": server.is_masked,
            "deleted_key_lives": server.deleted_key_lives,
            "last_used_lag": None if server.shows_uses else float("inf"),
        }
    return Served(server.version, **options)


def _none(rotation: KeyRotation) -> KeyRotation:
    return rotation


class Player:
    """One history over a world of its own. `flaw`: what is wrong with the rotation on purpose."""

    def __init__(self, history: History, folder: Path, *, flaw: Flaw = _none) -> None:
        server = history.server
        self.shop = Workshop(
            folder,
            server.version,
            consumers=history.consumers,
            has_datasets=history.has_datasets,
            served=_served(server),
        )
        self.shop.sinks["other"] = FileSink(self.shop.paths["other"], "dotenv")
        self.history = history
        self.people = People(self.shop, history)
        self.promises = Promises(self.shop, self.people, shows_uses=server.shows_uses)
        self.counts: Counter[str] = Counter()
        self._flaw = flaw
        self._mishap = self._trouble(None)
        self._dify: DifyClient | None = None
        self._wanted: Asked | None = None  # by a person, in the nights at the end

    def play(self) -> None:
        """All nights with their troubles, then nights until all is over."""
        for night in self.history.nights:
            self.shop.pass_time(hours=night.hours)
            self.people.expect(night)
            shown = self._plan_id() if night.way == "command line, late" else None
            if night.act is not None:
                self._act_before(night)
            if self._mishap.happened:
                self._mishap = self._trouble(night)
            self._night(night, shown)
        self._become_quiet()
        self.promises.check_end()

    def _act_before(self, night: Night) -> None:
        if night.act in ("rollback", "leak"):  # the run itself
            is_done = True
        else:
            is_done = self.people.act(str(night.act), self._open())
        self.counts[f"before a run: {night.act}"] += is_done
        self.shop.pass_time(minutes=30)

    def _trouble(self, night: Night | None) -> Mishap:
        return Mishap(
            self.shop,
            night.trouble if night else None,
            night.place if night else 0,
            checked=self.promises.check,
            act=lambda act: self.people.act(act, self._open()),
            wrote=self.promises.wrote,
            handed_over=self.promises.handed_over,
            denies=self.people.denies,
        )

    def _client(self) -> DifyClient:
        """With the clock of this machine, which may be wrong and may jump."""
        world = self.shop.world
        return self.shop.dify(
            token_store=MemoryTokenStore() if self.people.skew else self.shop.store,
            clock=Clock(
                sleep=lambda seconds: None,
                now=self.people.now,
                monotonic=lambda: (world.now() - NOW).total_seconds(),
            ),
        )

    def _rotation(self) -> KeyRotation:
        """As the next process has it."""
        shop, mishap = self.shop, self._mishap
        self._dify = self._dify or self._client()
        opened = used_sinks(shop.policy, shop.ledger.rotations())
        return self._flaw(
            replace(
                shop.rotation(self._dify),
                sinks={
                    name: UnluckySink(name, shop.sinks[name], mishap) for name in sorted(opened)
                },
                ledger=UnluckyLedger(shop, mishap),
                trail=UnluckyTrail(shop, mishap),
            )
        )

    def _plan_id(self) -> str | None:
        """What a person was shown; None when there was nothing to see."""
        try:
            return self._rotation().plan().plan.plan_id
        except (RotationRefused, SinkFailed, DifyError):
            return None

    def _night(self, night: Night | None = None, shown: str | None = None) -> bool:
        """One run; answers whether there was anything to do."""
        mishap, shop = self._mishap, self.shop
        waits = not mishap.happened
        shop.server.faults = mishap.faults()
        done: tuple[Rotation, ...] = ()
        before = len(self.promises.made), len(self.promises.revoked)
        try:
            done = self._run(self._rotation(), night, shown)
        except Crash:
            self._dify = None  # the next process begins with nothing in its hands
        except PlanStale:
            self.counts["stale plans"] += 1
            after = len(self.promises.made), len(self.promises.revoked)
            is_ours = mishap.trouble != "second run"
            assert before == after or not is_ours, "a stale plan changed something"
        except (RotationRefused, SinkFailed, DifyError):
            pass
        self.promises.is_handing_over = False
        shop.server.faults = Faults()
        if mishap.is_followed:
            mishap.is_followed = False
            shop.pass_time(minutes=2)
            self.people.act("human makes a key for later", self._open())
        if waits and mishap.happened:
            self.counts[str(mishap.trouble)] += 1
        self.promises.check()
        self.promises.check_proofs()
        return bool(done)

    def _run(
        self, rotation: KeyRotation, night: Night | None, shown: str | None
    ) -> tuple[Rotation, ...]:
        if night and night.act == "rollback" and self._open():
            chosen = self._open()[0].rotation_id
            planned = rotation.plan_rollback(chosen)
            return (rotation.roll_back(chosen, planned.plan.plan_id),)
        asked = self._asked(night)
        if asked == Asked() and (night is None or night.way == "schedule"):
            return self._scheduled(rotation)
        self.counts["by a plan's id"] += 1
        if shown is None or asked != Asked():
            shown = rotation.plan(asked).plan.plan_id
        return rotation.apply(shown, asked)

    def _scheduled(self, rotation: KeyRotation) -> tuple[Rotation, ...]:
        """What the assets of Dagster do, one after the other."""
        self.counts["by the schedule"] += 1
        self.promises.is_handing_over = True
        done = rotation.apply(None, revokes=False)
        self.promises.is_handing_over = False
        return (*done, *rotation.revoke())

    def _asked(self, night: Night | None) -> Asked:
        if night is None or night.act != "leak":
            return (self._wanted if night is None else None) or Asked()
        old = [key for one in self._open() for key in one.old_key_ids]
        return Asked(compromised=frozenset(old[:1] or [self.shop.named[self.people.first].id]))

    def _open(self) -> list[Rotation]:
        return [one for one in self.shop.ledger.rotations() if not one.is_over]

    def _become_quiet(self) -> None:
        """Nights in which nothing new goes wrong, until nothing is left to do."""
        for _ in range(MOST_QUIET_NIGHTS):
            self.shop.pass_time(hours=30)
            self._wanted = self.people.decide(self._open())
            waits = not self._mishap.happened
            was_busy = self._night() or (waits and self._mishap.happened)
            if not was_busy and not self._open() and not self.people.denies(True):
                if not self._is_resting():
                    return
                self.shop.pass_time(days=8)
        raise AssertionError([(one.state, one.message) for one in self._open()])

    def _is_resting(self) -> bool:
        """Whether a target waits, since its last rotation was taken back."""
        last = {one.target_id: one for one in self.shop.ledger.rotations()}
        return any(
            one.state == "rolled_back" and (self.shop.world.now() - one.updated_at).days < 8
            for one in last.values()
        )
