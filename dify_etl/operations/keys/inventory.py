"""All keys of the workspace, and whose each is: of a target, of a rotation, of nobody known."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from dify_etl.dify.api_keys import ApiKey
from dify_etl.dify.client import DifyClient
from dify_etl.dify.errors import NotShown
from dify_etl.operations.apps import every_app
from dify_etl.operations.keys.errors import RotationRefused
from dify_etl.operations.keys.keyring import Keyring
from dify_etl.operations.keys.policy import Policy
from dify_etl.operations.keys.states import Rotation
from dify_etl.operations.keys.targets import DATASETS, KeyTarget, Readers, targets_of

# current: what the target's consumers get. old: may be revoked, once replaced. new: being handed
# over. kept: the policy says to leave it alone. unowned: nothing is known of it; only reported.
Standing = Literal["current", "old", "new", "kept", "unowned"]


@dataclass(frozen=True)
class HeldKey:
    """One key of Dify, and what the policy and the ledger know of it."""

    key: ApiKey
    app_name: str
    standing: Standing
    target: KeyTarget | None

    def age_days(self, now: datetime) -> int:
        """Whole days since it was made."""
        return (now - self.key.created_at).days


def _nothing(target_id: str) -> frozenset[str]:
    return frozenset()


@dataclass(frozen=True)
class Inventory:
    """What is there at one moment. `problems`: what of the policy fits nothing in Dify; `unseen`:
    which keys this account is not shown.
    """

    at: datetime
    targets: tuple[KeyTarget, ...]
    keys: tuple[HeldKey, ...]
    rotations: tuple[Rotation, ...]
    problems: tuple[str, ...]
    unseen: tuple[str, ...] = ()
    workspace_id: str = ""
    readers: Readers = field(default_factory=Readers)
    adopted: Callable[[str], frozenset[str]] = _nothing  # digests, by the id of a target

    def of_app(self, app_id: str | None) -> tuple[HeldKey, ...]:
        """The keys of an app, None: of the datasets."""
        return tuple(held for held in self.keys if held.key.app_id == app_id)

    def of_target(self, target: KeyTarget) -> tuple[Rotation, ...]:
        """A target's rotations, oldest first."""
        return tuple(one for one in self.rotations if one.target_id == target.target_id)


def take_inventory(
    dify: DifyClient, policy: Policy, rotations: tuple[Rotation, ...], *, all_apps: bool
) -> Inventory:
    """List keys: of all apps and the datasets, or only of those that a target or rotation names.

    Raises NotShown for keys that a target or rotation names; others are `unseen` then.
    RotationRefused when the account works in another workspace than the rotations.
    """
    workspace_id = checked_workspace(dify, rotations)
    apps = tuple(every_app(dify))
    targets, problems = targets_of(policy, apps)
    names: dict[str | None, str] = {app.app_id: app.name for app in apps}
    named = {target.app_id for target in targets}
    named |= {one.app_id for one in rotations if not one.is_over}
    asked = [app_id for app_id in names if all_apps or app_id in named]
    held: list[HeldKey] = []
    unseen: dict[str, list[str]] = defaultdict(list)
    for app_id in [*asked, *([None] if all_apps or None in named else [])]:
        name = names.get(app_id, DATASETS)
        try:
            keys = Keyring(dify, app_id).listed()
        except NotShown as error:
            if app_id in named:
                raise
            unseen[error.hint].append(name)
            continue
        held += [_held(key, name, targets, rotations, policy) for key in keys]
    return Inventory(
        dify.server_time(),
        targets,
        tuple(held),
        rotations,
        tuple(problems),
        _hidden_reasons(unseen),
        workspace_id,
        Readers(policy, apps),
    )


def checked_workspace(dify: DifyClient, rotations: Iterable[Rotation]) -> str:
    """The id of the workspace that the account works in. RotationRefused when these rotations are
    of another one: a person switched it, and keys of it are none of theirs.
    """
    current = dify.account.current_workspace().workspace_id
    kept = [one.workspace_id for one in rotations if one.workspace_id is not None]
    if kept and kept[-1] != current:
        raise RotationRefused(
            f"this home rotates keys of workspace {kept[-1]}, but the account works in workspace "
            f"{current} now",
            where="key_rotations.sqlite",
            hint="Switch the account back in Dify's console (a switch moves every session of the "
            "account), or give the other workspace a home of its own with DIFY_ETL_HOME. No key "
            "was made or deleted.",
        )
    return current


def policy_problems(dify: DifyClient, policy: Policy) -> tuple[str, ...]:
    """What of the policy cannot be: targets that fit no app of Dify or several, and the like."""
    return tuple(targets_of(policy, tuple(every_app(dify)))[1])


def current_key_id(rotations: Iterable[Rotation]) -> str | None:
    """The key that the last promotion of a target made, rotations oldest first."""
    promoted = [one.new_key_id for one in rotations if one.is_promoted]
    return promoted[-1] if promoted else None


def _hidden_reasons(unseen: Mapping[str, list[str]]) -> tuple[str, ...]:
    """A sentence per reason: whose keys, and to whom they are shown."""
    return tuple(
        f"{names[0]}{f' and {len(names) - 1} more' if names[1:] else ''}: not shown to this "
        f"account. {hint}"
        for hint, names in unseen.items()
    )


def _held(
    key: ApiKey,
    app_name: str,
    targets: tuple[KeyTarget, ...],
    rotations: tuple[Rotation, ...],
    policy: Policy,
) -> HeldKey:
    if key.api_key_id in policy.exclude.key_ids:
        return HeldKey(key, app_name, "kept", None)
    for target in targets:
        if target.app_id != key.app_id:
            continue
        own = [one for one in rotations if one.target_id == target.target_id]
        if key.api_key_id == current_key_id(own):
            return HeldKey(key, app_name, "current", target)
        if any(one.new_key_id == key.api_key_id and not one.is_over for one in own):
            return HeldKey(key, app_name, "new", target)
        made = {one.new_key_id for one in own}
        if key.api_key_id in made or key.api_key_id in target.rule.key_ids:
            is_used = current_key_id(own) is None
            return HeldKey(key, app_name, "current" if is_used else "old", target)
    return HeldKey(key, app_name, "unowned", None)
