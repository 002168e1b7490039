"""The engine: takes a rotation from state to state, as far as it goes now."""

from collections.abc import Callable, Collection, Mapping

from dify_etl.dify.errors import AppGone, DifyError, NotFound
from dify_etl.errors import ActionableError
from dify_etl.operations.keys.creating import create
from dify_etl.operations.keys.errors import PersonNeeded, RotationRefused, SinkFailed
from dify_etl.operations.keys.handing_over import announce, promote, test
from dify_etl.operations.keys.revoking import prove, revoke, watch
from dify_etl.operations.keys.states import Rotation, State
from dify_etl.operations.keys.withdrawing import withdraw
from dify_etl.operations.keys.work import Work

MOST_STEPS = 50  # far more than any way through the states has
STUCK_TRIES = 3

STEPS: Mapping[State, Callable[[Work, Rotation], Rotation]] = {
    "planned": create,
    "created": test,
    "tested": promote,
    "current": announce,
    "overlap": watch,
    "drained": revoke,
    "revoked": prove,
    "withdrawing": withdraw,
}


def advance(work: Work, rotation: Rotation, *, halts: Collection[State] = ()) -> Rotation:
    """The rotation as far as it goes now, or to a state of `halts`. What stops it stands in
    `message`.

    Errors of Dify and of sinks stop this rotation only. A ledger or an audit that cannot be
    written stops everything: nothing is done that is not written down.
    """
    try:
        for _ in range(MOST_STEPS):
            if rotation.is_over or rotation.state in halts:
                return rotation
            before = rotation
            rotation = STEPS[rotation.state](work, rotation)
            if _position(rotation) == _position(before):
                return rotation
        return rotation
    except (DifyError, SinkFailed, RotationRefused, PersonNeeded) as error:
        if isinstance(error, NotFound) and _is_app_gone(work, rotation):
            return _ended_with_its_app(work, rotation, error)
        return _stopped(work, rotation, error)


def _position(rotation: Rotation) -> object:
    return rotation.state, rotation.new_key_id, rotation.create_began_at


def _is_app_gone(work: Work, rotation: Rotation) -> bool:
    """A list of keys says 404 in words of its own; the app itself tells."""
    try:
        if rotation.app_id is not None:
            work.dify.apps.get(rotation.app_id)
    except AppGone:
        return True
    except DifyError:
        return False
    return False


def _stopped(work: Work, rotation: Rotation, error: ActionableError) -> Rotation:
    """The ledger knows more than the caller's copy: a step may have come halfway."""
    held = [one for one in work.ledger.rotations() if one.rotation_id == rotation.rotation_id]
    latest = held[0] if held else rotation
    tries = latest.tries + 1
    needs_person = isinstance(error, PersonNeeded) or tries >= STUCK_TRIES
    stopped = work.save(latest.having(tries=tries, message=str(error), needs_person=needs_person))
    if needs_person and not latest.needs_person:
        work.tell(stopped, "person needed")
    return stopped


def _ended_with_its_app(work: Work, rotation: Rotation, error: NotFound) -> Rotation:
    """Dify deletes an app's keys with it: nothing is left to make or to revoke."""
    return work.end(rotation.having(message=str(error)), "failed", "failed", error.what)
