"""Overlap -> drained -> revoked -> proven: watch the old key, delete it, prove that it is dead."""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta

from pydantic import SecretStr

from dify_etl.dify.api_keys import ApiKey
from dify_etl.dify.errors import KeyRefused
from dify_etl.operations.keys.errors import PersonNeeded
from dify_etl.operations.keys.handing_over import withdrawing
from dify_etl.operations.keys.keyring import DELETERS
from dify_etl.operations.keys.states import Rotation
from dify_etl.operations.keys.work import USE_LAG, Work

# Dify notes a use with whole seconds, and at most once a minute.
NOTED_EVERY = USE_LAG / 2


def watch(work: Work, rotation: Rotation) -> Rotation:
    """Wait until nobody uses the old key, as far as Dify shows it."""
    keys = {key.api_key_id: key for key in work.keyring(rotation).listed()}
    new = keys.get(rotation.new_key_id or "")
    if new is None:
        return _new_key_is_gone(work, rotation, keys)
    _check_sink(work, rotation)
    old = [keys[key_id] for key_id in rotation.old_key_ids if key_id in keys]
    if not old or rotation.is_compromised:
        return work.save(rotation.reached("drained"))
    reason = _still_needed(work, rotation, new, old)
    return work.waiting(rotation, reason) if reason else work.save(rotation.reached("drained"))


def _new_key_is_gone(work: Work, rotation: Rotation, keys: dict[str, ApiKey]) -> Rotation:
    message = "somebody deleted the new key in Dify"
    if any(key_id in keys for key_id in rotation.old_key_ids):
        return withdrawing(work, rotation, "rolled_back", message)
    _tell_gone(work, rotation, keys)
    message += ", and there is no old one"
    return work.end(rotation.having(message=message), "failed", "failed", message)


def _without_kept(work: Work, rotation: Rotation, keys: Mapping[str, ApiKey]) -> Rotation:
    """Keys that the policy excludes by now are no old keys any more."""
    kept = work.kept_key_ids & {*rotation.old_key_ids}
    prints = {keys[key_id].token_fingerprint for key_id in kept if key_id in keys}
    return rotation.having(
        old_key_ids=tuple(one for one in rotation.old_key_ids if one not in kept),
        old_fingerprints=tuple(one for one in rotation.old_fingerprints if one not in prints),
    )


def _tell_gone(work: Work, rotation: Rotation, keys: Collection[str]) -> None:
    """A deletion before a crash may have been ours: the audit gets what came of it."""
    for key_id in rotation.old_key_ids:
        if key_id not in keys:
            work.record(rotation, "verified", "the old key is gone already", key_id=key_id)


def _check_sink(work: Work, rotation: Rotation) -> None:
    if work.fingerprint_held(rotation, "current") != rotation.new_fingerprint:
        raise PersonNeeded(
            "the sink no longer holds the new key: somebody put another one there",
            where=f"{rotation.name}, sink {rotation.sink}, entry {rotation.entry}",
            hint="Put the new key back, or take the rotation back with `dify-etl keys rollback`. "
            "Nothing is revoked until then.",
        )


def _still_needed(work: Work, rotation: Rotation, new: ApiKey, old: list[ApiKey]) -> str | None:
    """Why the old key stays for now; None when it may go. PersonNeeded: nobody can see it."""
    assert rotation.promoted_at is not None
    assert rotation.probed_at is not None
    now, lag = work.now, work.use_lag
    grace_ends = rotation.promoted_at + rotation.grace
    if now < grace_ends:
        return f"both keys work until {_minute(grace_ends)}"
    if now < rotation.probed_at + 2 * lag:
        return f"Dify shows uses late; looks again after {_minute(rotation.probed_at + 2 * lag)}"
    is_unseen = new.last_used_at is None or new.last_used_at < rotation.probed_at - NOTED_EVERY
    if is_unseen and not rotation.revoke_unobserved:
        raise PersonNeeded(_UNOBSERVED, where=rotation.name, hint=_LOOK_YOURSELF)
    # Also where the new key's use was missed: one of the old key that Dify shows is no guess.
    quiet = max(rotation.grace, 2 * lag)
    last_used = max((key.last_used_at for key in old if key.last_used_at), default=None)
    if last_used is not None and now - last_used < quiet:
        return f"the old key was used at {_minute(last_used)}; it must be quiet for {quiet}"
    return None


