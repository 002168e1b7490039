"""Backwards: the sink gets the old key again, then the new key is deleted."""

from dify_etl.dify.errors import KeyRefused
from dify_etl.operations.keys.creating import (
    WAITS_FOR_IT,
    is_answered,
    lost_key,
    request_ends,
)
from dify_etl.operations.keys.errors import RotationRefused, SinkFailed
from dify_etl.operations.keys.states import TAKES_BACK, Rotation
from dify_etl.operations.keys.work import Work


def check_takes_back(work: Work, rotation: Rotation) -> None:
    """RotationRefused when the rotation cannot be taken back any more."""
    if rotation.state not in TAKES_BACK:
        raise _refused(rotation, f"it is {rotation.state}: the old key is gone")
    if not _is_handed_over(work, rotation):
        return
    if rotation.replaced_fingerprint is None:
        raise _refused(
            rotation,
            "its entry was empty before, and the sink never held the old key",
            "Nothing is lost: the old key works until it is revoked. To keep it, put its id under "
            "exclude.key_ids of the policy; consumers that need it take it from where they had it.",
        )
    if not _old_serves(work, rotation):
        raise _refused(rotation, "the old key is not in the sink any more, or does not work")


def withdraw(work: Work, rotation: Rotation) -> Rotation:
    """Restore, then delete. Where the old key has died meanwhile, the new one stays."""
    if not rotation.has_asked:  # nor has a sink got anything
        assert rotation.ending is not None
        return work.end(rotation, rotation.ending, "verified", rotation.message)
    if _is_handed_over(work, rotation):
        if not _old_serves(work, rotation):
            return _stay(work, rotation)
        work.change_sink(rotation, "restore", lambda sink: sink.restore(rotation.entry))
        if work.fingerprint_held(rotation, "current") != rotation.replaced_fingerprint:
            raise SinkFailed(
                "the sink does not hold what was restored",
                where=f"sink {rotation.sink}, entry {rotation.entry}",
                hint="Look at the sink: both keys work, and nothing is deleted.",
            )
    pending = work.fingerprint_held(rotation, "pending")
    if pending is not None and pending == rotation.new_fingerprint:
        work.change_sink(rotation, "discard", lambda sink: sink.discard(rotation.entry))
    rotation = _found(work, rotation)
    if rotation.new_key_id is None and rotation.create_began_at is not None:
        return work.waiting(rotation, WAITS_FOR_IT)
    key_id = rotation.new_key_id
    if key_id is not None and work.keyring(rotation).key(key_id) is not None:
        work.delete_key(rotation, key_id, "the rotation is taken back")
    assert rotation.ending is not None
    return work.end(rotation, rotation.ending, "verified", rotation.message or rotation.ending)


def _is_handed_over(work: Work, rotation: Rotation) -> bool:
    current = work.fingerprint_held(rotation, "current")
    return current is not None and current == rotation.new_fingerprint


def _old_serves(work: Work, rotation: Rotation) -> bool:
    """Whether what the sink would restore is what it held, and works."""
    previous, ring = work.held(rotation, "previous"), work.keyring(rotation)
    if previous is None or ring.fingerprint(previous) != rotation.replaced_fingerprint:
        return False
    try:
        return ring.probe(previous) is None
    except KeyRefused:
        return False


def _stay(work: Work, rotation: Rotation) -> Rotation:
    if work.keyring(rotation).key(rotation.new_key_id) is not None:
        message = f"cannot be taken back: {_why_not(rotation)}"
        return work.save(rotation.having(state="current", ending=None, message=message))
    message = f"the new key is gone, and {_why_not(rotation)}; the next run makes another"
    return work.end(rotation.having(message=message), "failed", "failed", message)


def _why_not(rotation: Rotation) -> str:
    if rotation.replaced_fingerprint is None:
        return "the sink never held an old one"
    return "the old key does not work any more"


def _found(work: Work, rotation: Rotation) -> Rotation:
    """With the key that a lost answer left behind, or sure that there is none."""
    if is_answered(rotation) or rotation.create_began_at is None:
        return rotation
    found = lost_key(work, rotation)
    if found is not None:
        work.record(rotation, "verified", "found the key whose answer was lost", key_id=found)
        return work.save(rotation.having(new_key_id=found))
    if work.now > request_ends(rotation):
        return work.save(rotation.having(new_key_id=None, create_began_at=None))
    return rotation


_ROTATE_ONCE_MORE = "Let it end and rotate once more: `dify-etl keys rotate` makes another key."


def _refused(rotation: Rotation, what: str, hint: str = _ROTATE_ONCE_MORE) -> RotationRefused:
    return RotationRefused(
        f"the rotation cannot be taken back: {what}",
        where=f"{rotation.name}, rotation {rotation.rotation_id}",
        hint=hint,
    )
