"""Plays a history of rotations, and looks at every moment whether the promises hold."""

from collections import Counter
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from dify_etl.dify.errors import DifyError
from dify_etl.management.errors import PlanStale
from dify_etl.management.rotation.errors import RotationRefused, SinkFailed
from dify_etl.management.rotation.planning import Asked
from dify_etl.management.rotation.running import KeyRotation
from dify_etl.management.rotation.states import Rotation
from dify_etl.simulated import Faults
from dify_etl.simulated.rows import ApiKey
from dify_etl_tests.management.rotation.generated import History, Night, Server
from dify_etl_tests.management.rotation.troubles import (
    Crash,
    Mishap,
    UnluckyLedger,
    UnluckySink,
    UnluckyTrail,
)
from dify_etl_tests.management.rotation.workshop import Served, Workshop

MOST_QUIET_NIGHTS = 40


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


class Player:
    """One history over a world of its own."""

    def __init__(self, history: History, folder: Path) -> None:
        server = history.server
        self.shop = Workshop(
            folder,
            server.version,
            consumers=history.consumers,
            has_datasets=history.has_datasets,
            served=_served(server),
        )
        self.history = history
        self.seen: dict[str, ApiKey] = {}  # every key that ever was
        self.by_human: set[str] = set()
        self.deleted_by_human: set[str] = set()
        self.counts: Counter[str] = Counter()

    def play(self) -> None:
        """All nights with their troubles, then quiet nights until all is over."""
        for night in self.history.nights:
            self.shop.pass_time(hours=night.hours)
            if night.act is not None:
                self._act(night.act)
                self.shop.pass_time(minutes=30)
            self._night(night)
        self._become_quiet()
        self._check_end()

    def _night(self, night: Night) -> None:
        mishap = Mishap(self.shop, night.trouble, night.place, checked=self._check, act=self._act)
        shop = self.shop
        shop.server.faults = mishap.faults()
        rotation = replace(
            shop.rotation(),
            sinks={name: UnluckySink(sink, mishap) for name, sink in shop.sinks.items()},
            ledger=UnluckyLedger(shop, mishap),
            trail=UnluckyTrail(shop, mishap),
        )
        asked = self._asked(night)
        with suppress(Crash, RotationRefused, SinkFailed, DifyError):
            if night.act == "rollback" and self._open():
                chosen = self._open()[0].rotation_id
                rotation.roll_back(chosen, rotation.plan_rollback(chosen).plan.plan_id)
            else:
                self._apply(rotation, asked)
        shop.server.faults = Faults()
        self.counts[str(night.trouble) if mishap.happened else "nothing"] += 1
        self._check()

    def _apply(self, rotation: KeyRotation, asked: Asked) -> None:
        with suppress(PlanStale):  # a human changed something between the plan and its application
            rotation.apply(rotation.plan(asked).plan.plan_id, asked)

    def _asked(self, night: Night) -> Asked:
        if night.act != "leak":
            return Asked()
        old = [key for one in self._open() for key in one.old_key_ids]
        return Asked(compromised=frozenset(old[:1] or [self.shop.named[self._first].id]))

    @property
    def _first(self) -> str:
        return next(iter(self.shop.named))

    def _open(self) -> list[Rotation]:
        return [one for one in self.shop.ledger.rotations() if not one.is_over]

    def _act(self, act: str) -> None:
        """What a person does in the console, or a consumer with its key."""
        self._look()
        keys = self.shop.world.api_keys
        if act == "human makes a key":
            made = self.shop.add_key(self.shop.app.id)
            made.last_used_at = made.created_at  # people make keys to use them
            self.by_human.add(made.id)
        elif act == "old key is used":
            self.shop.use(self.shop.named[self._first].token)
        elif act.startswith("human deletes"):
            opened = self._open()
            ids = [one.new_key_id for one in opened]
            if act == "human deletes old key":
                ids = [key.id for key in self.shop.named.values()]
            for key_id in [one for one in ids if one in keys][:1]:
                assert key_id is not None
                self.deleted_by_human.add(key_id)
                self.shop.world.delete_api_key(key_id)

    def _look(self) -> None:
        self.seen.update(self.shop.world.api_keys)

    def _check(self) -> None:
        """Consumers have a key that works, but for keys that a human deleted; ours alone go."""
        self._look()
        keys = self.shop.world.api_keys
        alive = {key.token for key in keys.values()}
        excused = {self.seen[one].token for one in self.deleted_by_human}
        for name in self.shop.named:
            assert self.shop.held(name.upper()) in alive | excused
        gone = set(self.seen) - set(keys) - self.deleted_by_human
        assert not gone & self.by_human, "a human's key was revoked"

    def _become_quiet(self) -> None:
        for _ in range(MOST_QUIET_NIGHTS):
            self.shop.pass_time(hours=30)
            self._decide()
            self.shop.night()
            self._check()
            if not self._open() and not self.shop.rotation().plan().rotations:
                if not self._is_resting():
                    return
                self.shop.pass_time(days=8)
        raise AssertionError([(one.state, one.message) for one in self._open()])

    def _is_resting(self) -> bool:
        """Whether a target waits, since its last rotation was taken back."""
        last = {one.target_id: one for one in self.shop.ledger.rotations()}
        return any(one.state == "rolled_back" for one in last.values())

    def _decide(self) -> None:
        """What a person does about a rotation that waits for one."""
        for one in self._open():
            if one.needs_person and "cannot be observed" in one.message:
                rules = tuple(
                    rule.model_copy(update={"revoke_unobserved": True})
                    for rule in self.shop.policy.targets
                )
                self.shop.policy = self.shop.policy.model_copy(update={"targets": rules})
            elif one.needs_person and "which of these keys is ours" in one.message:
                self._exclude_human_keys()

    def _exclude_human_keys(self) -> None:
        exclude = self.shop.policy.exclude.model_copy(
            update={"key_ids": tuple(sorted(self.by_human))}
        )
        self.shop.policy = self.shop.policy.model_copy(update={"exclude": exclude})

    def _check_end(self) -> None:
        """One current key per target, no orphan, a full audit, and no key outside the sink."""
        keys = self.shop.world.api_keys
        ours = set(keys) - self.by_human
        held = {self.shop.held(name.upper()) for name in self.shop.named}
        assert {keys[key_id].token for key_id in ours} == held
        assert len(ours) == len(self.shop.named)
        entries = self.shop.audit.entries()
        told = {entry.target_id for entry in entries if entry.outcome == "verified"}
        made = set(self.seen) - self.by_human - {key.id for key in self.shop.named.values()}
        assert made - self.deleted_by_human <= told
        revoked = set(self.seen) - set(keys) - self.deleted_by_human
        assert revoked <= told
        written = self.shop.written() + str(self.shop.told).encode()
        assert [key.id for key in self.seen.values() if key.token.encode() in written] == []
