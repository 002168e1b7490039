"""Plays a history of rotations, and looks at every moment whether the promises hold."""

from collections import Counter
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from dify_etl.dify.client import DifyClient
from dify_etl.dify.errors import DifyError
from dify_etl.management.errors import PlanStale
from dify_etl.management.rotation.errors import RotationRefused, SinkFailed
from dify_etl.management.rotation.planning import Asked
from dify_etl.management.rotation.states import Rotation
from dify_etl.management.rotation.targets import DATASETS
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
        self.seen: dict[str, ApiKey] = dict(self.shop.world.api_keys)  # every key that ever was
        self.by_human: set[str] = set()
        self.deleted_by_human: set[str] = set()
        self.made: list[str] = []  # by our requests, whatever we heard of it
        self.revoked: list[str] = []
        self.proven: set[str] = set()
        self.counts: Counter[str] = Counter()
        self._mishap = self._trouble(None)
        self._dify: DifyClient | None = None

    def play(self) -> None:
        """All nights with their troubles, then nights until all is over."""
        for night in self.history.nights:
            self.shop.pass_time(hours=night.hours)
            if night.act is not None:
                self._act(night.act)
                self.counts[f"before a run: {night.act}"] += 1
                self.shop.pass_time(minutes=30)
            if self._mishap.happened:
                self._mishap = self._trouble(night)
            self._night(night)
        self._become_quiet()
        self._check_end()

    def _trouble(self, night: Night | None) -> Mishap:
        return Mishap(
            self.shop,
            night.trouble if night else None,
            night.place if night else 0,
            checked=self._check,
            act=self._act,
            wrote=self._wrote,
        )

    def _night(self, night: Night | None = None) -> bool:
        """One run; answers whether there was anything to do."""
        mishap, shop = self._mishap, self.shop
        waits = not mishap.happened
        shop.server.faults = mishap.faults()
        self._dify = self._dify or shop.dify()
        rotation = replace(
            shop.rotation(self._dify),
            sinks={name: UnluckySink(sink, mishap) for name, sink in shop.sinks.items()},
            ledger=UnluckyLedger(shop, mishap),
            trail=UnluckyTrail(shop, mishap),
        )
        done: tuple[Rotation, ...] = ()
        try:
            if night and night.act == "rollback" and self._open():
                chosen = self._open()[0].rotation_id
                planned = rotation.plan_rollback(chosen)
                done = (rotation.roll_back(chosen, planned.plan.plan_id),)
            elif night:  # shown, agreed to, done
                asked = self._asked(night)
                done = rotation.apply(rotation.plan(asked).plan.plan_id, asked)
            else:
                done = rotation.apply(None)
        except Crash:
            self._dify = None  # the next process begins with nothing in its hands
        except (RotationRefused, SinkFailed, DifyError, PlanStale):
            pass
        shop.server.faults = Faults()
        if waits and mishap.happened:
            self.counts[str(mishap.trouble)] += 1
        self._check()
        self._check_proofs()
        return bool(done)

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

    def _act(self, act: str) -> bool:
        """What a person does in the console, or a consumer with its key; whether it was there."""
        self._look()
        keys = self.shop.world.api_keys
        if act == "human makes a key":
            made = self.shop.add_key(self.shop.app.id)
            made.last_used_at = made.created_at  # people make keys to use them
            self.by_human.add(made.id)
        elif act == "old key is used":
            self.shop.use(self.shop.named[self._first].token)
        elif act.startswith("human deletes"):
            ids = [one.new_key_id for one in self._open()]
            if act == "human deletes old key":
                ids = [key.id for key in self.shop.named.values()]
            there = [one for one in ids if one is not None and one in keys]
            for key_id in there[:1]:
                self.deleted_by_human.add(key_id)
                self.shop.world.delete_api_key(key_id)
            return bool(there)
        return True

    def _wrote(self, method: str, path: str) -> None:
        """The server has done a write of ours: it was announced in the audit before."""
        entries = self.shop.audit.entries()
        if method == "POST":
            (new,) = set(self.shop.world.api_keys) - set(self.seen) - self.by_human
            self.made.append(new)
            begun = [one for one in entries if one.message.startswith("make a key")]
            assert len([one for one in begun if one.outcome == "begun"]) >= len(self.made)
        else:
            self.revoked.append(path.rsplit("/", 1)[1])
            told = [one.outcome for one in entries if one.target_id == self.revoked[-1]]
            assert "begun" in told
        self._look()

    def _look(self) -> None:
        self.seen.update(self.shop.world.api_keys)

    def _check(self) -> None:
        """Consumers have a key that works, but for keys that a human deleted; ours alone go."""
        self._look()
        keys = self.shop.world.api_keys
        alive = {key.token for key in keys.values()}
        excused = {self.seen[one].token for one in self.deleted_by_human}
        held = self.shop.all_held()
        for name in self.shop.named:
            assert held.get(name.upper()) in alive | excused, "no working key in the sink"
        gone = set(self.seen) - set(keys) - self.deleted_by_human
        assert not gone & self.by_human, "a human's key was revoked"

    def _check_proofs(self) -> None:
        """What is called proven is dead at this moment, caches or not."""
        for one in self.shop.ledger.rotations():
            if one.state == "proven" and one.rotation_id not in self.proven:
                self.proven.add(one.rotation_id)
                tokens = [self.seen[key_id].token for key_id in one.old_key_ids]
                assert all(self.shop.use(token) == 401 for token in tokens), "not dead"

    def _become_quiet(self) -> None:
        """Nights in which nothing new goes wrong, until nothing is left to do."""
        for _ in range(MOST_QUIET_NIGHTS):
            self.shop.pass_time(hours=30)
            self._decide()
            waits = not self._mishap.happened
            was_busy = self._night() or (waits and self._mishap.happened)
            if not was_busy and not self._open():
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
        self._adopt()

    def _adopt(self) -> None:
        """A key that a human deleted is no key of the target any more: a person says it may go."""
        if not self.deleted_by_human:
            return
        rotation = self.shop.rotation()
        for name in self.shop.named:
            of_datasets = self.shop.named[name].app_id is None
            target = f"{DATASETS if of_datasets else self.shop.app.name} / {name}"
            plan = rotation.plan_adoption(target).plan
            if plan.steps:
                rotation.adopt(target, plan.plan_id)
                self.counts["adopted"] += 1

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
        assert {keys[key_id].token for key_id in ours} == held, "not the one current key"
        assert len(ours) == len(self.shop.named), "a key is left over"
        told: Counter[str | None] = Counter()
        for entry in self.shop.audit.entries():
            told[entry.target_id] += entry.outcome in ("verified", "failed")
        silent = {one for one in (*self.made, *self.revoked) if not told[one]}
        assert not silent - self.deleted_by_human, "the audit does not tell what came of it"
        written = self.shop.written() + str(self.shop.told).encode()
        shown = [key.id for key in self.seen.values() if key.token.encode() in written]
        assert not shown, "a token is written down"