_UNOBSERVED = (
    "whether the old key is still in use cannot be observed: Dify does not even show our own use "
    "of the new one"
)
_LOOK_YOURSELF = (
    "Make sure yourself, then set revoke_unobserved = true for the target, or under [defaults] "
    "where the policy has it no more; or let Dify's worker for api_token run."
)


def revoke(work: Work, rotation: Rotation) -> Rotation:
    """Delete the old keys, once it is sure that the new one serves."""
    ring = work.keyring(rotation)
    keys = {key.api_key_id: key for key in ring.listed()}
    if rotation.new_key_id not in keys:
        return _new_key_is_gone(work, rotation, keys)
    _check_sink(work, rotation)
    rotation = _without_kept(work, rotation, keys)
    old = [key_id for key_id in rotation.old_key_ids if key_id in keys]
    if old:
        _check_serves(work, rotation)
    _tell_gone(work, rotation, keys)
    for key_id in old:
        token = ring.token(key_id)
        if token is not None:
            work.last_seen[key_id] = token
        work.delete_key(rotation, key_id, "old key of the target")
    return work.save(rotation.reached("revoked", revoked_at=work.now))


def _check_serves(work: Work, rotation: Rotation) -> None:
    role = work.dify.account.role()
    if role not in DELETERS:
        raise PersonNeeded(
            f"the account is {role} now; only an admin or owner may delete keys",
            where=rotation.name,
            hint="Give the account the role admin again.",
        )
    token = work.held(rotation, "current")
    contradiction = work.keyring(rotation).probe(token) if token is not None else "it is gone"
    if contradiction is not None:
        raise PersonNeeded(
            f"the new key in the sink does not serve any more: {contradiction}",
            where=rotation.name,
            hint="Take the rotation back with `dify-etl keys rollback`.",
        )


def prove(work: Work, rotation: Rotation) -> Rotation:
    """The old key is not listed, and gets 401 for as long as a cache may answer."""
    assert rotation.revoked_at is not None
    ring = work.keyring(rotation)
    until = rotation.revoked_at + work.cache_lives
    # Dify's time is known to a second: without a cache nothing is waited for.
    may_be_cached = work.cache_lives > timedelta(0) and work.now < until
    tokens = _old_tokens(work, rotation)
    is_dead = all(_is_dead(work, rotation, token) for token in tokens)
    if rotation.old_key_ids and may_be_cached:
        told = "refused" if tokens and is_dead else "a cache of Dify may let the old key live"
        return work.waiting(rotation, f"{told}; looks again after {_minute(until)}")
    if not is_dead:
        raise PersonNeeded(
            "the old key is deleted, but the service API still takes it",
            where=rotation.name,
            hint="Restart Dify's API processes and their Redis cache, then run again.",
        )
    left = {key.api_key_id for key in ring.listed()} & set(rotation.old_key_ids)
    if left:
        return work.save(rotation.having(state="drained"))
    how = "401" if tokens else "not in the list" if rotation.old_key_ids else "no old key"
    proven = rotation.having(proof=how, message="")
    return work.end(proven, "proven", "verified", f"old key is dead: {how}")


def _old_tokens(work: Work, rotation: Rotation) -> list[SecretStr]:
    """Tokens of the revoked keys as far as anybody still has them: the sink, or this run."""
    found = [work.last_seen[one] for one in rotation.old_key_ids if one in work.last_seen]
    previous = work.held(rotation, "previous")
    if work.keyring(rotation).fingerprint(previous) in rotation.old_fingerprints and previous:
        found.append(previous)
    return found


def _is_dead(work: Work, rotation: Rotation, token: SecretStr) -> bool:
    try:
        work.keyring(rotation).probe(token)
    except KeyRefused:
        return True
    return False


def _minute(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"
