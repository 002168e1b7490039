"""What the steps of a rotation work with: Dify, the sinks, the ledger and the audit."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from pydantic import JsonValue, SecretStr

from dify_etl.dify.api_keys import ApiKey
from dify_etl.dify.client import DifyClient
from dify_etl.dify.errors import DifyError, NotFound, WriteUnanswered
from dify_etl.dify.http.writes import Written
from dify_etl.operations.audit import AuditTrail, Outcome, Signature
from dify_etl.operations.keys.adopting import advice_for, is_ours
from dify_etl.operations.keys.errors import PersonNeeded, RotationRefused, SinkFailed
from dify_etl.operations.keys.inventory import checked_workspace
from dify_etl.operations.keys.keyring import Keyring
from dify_etl.operations.keys.ledger import RotationLedger
from dify_etl.operations.keys.sinks.protocol import SecretSink, Stage
from dify_etl.operations.keys.states import Rotation, State
from dify_etl.operations.keys.targets import Readers

# From 1.13 on the service API keeps keys in a cache, and uses are written down by a worker.
CACHED_SINCE = (1, 13, 0)
CACHE_LIVES = timedelta(seconds=600)
USE_LAG, CACHED_USE_LAG = timedelta(minutes=2), timedelta(minutes=60)

Notify = Callable[[Mapping[str, JsonValue]], None]


def nobody(event: Mapping[str, JsonValue]) -> None:
    """Tell nobody."""


@dataclass
class Work:
    """One run over rotations. `number` is the plan's step of the rotation at hand."""

    dify: DifyClient
    sinks: Mapping[str, SecretSink]
    ledger: RotationLedger
    trail: AuditTrail
    signature: Signature
    service_api_url: str | None = None
    kept_key_ids: frozenset[str] = frozenset()  # keys that the policy says are nobody's business
    readers: Readers = field(default_factory=Readers)  # a key may be in several entries
    notify: Notify = nobody
    number: int = 1
    # Tokens of deleted keys, for the proof that they no longer work; never written anywhere.
    last_seen: dict[str, SecretStr] = field(default_factory=dict, repr=False)

    @property
    def now(self) -> datetime:
        """Dify's time: its own stamps are compared with it."""
        return self.dify.server_time()

    @property
    def use_lag(self) -> timedelta:
        """How late a use of a key may show in `last_used_at`."""
        return CACHED_USE_LAG if self.dify.version >= CACHED_SINCE else USE_LAG

    @property
    def cache_lives(self) -> timedelta:
        """For how long a deleted key may still be answered."""
        return CACHE_LIVES if self.dify.version >= CACHED_SINCE else timedelta(0)

    def keyring(self, rotation: Rotation) -> Keyring:
        """The keys that the rotation is about."""
        return Keyring(self.dify, rotation.app_id, service_api_url=self.service_api_url)

    def save(self, rotation: Rotation) -> Rotation:
        """Keep the rotation as it is now; answers what was kept."""
        kept = rotation.having(updated_at=self.now)
        self.ledger.write(kept)
        return kept

    def waiting(self, rotation: Rotation, message: str) -> Rotation:
        """Nothing can be done yet; says what for. Nothing went wrong on the way here."""
        if (rotation.message, rotation.needs_person, rotation.tries) == (message, False, 0):
            return rotation
        return self.save(rotation.having(message=message, needs_person=False, tries=0))

    def held(self, rotation: Rotation, stage: Stage) -> SecretStr | None:
        """What the sink holds for the target."""
        return self._sink(rotation).read(rotation.entry, stage)

    def fingerprint_held(self, rotation: Rotation, stage: Stage) -> str | None:
        """The fingerprint of it."""
        return self.keyring(rotation).fingerprint(self.held(rotation, stage))

    def check_ours(
        self, rotation: Rotation, held: SecretStr | None, listed: Sequence[ApiKey]
    ) -> None:
        """PersonNeeded when the entry holds what no rotation of the target may overwrite."""
        made = [one for one in self.ledger.rotations() if one.target_id == rotation.target_id]
        if is_ours(
            self.dify.api_keys,
            held,
            listed=listed,
            made=made,
            adopted=lambda: self.ledger.adoptions(rotation.target_id),
        ):
            return
        raise PersonNeeded(
            "the entry holds something that is no key of this target",
            where=f"sink {rotation.sink}, {self._sink(rotation).place(rotation.entry)}",
            hint=advice_for(rotation.name),
        )

    def change_sink(
        self, rotation: Rotation, what: str, change: Callable[[SecretSink], None]
    ) -> None:
        """Change the sink, with an entry of the audit before and behind."""
        self.record(rotation, "begun", what)
        try:
            change(self._sink(rotation))
        except SinkFailed as error:
            self.record(rotation, "failed", f"{what}: {error.what}")
            raise
        self.record(rotation, "done", what)

    def delete_key(self, rotation: Rotation, key_id: str, why: str) -> None:
        """Delete a key and read back that it is gone; gone already is as good.

        Raises what the client raises, and RotationRefused while another consumer still gets the
        key; a deletion may safely be asked for again.
        """
        ring = self.keyring(rotation)
        self._check_unheld(rotation, key_id, ring.key(key_id))
        self.record(rotation, "begun", f"delete key: {why}", key_id=key_id)
        try:
            answer: Written[None] | None = ring.delete(key_id)
        except (NotFound, WriteUnanswered):
            answer = None
        except DifyError as error:
            self.record(rotation, "failed", error.what, key_id=key_id)
            raise
        checked_workspace(self.dify, [rotation])  # else a list of another one would show it gone
        is_there = ring.key(key_id) is not None
        outcome: Outcome = "failed" if is_there else "verified"
        self.record(rotation, outcome, f"delete key: {why}", key_id=key_id, answer=answer)
        if is_there:
            raise PersonNeeded(
                f"key {key_id} is still in Dify's list after it was deleted",
                where=rotation.name,
                hint="Run again; if it stays, delete it in the console.",
            )

    def _check_unheld(self, rotation: Rotation, key_id: str, key: ApiKey | None) -> None:
        """RotationRefused while the entry of another target holds the key, for whatever reason."""
        own = (rotation.sink, rotation.entry)
        given = {
            (one.sink, one.entry)
            for one in self.ledger.rotations()
            if one.app_id == rotation.app_id
        }
        for target in self.readers.of_app(rotation.app_id):
            if (target.sink, target.entry) == own:
                continue
            try:
                held = self.sinks[target.sink].read(target.entry, "current")
            except SinkFailed:
                if rotation.is_compromised:  # a key that leaked waits for no other sink
                    continue
                is_of_another = (
                    self.readers.means_another(target.rule, rotation.app_id)
                    and target.rule.app != rotation.app_name
                    and (target.sink, target.entry) not in given
                )
                if is_of_another:  # else one entry that cannot be read would hold up every app
                    continue
                raise
            if held is not None and self._is_it(key_id, key, held):
                raise RotationRefused(
                    f"key {key_id} cannot be deleted: {target.name} still gets it from sink "
                    f"{target.sink}, entry {target.entry}",
                    where=rotation.name,
                    hint=f"`dify-etl keys plan --target '{target.name}'` gives it a key of its "
                    "own, or says what of the policy is wrong. Nothing is deleted until then.",
                )

    def _is_it(self, key_id: str, key: ApiKey | None, held: SecretStr) -> bool:
        """Whether an entry holds a key, by what was made; else by what the list shows of it."""
        made = {one.new_key_id: one.new_fingerprint for one in self.ledger.rotations()}
        print_ = self.dify.api_keys.fingerprint_of(held)
        if made.get(key_id) is not None:
            return print_ == made[key_id]
        if print_ is not None and print_ in made.values():
            return False
        return key is not None and self.dify.api_keys.is_of(key, held) is True

    def record(
        self,
        rotation: Rotation,
        outcome: Outcome,
        message: str,
        *,
        key_id: str | None = None,
        answer: Written[Any] | None = None,
    ) -> None:
        """One entry of the audit."""
        self.trail.record(
            self.signature.entry(
                self.number,
                outcome,
                at=self.now,
                message=f"{message} [{rotation.state}, rotation {rotation.rotation_id}]",
                target_id=key_id or rotation.new_key_id,
                plan_id=rotation.plan_id,
                status=None if answer is None else answer.status,
                request_id=None if answer is None else answer.request_id,
            )
        )

    def end(self, rotation: Rotation, state: State, outcome: Outcome, told: str) -> Rotation:
        """The last word. The audit has it first: nobody comes back to a rotation that is over."""
        self.record(rotation, outcome, told)
        ended = self.save(rotation.having(state=state, tries=0, needs_person=False))
        self.tell(ended, state)
        return ended

    def tell(self, rotation: Rotation, event: str) -> None:
        """Tell those whom the policy names; no key is in it."""
        told = rotation.model_dump(
            mode="json",
            include={"rotation_id", "app_id", "app_name", "consumer", "sink", "entry", "state"},
        )
        self.notify({"event": event, "message": rotation.message, **told})

    def _sink(self, rotation: Rotation) -> SecretSink:
        try:
            return self.sinks[rotation.sink]
        except KeyError:
            raise PersonNeeded(
                f"the policy has no sink {rotation.sink!r} any more",
                where=rotation.name,
                hint="Put it back into the policy until this rotation is over.",
            ) from None
