"""The histories can fail: rotations with a fault that was planted on purpose are found out."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from dify_etl.dify.api_keys import ApiKey
from dify_etl.operations.audit import Outcome
from dify_etl.operations.keys.errors import SinkFailed
from dify_etl.operations.keys.inventory import HeldKey, Inventory
from dify_etl.operations.keys.keyring import Keyring
from dify_etl.operations.keys.planning import Asked, RotationPlan
from dify_etl.operations.keys.running import KeyRotation
from dify_etl.operations.keys.sinks.protocol import SecretSink, Stage
from dify_etl.operations.keys.states import Rotation
from dify_etl.operations.keys.work import Work
from dify_etl_tests.operations.keys.generated import Act, History, Night, Server, Trouble
from dify_etl_tests.operations.keys.playing import Flaw, Player


class HastyWork(Work):
    """Deletes the old key, then lets consumers have the new one."""

    def change_sink(
        self, rotation: Rotation, what: str, change: Callable[[SecretSink], None]
    ) -> None:
        if what == "promote":
            for key_id in rotation.old_key_ids:
                self.delete_key(rotation, key_id, "old key of the target")
        super().change_sink(rotation, what, change)


class SilentWork(Work):
    """Deletes without a word in the audit."""

    def record(self, rotation: Rotation, outcome: Outcome, message: str, **told: Any) -> None:
        if not message.startswith("delete key"):
            super().record(rotation, outcome, message, **told)


class GreedyWork(Work):
    """Makes room in a full app by deleting a key that is nobody's."""

    is_busy: bool = False

    def keyring(self, rotation: Rotation) -> Keyring:
        ring = super().keyring(rotation)
        if not self.is_busy:
            self.is_busy = True
            listed = ring.listed()
            if len(listed) == 10:
                self.delete_key(rotation, listed[-1].api_key_id, "makes room")
            self.is_busy = False
        return ring


class OurClockWork(Work):
    """Counts the grace period by the clock of this machine."""

    @property
    def now(self) -> datetime:
        return self.dify.server_time() - self.dify.clock_ahead()


class PatientWork(Work):
    """Takes a key that appears within minutes of an error for its own."""

    def save(self, rotation: Rotation) -> Rotation:
        if rotation.create_was_answered:
            ended = self.now + timedelta(minutes=5)
            rotation = rotation.having(create_was_answered=False, create_ended_at=ended)
        return super().save(rotation)


class ShortSightedWork(Work):
    """Does not look whether another entry holds the key that it deletes."""

    def _check_unheld(self, rotation: Rotation, key_id: str, key: ApiKey | None) -> None:
        pass


def working(kind: type[Work]) -> Flaw:
    """A rotation whose steps work with this."""

    class Flawed(KeyRotation):
        def _work(self, planned: RotationPlan) -> Work:
            return kind(**vars(super()._work(planned)))

    return lambda rotation: Flawed(**_parts(rotation))


def _parts(rotation: KeyRotation) -> dict[str, Any]:
    return {one.name: getattr(rotation, one.name) for one in dataclasses.fields(rotation)}


@dataclass
class DeafSink:
    """Takes a denial for success, and tells what it should hold."""

    sink: SecretSink
    promised: dict[tuple[str, Stage], SecretStr | None]

    def place(self, entry: str) -> str:
        return self.sink.place(entry)

    def read(self, entry: str, stage: Stage) -> SecretStr | None:
        if (entry, stage) in self.promised:
            return self.promised[entry, stage]
        return self.sink.read(entry, stage)

    def stage(self, entry: str, key_id: str, token: SecretStr) -> None:
        self._try(lambda: self.sink.stage(entry, key_id, token), {(entry, "pending"): token})

    def promote(self, entry: str, key_id: str) -> None:
        new, old = self.read(entry, "pending"), self.read(entry, "current")
        promised: dict[tuple[str, Stage], SecretStr | None] = {
            (entry, "current"): new,
            (entry, "previous"): old,
        }
        self._try(lambda: self.sink.promote(entry, key_id), promised)

    def restore(self, entry: str) -> None:
        self.sink.restore(entry)

    def discard(self, entry: str) -> None:
        self.sink.discard(entry)

    def _try(
        self, change: Callable[[], None], promised: dict[tuple[str, Stage], SecretStr | None]
    ) -> None:
        try:
            change()
        except SinkFailed:
            self.promised |= promised


