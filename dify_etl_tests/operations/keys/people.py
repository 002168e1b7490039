"""What people do while keys are rotated: in the console, at their sinks, in the policy, and about
rotations that wait for them.
"""

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from dify_etl.operations.keys.errors import RotationRefused, SinkFailed
from dify_etl.operations.keys.planning import Asked
from dify_etl.operations.keys.policy import Policy
from dify_etl.operations.keys.states import Rotation
from dify_etl.operations.keys.targets import DATASETS
from dify_etl_tests.operations.keys.generated import History, Night
from dify_etl_tests.operations.keys.workshop import Workshop
from dify_simulated.world.rows import ApiKey

SLOTS = 10
GRACES = {"no grace": 0.0, "ten days of grace": 240.0}
AGES = {"keys may become older": 3650, "keys must be younger": 30}


class People:
    """They own the policy (`rules`, by consumer), and know where each consumer reads (`places`)."""

    def __init__(self, shop: Workshop, history: History) -> None:
        self.shop = shop
        self.seen: dict[str, ApiKey] = dict(shop.world.api_keys)  # every key that ever was
        self.by_human: set[str] = set()
        self.deleted: set[str] = set()
        self.uses: dict[str, list[datetime]] = {}
        self.skew = timedelta(0)  # of the clock of this machine
        self.rules: dict[str, dict[str, Any]] = {}
        self.places: dict[str, tuple[str, str]] = {}
        self.served: set[str] = set()  # consumers that have had a key
        self._denied_until = shop.world.now()
        self._denies_reads = False
        self._removed: dict[str, dict[str, Any]] = {}
        self._defaults: dict[str, Any] = {}
        self._excluded: set[str] = set()
        self._sinks = set(shop.paths)
        self._has_moved = False
        self.has_shared = False
        self._night = Night(hours=0, act=None, trouble=None, place=0)
        for name, key in shop.named.items():
            scope = {"app": key.app_id} if key.app_id else {"datasets": True}
            self._add(name, key_ids=[key.id] if history.names_keys else [], **scope)
            self.served.add(name)
        if not history.names_keys:
            self.by_human |= {key.id for key in shop.named.values()}
        self.named_ever: set[str] = set()
        self._say()

    def _add(self, name: str, **rule: Any) -> None:
        self.places[name] = ("file", name.upper())
        self.rules[name] = {"consumer": name, "sink": "file", "entry": name.upper(), **rule}

    def _say(self) -> None:
        """Write the policy."""
        paths = {name: str(self.shop.paths[name]) for name in sorted(self._sinks)}
        self.shop.policy = Policy.model_validate(
            {
                "sinks": {name: {"type": "file", "path": path} for name, path in paths.items()},
                "targets": list(self.rules.values()),
                "defaults": self._defaults,
                "exclude": {"key_ids": sorted(self._excluded)},
            }
        )
        self.named_ever |= {one for rule in self.rules.values() for one in rule["key_ids"]}

    def look(self) -> None:
        """See the keys that are there."""
        self.seen.update(self.shop.world.api_keys)

    def now(self) -> datetime:
        """What the clock of this machine shows."""
        return self.shop.world.now() + self.skew

    def denies(self, is_write: bool) -> bool:
        """Whether the sinks are denied at this moment."""
        is_on = self.shop.world.now() < self._denied_until
        return is_on and (is_write or self._denies_reads)

    def expect(self, night: Night) -> None:
        """How far a clock jumps, and how long a sink is denied, from here on."""
        self._night = night

    def act(self, act: str, rotations: Sequence[Rotation]) -> bool:
        """Do something; whether it could be done. `rotations`: those that are open."""
        self.look()
        if act.startswith("human deletes"):
            return self._delete(act, rotations)
        if act.startswith(("human makes", "human takes")):
            return self._make(act)
        if act.startswith("clock jumps"):
            days = self._night.jump_days
            self.skew += timedelta(days=days if act.endswith("ahead") else -days)
            return True
        if act.startswith("sink is denied") or act == "sink takes no writes":
            self._denied_until = self.shop.world.now() + timedelta(hours=self._night.denied_hours)
            self._denies_reads = act == "sink is denied"
            return True
        if act == "old key is used":
            self.use(self.shop.named[self.first])
            return True
        return self._change_policy(act)

    @property
    def first(self) -> str:
        """The first consumer."""
        return next(iter(self.shop.named))

    def use(self, key: ApiKey) -> None:
        """A consumer calls with a key."""
        if self.shop.use(key.token) == 200:
            self.uses.setdefault(key.id, []).append(self.shop.world.now())

    def _make(self, act: str) -> bool:
        shop, app_id = self.shop, self.shop.app.id
        count = 1
        if act == "human takes all slots":
            keys = shop.world.api_keys.values()
            count = SLOTS - len([key for key in keys if key.app_id == app_id])
        alike = self._of_first() if act.endswith("looks alike") else None
        for _ in range(count):
            made = shop.add_key_like(alike) if alike else shop.add_key(app_id)
            if act != "human makes a key for later":
                made.last_used_at = made.created_at  # people make keys to use them
            self.by_human.add(made.id)
        return count > 0

    def _of_first(self) -> ApiKey | None:
        """The key of the app that its first consumer holds."""
        sink, entry = self.places[self.first]
        token = self.shop.held_in(sink).get(entry)
        keys = self.shop.world.api_keys.values()
        app_id = self.shop.app.id
        return next((key for key in keys if key.token == token and key.app_id == app_id), None)

    def _delete(self, act: str, rotations: Sequence[Rotation]) -> bool:
        keys = self.shop.world.api_keys
        if act == "human deletes new key":
            ids = [one.new_key_id for one in rotations if one.new_key_id in keys][:1]
        elif act == "human deletes old key":
            ids = [key.id for key in self.shop.named.values() if key.id in keys][:1]
        else:
            ids = [key.id for key in keys.values() if key.app_id == self.shop.app.id]
        for key_id in ids:
            self._delete_key(str(key_id))
        return bool(ids)

    def _delete_key(self, key_id: str) -> None:
        self.deleted.add(key_id)
        self.shop.world.delete_api_key(key_id)

    def _change_policy(self, act: str) -> bool:
        name = self.first
        if act == "target added" and "extra" not in self.places:
            self._add("extra", app=self.shop.app.id, key_ids=[])
        elif act == "target added that shares a key" and "extra" not in self.places:
            sink, entry = self.places[name]
            self.shop.put("file", "EXTRA", self.shop.held_in(sink)[entry])
            self._add("extra", app=self.shop.app.id, key_ids=[])
            self.has_shared = True
        elif act == "target removed" and name in self.rules:
            self._removed[name] = self.rules.pop(name)
        elif act == "target put back" and self._removed:
            self.rules |= self._removed
            self._removed = {}
        elif act.startswith(("entry moved", "sink moved")) and name in self.rules:
            self._move(act, name)
        elif act == "sink removed":
            self._sinks = {rule["sink"] for rule in self.rules.values()}
        elif act in GRACES:
            self._defaults["grace_hours"] = GRACES[act]
        elif act in AGES:
            self._defaults["max_age_days"] = AGES[act]
        else:
            return False
        self._say()
        return True

    def _move(self, act: str, name: str) -> None:
        """A consumer reads elsewhere from here on, where the operator has put what it held."""
        sink, entry = self.places[name]
        if act == "sink moved":
            place = ("other" if sink == "file" else "file", entry)
        else:
            place = (sink, entry.removesuffix("_2") if entry.endswith("_2") else f"{entry}_2")
        token = self.shop.held_in(sink)[entry]
        self.shop.put(*place, token)
        self.places[name] = place
        self._sinks.add(place[0])
        self.rules[name] |= {"sink": place[0], "entry": place[1]}
        self._has_moved = True
        if act.endswith("its key named"):
            held = [key.id for key in self.shop.world.api_keys.values() if key.token == token]
            self.rules[name]["key_ids"] = held

    def decide(self, rotations: Sequence[Rotation]) -> Asked | None:
        """What a person does about rotations that wait for one, and asks for."""
        waiting = [one for one in rotations if one.needs_person]
        others: list[str] = []
        for one in waiting:
            if "cannot be observed" in one.message:
                for rule in (*self.rules.values(), *self._removed.values()):
                    rule["revoke_unobserved"] = True
                self._defaults["revoke_unobserved"] = True
            elif "Dify's answer was lost" in one.message:
                self._excluded |= self.by_human - self.named_ever
                self._delete_nobodys(one.message)
            elif "has no sink" in one.message:
                self._sinks.add(one.sink)
            elif "still gets it from" in one.message:
                others += [name for name in self.rules if f"{name} still gets" in one.message]
        if any("keys are taken" in one.message for one in rotations):
            self._make_room()
        self._say()
        self._adopt()
        busy = {(one.consumer, one.sink, one.entry) for one in rotations}
        free = [name for name in others if (name, *self.places[name]) not in busy]
        names = tuple(f"{self._app_of(name)} / {name}" for name in free)
        return Asked(names) if names else None

    def _app_of(self, name: str) -> str:
        return DATASETS if "datasets" in self.rules[name] else self.shop.app.name

    def _delete_nobodys(self, message: str) -> None:
        """Each of them knows which keys he made: what is left of those that are told is ours."""
        for key_id in {*self.shop.world.api_keys} - self.by_human:
            if key_id in message:
                self._delete_key(key_id)

    def _make_room(self) -> None:
        """A person deletes what people made, but for what consumers hold."""
        held = {self.shop.held_in(sink).get(entry) for sink, entry in self.places.values()}
        for key in list(self.shop.world.api_keys.values()):
            if key.id in self.by_human and key.token not in held:
                self._delete_key(key.id)

    def _adopt(self) -> None:
        """A key that a human deleted is no key of the target any more: a person says it may go."""
        if not self.deleted and not self._has_moved:
            return
        rotation = self.shop.rotation()
        with suppress(SinkFailed, RotationRefused):
            for name in self.rules:
                target = f"{self._app_of(name)} / {name}"
                plan = rotation.plan_adoption(target).plan
                if plan.steps:
                    rotation.adopt(target, plan.plan_id)
