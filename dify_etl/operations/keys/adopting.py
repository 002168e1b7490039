"""Whether a rotation may overwrite what stands in an entry: a typing error in the policy, or an app
under another's name, must not cost somebody's password.
"""

from collections.abc import Callable, Collection, Iterable

from pydantic import SecretStr

from dify_etl.dify.api_keys import ApiKey, ApiKeys
from dify_etl.operations.keys.states import Rotation
from dify_etl.operations.plan import Step, Target

ADOPTION = "keys.adopt"


def is_ours(
    keys: ApiKeys,
    held: SecretStr | None,
    *,
    listed: Iterable[ApiKey],
    made: Iterable[Rotation],
    adopted: Callable[[], Collection[str]],
) -> bool:
    """Whether an entry is empty, or holds a key that Dify lists for the target (where it masks
    them: one whose mask fits), that a rotation of the target made or replaced, or a value that the
    operator adopted for it (`adopted`: their digests, asked last).
    """
    if held is None or not held.get_secret_value().strip():
        return True
    if any(keys.is_of(key, held) for key in listed):
        return True
    known = {print_ for one in made for print_ in (one.new_fingerprint, one.replaced_fingerprint)}
    fingerprint = keys.fingerprint_of(held)
    if fingerprint is not None and fingerprint in known:
        return True
    return keys.digest_of(held) in adopted()


def advice_for(name: str) -> str:
    """What to do about an entry that is not ours."""
    return (
        "Correct sink or entry in the policy. If the value may go: "
        f"`dify-etl keys adopt '{name}'` shows it as a plan. No key was made."
    )


def adoption_step(target: Target, place: str, digest: str) -> Step:
    """What adopting means: `place` says where, `digest` which value; the value is not told."""
    held = f"no key of the target (digest {digest[:12]})"
    return Step(
        operation=ADOPTION,
        target=target,
        before={"place": place, "holds": held, "may be overwritten": False},
        after={"place": place, "holds": held, "may be overwritten": True},
        note=f"{place} holds {held}",
    )