def deaf() -> Flaw:
    """A rotation that does not hear that its sink is denied."""
    promised: dict[str, dict[tuple[str, Stage], SecretStr | None]] = {}
    return lambda rotation: replace(
        rotation,
        sinks={
            name: DeafSink(sink, promised.setdefault(name, {}))
            for name, sink in rotation.sinks.items()
        },
    )


class MaskTrusting(KeyRotation):
    """Takes each key whose mask fits what the sink holds for a key of the target."""

    def inventory(self, *, all_apps: bool = True) -> Inventory:
        taken = super().inventory(all_apps=all_apps)
        target = taken.targets[0]
        held = self.sinks[target.sink].read(target.entry, "current")

        def judged(one: HeldKey) -> HeldKey:
            is_free = one.standing == "unowned" and held is not None
            if is_free and held and self.dify.api_keys.is_of(one.key, held):
                return replace(one, standing="old", target=target)
            return one

        return replace(taken, keys=tuple(judged(one) for one in taken.keys))


class Eager(KeyRotation):
    """Revokes in the run that is to hand over only."""

    def apply(
        self, plan_id: str | None, asked: Asked | None = None, *, revokes: bool = True
    ) -> tuple[Rotation, ...]:
        return super().apply(plan_id, asked)


OLD = Server("1.12.1", is_masked=False, deleted_key_lives=0, shows_uses=True)
MASKED = Server("1.14.2", is_masked=True, deleted_key_lives=0, shows_uses=True)


def history(*nights: Night, server: Server = OLD) -> History:
    """One consumer, and these nights."""
    return History(server, ("web",), has_datasets=False, nights=nights)


def night(act: Act | None = None, trouble: Trouble | None = None, *, hours: float = 1) -> Night:
    """A night of the schedule; clocks jump by more than a year, sinks are denied for days."""
    return Night(hours, act, trouble, 0, way="schedule", jump_days=400, denied_hours=100)


FAULTS: dict[str, tuple[Callable[[], Flaw], History, str]] = {
    "deletes before the consumer has the new key": (
        lambda: working(HastyWork),
        history(night()),
        "revoked before the new key was handed over|only hands over",
    ),
    "deletes without a word in the audit": (
        lambda: working(SilentWork),
        history(night(), night(hours=26)),
        "without a word in the audit",
    ),
    "makes room in a full app": (
        lambda: working(GreedyWork),
        history(night("human takes all slots")),
        "a key was deleted that is nobody's",
    ),
    "does not hear that a sink is denied": (
        deaf,
        history(night("sink takes no writes")),
        "no working key in the sink|before the new key was handed over",
    ),
    "counts the grace period by our clock": (
        lambda: working(OurClockWork),
        history(night(), night("clock jumps ahead")),
        "revoked within the grace period",
    ),
    "trusts a mask": (
        lambda: lambda rotation: MaskTrusting(**_parts(rotation)),
        history(night("human makes a key that looks alike"), server=MASKED),
        "a key was deleted that is nobody's",
    ),
    "deletes what another entry holds": (
        lambda: working(ShortSightedWork),
        history(night(), night("entry moved, its key named"), night("rollback")),
        "no working key in the sink",
    ),
    "takes a colleague's key for its own": (
        lambda: working(PatientWork),
        history(night(trouble="500 instead, and a human makes a key later"), night("rollback")),
        "nobody's|a human's key",
    ),
    "revokes where it only hands over": (
        lambda: lambda rotation: Eager(**_parts(rotation)),
        history(night(), night(hours=26)),
        "only hands over",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found(fault: str, tmp_path: Path) -> None:
    """The same history fails with the fault, for the right reason, and holds without it."""
    flaw, played, reason = FAULTS[fault]
    with pytest.raises(AssertionError, match=reason):
        Player(played, tmp_path, flaw=flaw()).play()
    Player(played, tmp_path).play()
