"""Planned -> created: make one key, and have it in the sink before anything else happens.

Dify makes another key with every request. So what was listed before is written down first; when
the answer is lost, the difference decides, if it is one key that was made while the request was
under way, that nobody used, and that the list shows whole. Else a person decides: a key tells not
who made it, and what is taken for ours is handed to a consumer, and deleted some day.
"""

from datetime import datetime, timedelta

from pydantic import SecretStr

from dify_etl.dify.api_keys import ApiKey
from dify_etl.dify.errors import DifyError, WriteUnanswered
from dify_etl.operations.keys.errors import PersonNeeded, SinkFailed
from dify_etl.operations.keys.handing_over import withdrawing
from dify_etl.operations.keys.states import NO_SUCH_TARGET, OVER, Rotation
from dify_etl.operations.keys.work import Work

# The client waits two minutes for an answer. Dify's stamps are cut to whole seconds.
REQUEST_TAKES = timedelta(seconds=130)
STAMP_SLACK, SLACK_AFTER = timedelta(seconds=2), timedelta(minutes=5)
# For how long a request counts as under way when nobody knows: Dify makes a key at once.
MADE_WITHIN = timedelta(seconds=10)
# With these a gateway says that it waits no longer: Dify itself may still be at work.
GATEWAY_TIMEOUTS = frozenset({504, 522, 524})
WAITS_FOR_IT = "waits to see whether Dify made a key"
ADVICE = "Delete those that nobody uses, put the others under exclude.key_ids, and run again."


def create(work: Work, rotation: Rotation) -> Rotation:
    """One key, pending in the sink; or wait, when it is not sure yet whether there is one."""
    if is_answered(rotation):
        work.record(rotation, "verified", "goes on with the key that was made")
        return _stage(work, rotation, None)
    if rotation.create_began_at is not None:
        found = _staged_lost_key(work, rotation)
        if found is not None:
            return found
        if work.now <= request_ends(rotation):
            return work.waiting(rotation, WAITS_FOR_IT)
    if rotation.is_target_gone:  # Dify was asked for a key, and made none, or it is gone
        none = rotation.having(new_key_id=None, create_began_at=None)
        return withdrawing(work, none, "failed", NO_SUCH_TARGET)
    return _ask(work, rotation)


def is_answered(rotation: Rotation) -> bool:
    """Whether the new key is known by Dify's answer or by its token, and not by its time alone."""
    return rotation.new_key_id is not None and rotation.new_fingerprint is not None


def request_ends(rotation: Rotation) -> datetime:
    """Until when a key may appear that the request of this rotation made, by Dify's clock: at the
    answer, where one came; some minutes later, where Dify may have gone on with it.
    """
    assert rotation.create_began_at is not None
    ended = rotation.create_ended_at or rotation.create_began_at + REQUEST_TAKES
    return ended + (STAMP_SLACK if rotation.create_was_answered else SLACK_AFTER)


def lost_key(work: Work, rotation: Rotation) -> str | None:
    """The id of the one key that the request must have made; None when there is none.

    Raises PersonNeeded when several fit, or the one that fits may be somebody else's.
    """
    assert rotation.create_began_at is not None
    began, ends = rotation.create_began_at - STAMP_SLACK, request_ends(rotation)
    others = [one for one in work.ledger.rotations() if one.rotation_id != rotation.rotation_id]
    known = {one.new_key_id for one in others}
    known |= {*rotation.listed_key_ids, *work.kept_key_ids}
    fitting: list[ApiKey] = [
        key
        for key in work.keyring(rotation).listed()
        if key.api_key_id not in known and began <= key.created_at <= ends
    ]
    if not fitting:
        return None
    if len(fitting) == 1:
        doubt = _doubt(rotation, fitting[0])
        if doubt is None:
            return fitting[0].api_key_id
        what = f"whether key {fitting[0].api_key_id} is ours: {doubt}"
    else:
        ids = ", ".join(sorted(key.api_key_id for key in fitting))
        what = f"which of these keys is ours: {ids}"
    raise PersonNeeded(
        f"Dify's answer was lost, and it cannot be told {what}",
        where=rotation.name,
        hint=ADVICE,
    )


def _doubt(rotation: Rotation, key: ApiKey) -> str | None:
    """Why a key that appeared may be somebody else's; None when it must be the rotation's."""
    assert rotation.create_began_at is not None
    under_way_until = rotation.create_ended_at or rotation.create_began_at + MADE_WITHIN
    if key.last_used_at is not None:
        return "it was used"
    if key.created_at > under_way_until + STAMP_SLACK:
        return "it was made after the request"
    if key.token_fingerprint is None:
        return "Dify shows only a part of it"
    return None


