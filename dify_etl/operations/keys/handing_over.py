"""Created -> tested -> current -> overlap: try the new key, then let consumers have it."""

from dify_etl.dify.errors import KeyRefused
from dify_etl.operations.keys.errors import SinkFailed
from dify_etl.operations.keys.states import Rotation
from dify_etl.operations.keys.work import Work

MOST_TESTS = 5  # a key that is refused so often never works


def test(work: Work, rotation: Rotation) -> Rotation:
    """A real call with the new key: it works, it opens this app, and it is in the app's list."""
    ring = work.keyring(rotation)
    listed = ring.key(rotation.new_key_id)
    if listed is None:
        return withdrawing(work, rotation, "failed", "the new key was deleted in Dify")
    token = work.held(rotation, "pending")
    if token is None or ring.fingerprint(token) != rotation.new_fingerprint:
        return work.save(rotation.having(state="planned"))  # the sink lost it: stage it again
    if ring.is_of(listed, token) is False:
        return withdrawing(work, rotation, "failed", "the sink holds another key than Dify lists")
    try:
        contradiction = ring.probe(token)
    except KeyRefused:
        if rotation.tries + 1 >= MOST_TESTS:
            return withdrawing(work, rotation, "failed", "the service API refuses the new key")
        raise
    if contradiction is not None:
        work.record(rotation, "failed", f"test: {contradiction}")
        return withdrawing(work, rotation, "failed", f"the new key is wrong: {contradiction}")
    work.record(rotation, "verified", "tested by a call of the service API")
    return work.save(rotation.reached("tested"))


def promote(work: Work, rotation: Rotation) -> Rotation:
    """One step in the sink: consumers get the new key from here on."""
    if work.keyring(rotation).key(rotation.new_key_id) is None:
        return withdrawing(work, rotation, "failed", "the new key was deleted in Dify")
    current = work.fingerprint_held(rotation, "current")
    if current != rotation.new_fingerprint:
        if work.fingerprint_held(rotation, "pending") != rotation.new_fingerprint:
            return work.save(rotation.having(state="planned"))
        _check_unchanged(work, rotation)
        rotation = work.save(rotation.having(replaced_fingerprint=current))
        key_id = rotation.new_key_id or ""
        work.change_sink(rotation, "promote", lambda sink: sink.promote(rotation.entry, key_id))
        if work.fingerprint_held(rotation, "current") != rotation.new_fingerprint:
            raise SinkFailed(
                "the sink does not hold what was promoted",
                where=f"sink {rotation.sink}, entry {rotation.entry}",
                hint="Look at the sink: both keys work, and nothing is revoked.",
            )
    work.record(rotation, "verified", "promoted and read back")
    return work.save(rotation.reached("current", promoted_at=work.now))


def _check_unchanged(work: Work, rotation: Rotation) -> None:
    """PersonNeeded when somebody put something of his own into the entry since the key was made."""
    held = work.held(rotation, "current")
    if held is None or work.dify.api_keys.digest_of(held) == rotation.found_digest:
        return
    work.check_ours(rotation, held, work.keyring(rotation).listed())


def announce(work: Work, rotation: Rotation) -> Rotation:
    """Use the new key once, to see later whether Dify shows uses; tell the consumers."""
    ring, token = work.keyring(rotation), work.held(rotation, "current")
    if token is not None and ring.fingerprint(token) == rotation.new_fingerprint:
        try:
            ring.probe(token)
        except KeyRefused:
            if ring.key(rotation.new_key_id) is not None:
                raise  # else somebody deleted it, which the overlap deals with
    rotation = work.save(rotation.reached("overlap", probed_at=work.now))
    work.tell(rotation, "promoted")
    return rotation


def withdrawing(work: Work, rotation: Rotation, ending: str, message: str) -> Rotation:
    """From here on the rotation goes backwards."""
    return work.save(rotation.having(state="withdrawing", ending=ending, message=message, tries=0))
