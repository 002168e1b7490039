"""What is promised at every moment of a history, and at its end."""

from collections import Counter
from datetime import datetime, timedelta

from dify_etl.operations.audit import AuditEntry
from dify_etl.operations.keys.states import Rotation
from dify_etl_tests.operations.keys.people import People
from dify_etl_tests.operations.keys.workshop import Workshop

SECOND = timedelta(seconds=2)  # Dify tells its time in whole ones


class Promises:
    """Compares the world with the sinks, the audit and what people did."""

    def __init__(self, shop: Workshop, people: People, *, shows_uses: bool) -> None:
        self._shop, self._people, self._shows_uses = shop, people, shows_uses
        self.made: list[str] = []  # by our requests, whatever we heard of it
        self.revoked: list[str] = []
        self.is_handing_over = False  # a run that revokes nothing
        self._proven: set[str] = set()
        self._handed_over: dict[str, datetime] = {}  # since when consumers have got a token

    def handed_over(self, sink: str, entry: str) -> None:
        """An entry got a key from us."""
        token = self._shop.held_in(sink)[entry]
        self._handed_over.setdefault(token, self._shop.world.now())

    def wrote(self, method: str, path: str) -> None:
        """The server has done a write of ours: it was announced in the audit before."""
        entries = self._shop.audit.entries()
        people = self._people
        if method == "POST":
            (new,) = set(self._shop.world.api_keys) - set(people.seen) - people.by_human
            self.made.append(new)
            begun = [one for one in entries if one.message.startswith("make a key")]
            told = [one for one in begun if one.outcome == "begun"]
            assert len(told) >= len(self.made), "a key was made without a word in the audit"
        else:
            key_id = path.rsplit("/", 1)[1]
            self.revoked.append(key_id)
            self._check_deletion(key_id, [one for one in entries if one.target_id == key_id])
        people.look()

    def _check_deletion(self, key_id: str, told: list[AuditEntry]) -> None:
        """It was announced, the key was ours or named, and it was time."""
        people = self._people
        begun = [one for one in told if one.outcome == "begun" and "delete key" in one.message]
        assert begun, "a key was deleted without a word in the audit"
        assert key_id in {*self.made, *people.named_ever}, "a key was deleted that is nobody's"
        by = [
            one
            for one in self._shop.ledger.rotations()
            if f"rotation {one.rotation_id}]" in begun[-1].message
        ]
        assert by, "a key was deleted by no rotation of the ledger"
        if key_id in by[0].old_key_ids:
            assert not self.is_handing_over, "a key was revoked in the run that only hands over"
            self._check_time(key_id, by[0])
        else:
            assert key_id == by[0].new_key_id, "a key was deleted that its rotation does not know"

    def _check_time(self, key_id: str, rotation: Rotation) -> None:
        """The grace period was over by Dify's clock, and nobody was seen to use the key."""
        new = self._people.seen[rotation.new_key_id or ""].token
        assert new in self._handed_over, "revoked before the new key was handed over"
        if rotation.is_compromised:
            return
        now, grace = self._shop.world.now(), self._grace(rotation)
        assert now - self._handed_over[new] >= grace - SECOND, "revoked within the grace period"
        if not self._shows_uses:
            return
        is_late = self._shop.server.version.caches_keys
        lag = timedelta(minutes=31) if is_late else timedelta(minutes=2)
        ago = [now - at for at in self._people.uses.get(key_id, [])]
        quiet = max(grace, 2 * lag)
        assert not [one for one in ago if lag < one < quiet - SECOND], "revoked while it was used"

    def _grace(self, rotation: Rotation) -> timedelta:
        policy, place = self._shop.policy, (rotation.consumer, rotation.sink, rotation.entry)
        for rule in policy.targets:
            if (rule.consumer, rule.sink, rule.entry) == place:
                return policy.grace(rule)
        return rotation.grace

    def check(self) -> None:
        """Consumers have a key that works, but for keys that a human deleted; ours alone go."""
        people = self._people
        people.look()
        keys = self._shop.world.api_keys
        alive = {key.token for key in keys.values()}
        excused = {people.seen[one].token for one in people.deleted}
        held = {sink: self._shop.held_in(sink) for sink in self._shop.paths}
        now = self._shop.world.now()
        for entries in held.values():  # also what a run beside the history's own handed over
            for found in entries.values():
                self._handed_over.setdefault(found, now)
        for name, (sink, entry) in people.places.items():
            token = held[sink].get(entry)
            if token in alive:
                people.served.add(name)
            works = token in alive | excused or name not in people.served
            assert works, f"no working key in the sink for {name}"
        gone = set(people.seen) - set(keys) - people.deleted
        assert not gone & (people.by_human - people.named_ever), "a human's key was revoked"
        assert gone <= set(self.revoked), "a key is gone that nobody deleted"

    def check_proofs(self) -> None:
        """What is called proven is dead at this moment, caches or not."""
        for one in self._shop.ledger.rotations():
            if one.state == "proven" and one.rotation_id not in self._proven:
                self._proven.add(one.rotation_id)
                tokens = [self._people.seen[key_id].token for key_id in one.old_key_ids]
                assert all(self._shop.use(token) == 401 for token in tokens), "not dead"

    def check_end(self) -> None:
        """One current key per target, no orphan, a full audit, and no key outside the sink."""
        self._check_keys()
        told: Counter[str | None] = Counter()
        for entry in self._shop.audit.entries():
            told[entry.target_id] += entry.outcome in ("verified", "failed")
            is_gone = entry.target_id not in self._shop.world.api_keys
            says_gone = entry.outcome == "verified" and entry.message.startswith("delete key")
            assert is_gone or not says_gone, "the audit says deleted, and the key is there"
        silent = {one for one in (*self.made, *self.revoked) if not told[one]}
        assert not silent - self._people.deleted, "the audit does not tell what came of it"
        written = self._shop.written() + str(self._shop.told).encode()
        seen = self._people.seen.values()
        shown = [key.id for key in seen if key.token.encode() in written]
        assert not shown, "a token is written down"

    def _check_keys(self) -> None:
        shop, people = self._shop, self._people
        keys = shop.world.api_keys
        by_token = {key.token: key.id for key in keys.values()}
        inventory = shop.rotation().inventory()
        held = set()
        for name, (sink, entry) in people.places.items():
            key_id = by_token.get(shop.held_in(sink).get(entry, ""))
            assert key_id or name not in people.rules, f"no working key for {name} in the end"
            held.add(key_id)
        is_shared = people.has_shared or len(held - {None}) >= len(people.rules)
        assert is_shared, "two consumers have one key"
        left = set(keys) - people.by_human - held
        # What was made for a target that the policy has no more is nobody's, and reported.
        known = {one.target_id for one in inventory.targets}
        former = [one for one in shop.ledger.rotations() if one.target_id not in known]
        forgotten = {one.new_key_id for one in former}
        forgotten |= {key for one in former for key in one.old_key_ids}
        assert left <= forgotten, "a key is left over"
        unowned = [one for one in inventory.keys if one.standing == "unowned"]
        assert left <= {one.key.api_key_id for one in unowned}, "a key is left over unreported"