def _staged_lost_key(work: Work, rotation: Rotation) -> Rotation | None:
    """The key of a lost answer, pending in the sink; None when there is none."""
    found = lost_key(work, rotation)
    if found is None:
        return None
    work.record(rotation, "verified", "found the key whose answer was lost", key_id=found)
    return _stage(work, work.save(rotation.having(new_key_id=found)), None)


def _ask(work: Work, rotation: Rotation) -> Rotation:
    if _other_is_asking(work, rotation):
        return work.waiting(rotation, "waits until the key of another rotation of the app is found")
    ring = work.keyring(rotation)
    ring.check_ready()
    # A sink that cannot be read, or holds what is not ours, is told before a key is made.
    found = work.held(rotation, "current")
    keys = ring.listed()
    work.check_ours(rotation, found, keys)
    rotation = work.save(
        rotation.having(
            listed_key_ids=tuple(key.api_key_id for key in keys),
            found_digest=None if found is None else work.dify.api_keys.digest_of(found),
            create_began_at=work.now,
            create_ended_at=None,
            create_was_answered=False,
            new_key_id=None,
            message="",
        )
    )
    work.record(rotation, "begun", "make a key")
    try:
        written = ring.create()
    except WriteUnanswered as error:
        is_over = error.status is not None and error.status not in GATEWAY_TIMEOUTS
        rotation = work.save(rotation.having(create_ended_at=work.now, create_was_answered=is_over))
        work.record(rotation, "unknown", error.what)
        # Asked again is in the next run at the earliest, whatever the clocks say.
        return _staged_lost_key(work, rotation) or work.waiting(rotation, WAITS_FOR_IT)
    except DifyError as error:  # refused, or never sent
        work.save(rotation.having(create_began_at=None))
        work.record(rotation, "failed", error.what)
        raise
    new = written.value
    rotation = work.save(
        rotation.having(new_key_id=new.api_key_id, new_fingerprint=new.token_fingerprint)
    )
    work.record(rotation, "verified", "made a key", answer=written)
    return _stage(work, rotation, new.token)


def _other_is_asking(work: Work, rotation: Rotation) -> bool:
    """Whether another key of the same app may be on its way: two could not be told apart."""
    return any(
        one.create_began_at is not None and one.new_key_id is None
        for one in work.ledger.rotations()
        if one.app_id == rotation.app_id
        and one.rotation_id != rotation.rotation_id
        and one.state not in OVER
    )


def _stage(work: Work, rotation: Rotation, token: SecretStr | None) -> Rotation:
    """The key into the sink. A key that nobody can read any more is deleted and made anew."""
    ring, key_id = work.keyring(rotation), rotation.new_key_id
    assert key_id is not None
    if ring.key(key_id) is None:
        return _begin_anew(work, rotation)
    pending = work.fingerprint_held(rotation, "pending")
    if pending is not None and pending == rotation.new_fingerprint:
        return work.save(rotation.reached("created"))
    token = token or ring.token(key_id)
    if token is None and rotation.new_fingerprint is None:
        raise PersonNeeded(
            f"Dify's answer was lost, and it cannot be told whether key {key_id} is ours: Dify "
            "shows only a part of it",
            where=rotation.name,
            hint=ADVICE,
        )
    if token is None:
        work.delete_key(rotation, key_id, "nobody can read its token any more")
        return _begin_anew(work, rotation)
    wanted = token
    work.change_sink(rotation, "stage", lambda sink: sink.stage(rotation.entry, key_id, wanted))
    staged = ring.fingerprint(wanted)
    if work.fingerprint_held(rotation, "pending") != staged:
        raise SinkFailed(
            "the sink does not hold what was staged",
            where=f"sink {rotation.sink}, entry {rotation.entry}",
            hint="Look at the sink; the key is not in use yet and is staged again next time.",
        )
    return work.save(rotation.reached("created", new_fingerprint=staged))


def _begin_anew(work: Work, rotation: Rotation) -> Rotation:
    """The key is gone before anybody used it."""
    work.record(rotation, "verified", "the key is gone before anybody used it")
    return work.save(
        rotation.having(
            new_key_id=None, new_fingerprint=None, create_began_at=None, create_ended_at=None
        )
    )
