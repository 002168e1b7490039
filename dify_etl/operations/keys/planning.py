"""Which rotations go on and which begin: the plan that is shown, and that applying makes again."""

import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from pydantic import SecretStr

from dify_etl.dify.client import DifyClient
from dify_etl.operations.errors import TargetUnknown
from dify_etl.operations.keys.adopting import advice_for, is_ours
from dify_etl.operations.keys.errors import RotationRefused, SinkFailed
from dify_etl.operations.keys.inventory import HeldKey, Inventory, current_key_id
from dify_etl.operations.keys.policy import Policy
from dify_etl.operations.keys.sinks.protocol import SecretSink
from dify_etl.operations.keys.states import NO_SUCH_TARGET, Rotation
from dify_etl.operations.keys.targets import KeyTarget, Readers
from dify_etl.operations.plan import Plan, Step, Target

OPERATION = "keys.rotate"
REVOCATION = "keys.revoke"
NO_WAY_BACK = "cannot be taken back: the entry never held the old key"
BEFORE_IT = "to keep a way back, write the key in use into it first"
REST_AFTER_ROLLBACK = timedelta(days=7)  # whoever took a rotation back had a reason


@dataclass(frozen=True)
class Asked:
    """What a person asks for beyond the policy.

    `targets`: names of targets (`app / consumer`) or of apps, due or not; others are left alone.
    `compromised`: ids of keys that leaked: replaced and revoked without a grace period.
    """

    targets: tuple[str, ...] = ()
    compromised: frozenset[str] = frozenset()

    def names(self, target: KeyTarget | Rotation) -> bool:
        """Whether a target, or the target of a rotation, is meant."""
        return bool({target.name, target.app_name, target.app_id} & set(self.targets))


@dataclass(frozen=True)
class RotationPlan:
    """The plan, and for each of its steps the rotation that it begins or goes on with.

    `held_back`: what is due but waits for a later run, or cannot be planned, and why. `stopped`:
    those lines of it that no later run mends by itself, so that a person has to hear of them.
    `readers`: whose entries may hold a key that is to be deleted.
    """

    plan: Plan
    rotations: tuple[Rotation, ...]
    held_back: tuple[str, ...] = ()
    stopped: tuple[str, ...] = ()
    readers: Readers = field(default_factory=Readers)


def plan_rotations(
    dify: DifyClient,
    policy: Policy,
    inventory: Inventory,
    sinks: Mapping[str, SecretSink],
    asked: Asked | None = None,
) -> RotationPlan:
    """What a run would do now. TargetUnknown when nothing has a name that was asked for;
    RotationRefused when a compromised key belongs to no target, or none can be replaced.
    """
    asked = asked or Asked()
    _check_targets(asked, [*inventory.targets, *inventory.rotations], inventory.problems)
    planner = _Planner(dify, policy, inventory, sinks, asked)
    rotations = (*planner.going_on(), *planner.beginning())
    _check_compromised(asked, policy, inventory, rotations, planner)
    plan = _plan(OPERATION, dify, inventory, rotations, sinks)
    with_plan = tuple(one.having(plan_id=plan.plan_id) for one in rotations)
    stopped = (*inventory.problems, *planner.stopped)
    held_back = (*stopped, *planner.held_back)
    return RotationPlan(plan, with_plan, held_back, stopped, inventory.readers)


def plan_revocations(
    dify: DifyClient,
    policy: Policy,
    inventory: Inventory,
    handed_over: Sequence[Rotation],
    sinks: Mapping[str, SecretSink],
) -> RotationPlan:
    """The rest of rotations whose plan was agreed to: they keep its id."""
    rotations = tuple(_as_policy_says(one, policy, inventory) for one in handed_over)
    plan = _plan(REVOCATION, dify, inventory, rotations, sinks)
    return RotationPlan(plan, rotations, readers=inventory.readers)


class _Planner:
    def __init__(
        self,
        dify: DifyClient,
        policy: Policy,
        inventory: Inventory,
        sinks: Mapping[str, SecretSink],
        asked: Asked,
    ) -> None:
        self._dify, self._policy, self._inventory = dify, policy, inventory
        self._sinks, self._asked = sinks, asked
        self.held_back: list[str] = []
        self.stopped: list[str] = []
        self.refused: dict[str, SinkFailed | RotationRefused] = {}  # by the key to be replaced

    def going_on(self) -> list[Rotation]:
        """Open rotations, with what the policy says about them now."""
        asked, found = self._asked, []
        for one in self._inventory.rotations:
            is_leaked = bool(asked.compromised & set(one.old_key_ids))
            is_meant = asked == Asked() or asked.names(one) or is_leaked
            if one.is_over or not is_meant:
                continue
            current = _as_policy_says(one, self._policy, self._inventory)
            found.append(current.having(is_compromised=one.is_compromised or is_leaked))
        return found

    def beginning(self) -> list[Rotation]:
        """New rotations: of leaked keys all, then the oldest keys, no more than a run may begin."""
        due: list[tuple[bool, str, Rotation]] = []
        for target in self._inventory.targets:
            if self._is_busy(target):
                continue
            try:
                draft = self._draft(target)
                if draft is not None:
                    due.append((not draft.is_compromised, self._made(target), draft))
            except (SinkFailed, RotationRefused) as error:
                self.stopped.append(f"{target.name}: {error}")
                self.refused |= {held.key.api_key_id: error for held in self._old(target)}
            except KeyError as error:
                self.stopped.append(f"{target.name}: {error}")
        due.sort(key=lambda one: one[:2])
        most = max(self._policy.most_per_run, sum(one.is_compromised for *_, one in due))
        self.held_back += [f"{one.name}: waits for a later run" for *_, one in due[most:]]
        return [one for *_, one in due[:most]]

    def _is_busy(self, target: KeyTarget) -> bool:
        """A rotation whose old key is revoked no longer stands in the way of the next."""
        own = self._inventory.of_target(target)
        return any(not one.is_over and one.state != "revoked" for one in own)

    def _draft(self, target: KeyTarget) -> Rotation | None:
        old = self._old(target)
        leaked = bool({held.key.api_key_id for held in old} & self._asked.compromised)
        reason = "compromised" if leaked else self._reason(target)
        if reason is None:
            return None
        self._check_scope(target, old)
        held = self._sinks[target.sink].read(target.entry, "current")
        if not holds_ours(self._dify, self._inventory, target, held):
            raise RotationRefused(
                "the entry holds something that is no key of this target",
                where=f"sink {target.sink}, {self._sinks[target.sink].place(target.entry)}",
                hint=advice_for(target.name),
            )
        return Rotation(
            rotation_id=uuid.uuid4().hex,
            target_id=target.target_id,
            consumer=target.consumer,
            workspace_id=self._inventory.workspace_id,
            app_id=target.app_id,
            app_name=target.app_name,
            sink=target.sink,
            entry=target.entry,
            plan_id="",
            reason=reason,
            grace_seconds=self._policy.grace(target.rule).total_seconds(),
            revoke_unobserved=self._policy.revokes_unobserved(target.rule),
            is_compromised=leaked,
            old_key_ids=tuple(sorted(held.key.api_key_id for held in old)),
            old_fingerprints=self._fingerprints(target, old),
            found_empty=held is None,
            started_at=self._inventory.at,
            updated_at=self._inventory.at,
        )

    def _check_scope(self, target: KeyTarget, old: Sequence[HeldKey]) -> None:
        """RotationRefused for a key of some datasets: the new one would open them all."""
        if target.app_id is not None:
            return
        current = self._current(target)
        for held in [*old, *([current] if current else [])]:
            scope = held.key.dataset_ids.load() if held.key.dataset_ids else None
            if scope:
                raise RotationRefused(
                    f"key {held.key.api_key_id} is for {len(scope)} datasets alone, and a new one "
                    "would be for all",
                    where=target.name,
                    hint="Make its successor in Dify's console, for the same datasets, put it into "
                    "the entry, and delete this one; or leave the target out of the policy.",
                )

    def _reason(self, target: KeyTarget) -> str | None:
        if self._asked.targets:
            return "asked for" if self._asked.names(target) else None
        if self._asked.compromised or self._rests(target):
            return None
        current = self._current(target)
        if current is None:
            return "there is no key of this target in Dify"
        max_age = self._policy.max_age(target.rule)
        if self._inventory.at - current.key.created_at >= max_age:
            return f"older than {max_age.days} days"
        return self._sink_differs(target)

    def _rests(self, target: KeyTarget) -> bool:
        own = self._inventory.of_target(target)
        if not own or own[-1].state != "rolled_back":
            return False
        until = own[-1].updated_at + REST_AFTER_ROLLBACK
        if self._inventory.at >= until:
            return False
        self.held_back.append(
            f"{target.name}: was taken back, and rests until {until:%Y-%m-%d %H:%M} UTC; name it "
            "to begin sooner"
        )
        return True

    def _sink_differs(self, target: KeyTarget) -> str | None:
        """What is wrong with what consumers get; another key than the last rotation's is."""
        held = self._sinks[target.sink].read(target.entry, "current")
        if held is None:
            return "the sink holds no key"
        last = [one for one in self._inventory.of_target(target) if one.is_promoted]
        if last and self._dify.api_keys.fingerprint_of(held) != last[-1].new_fingerprint:
            return "the sink holds another key"
        return None

    def _current(self, target: KeyTarget) -> HeldKey | None:
        """The key whose age counts: what the last rotation made, else the oldest named one, else
        the one that the sink holds. RotationRefused when masks do not tell which that is.
        """
        held = self._inventory.of_app(target.app_id)
        made = current_key_id(self._inventory.of_target(target))
        if made is not None:
            return next((one for one in held if one.key.api_key_id == made), None)
        named = [one for one in held if one.key.api_key_id in target.rule.key_ids]
        if named:
            return min(named, key=lambda one: one.key.created_at)
        token = self._sinks[target.sink].read(target.entry, "current")
        return None if token is None else self._key_of(token, target, held)

    def _key_of(
        self, token: SecretStr, target: KeyTarget, held: Sequence[HeldKey]
    ) -> HeldKey | None:
        """The key with this token; None when it is none of these."""
        judged = [(one, self._dify.api_keys.is_of(one.key, token)) for one in held]
        fitting = [one for one, is_it in judged if is_it]
        if len(fitting) == 1:
            return fitting[0]
        possible = [one for one, is_it in judged if is_it is not False]
        if not possible:
            return None
        ids = ", ".join(sorted(one.key.api_key_id for one in possible))
        raise RotationRefused(
            f"Dify masks its keys, and by what it shows any of these may be the one in the sink: "
            f"{ids}",
            where=f"{target.name}, sink {target.sink}, entry {target.entry}",
            hint="Name the target's key under key_ids in the policy. Nothing was made or revoked.",
        )

    def _made(self, target: KeyTarget) -> str:
        current = self._current(target)
        return current.key.created_at.isoformat() if current is not None else ""

    def _old(self, target: KeyTarget) -> list[HeldKey]:
        """Keys of the target that the new one replaces: named by the policy or made for it."""
        held = self._inventory.of_app(target.app_id)
        return [one for one in held if one.target == target and one.standing in ("current", "old")]

    def _fingerprints(self, target: KeyTarget, old: Sequence[HeldKey]) -> tuple[str, ...]:
        ids = {held.key.api_key_id for held in old}
        made = [one for one in self._inventory.of_target(target) if one.new_key_id in ids]
        found = {held.key.token_fingerprint for held in old} | {one.new_fingerprint for one in made}
        # Where lists are masked, what consumers use today tells itself by what the list shows; but
        # not when it looks like a key that stays as well.
        used = self._sinks[target.sink].read(target.entry, "current")
        if used is not None:
            app = self._inventory.of_app(target.app_id)
            fitting = {
                one.key.api_key_id for one in app if self._dify.api_keys.is_of(one.key, used)
            }
            if fitting and fitting <= ids:
                found.add(self._dify.api_keys.fingerprint_of(used))
        return tuple(sorted(one for one in found if one))


def _as_policy_says(rotation: Rotation, policy: Policy, inventory: Inventory) -> Rotation:
    """With what the policy says now, and the workspace, where a ledger of before has none. Where
    the policy has no such target any more, what has begun goes on as it was, but for what the
    defaults allow; no key is made for nobody.
    """
    rotation = rotation.having(workspace_id=inventory.workspace_id)
    for target in inventory.targets:
        if target.target_id == rotation.target_id:
            return rotation.having(
                grace_seconds=policy.grace(target.rule).total_seconds(),
                revoke_unobserved=policy.revokes_unobserved(target.rule),
                is_target_gone=False,
            )
    rotation = rotation.having(is_target_gone=True)
    if rotation.state == "planned" and not rotation.has_asked:
        return rotation.having(
            state="withdrawing", ending="failed", message=NO_SUCH_TARGET, tries=0
        )
    allows = rotation.revoke_unobserved or policy.defaults.revoke_unobserved
    return rotation.having(revoke_unobserved=allows)


def named_target(inventory: Inventory, name: str) -> KeyTarget:
    """The one target of a name. TargetUnknown when there is none, or several."""
    found = [target for target in inventory.targets if Asked((name,)).names(target)]
    if len(found) == 1:
        return found[0]
    names = ", ".join(repr(one.name) for one in found or inventory.targets)
    raise TargetUnknown(
        f"{'several targets have' if found else 'no target has'} the name {name!r}",
        where="rotation policy",
        hint=f"Name one of: {names or 'none, the policy has no target'}.",
    )


def holds_ours(
    dify: DifyClient, inventory: Inventory, target: KeyTarget, held: SecretStr | None
) -> bool:
    """Whether a rotation of the target may overwrite what its entry holds."""
    return is_ours(
        dify.api_keys,
        held,
        listed=[one.key for one in inventory.of_app(target.app_id)],
        made=inventory.of_target(target),
        adopted=lambda: inventory.adopted(target.target_id),
    )


def _plan(
    operation: str,
    dify: DifyClient,
    inventory: Inventory,
    rotations: Sequence[Rotation],
    sinks: Mapping[str, SecretSink],
) -> Plan:
    steps = tuple(_step(operation, one, inventory, sinks) for one in rotations)
    return Plan(operation, dify.origin, inventory.workspace_id, steps, dify.seal)


def _step(
    operation: str,
    rotation: Rotation,
    inventory: Inventory,
    sinks: Mapping[str, SecretSink],
) -> Step:
    sink = sinks.get(rotation.sink)
    place = rotation.entry if sink is None else sink.place(rotation.entry)
    made = {held.key.api_key_id: held.key.created_at for held in inventory.keys}
    old = {key: made[key].isoformat() for key in rotation.old_key_ids if key in made}
    return Step(
        operation=operation,
        target=Target("keys of target", rotation.target_id, rotation.name),
        before={"state": rotation.state, "keys": dict(old), "new_key": rotation.new_key_id},
        after={
            "state": _goal(rotation),
            "keys": {},
            "new_key": rotation.new_key_id or "(made by Dify)",
            "sink": f"{rotation.sink}: {place}",
            "reason": rotation.reason,
            "grace_hours": rotation.grace.total_seconds() / 3600,
        },
        is_irreversible=bool(old),
        note="\n".join(_notes(rotation)),
    )


def _notes(rotation: Rotation) -> Iterator[str]:
    if rotation.has_asked and rotation.message:
        yield rotation.message
    if rotation.has_no_way_back:
        yield NO_WAY_BACK if rotation.is_promoted else f"{NO_WAY_BACK}: {BEFORE_IT}"


def _goal(rotation: Rotation) -> str:
    return rotation.ending or "proven"


def _check_targets(
    asked: Asked, known: Sequence[KeyTarget | Rotation], problems: Sequence[str]
) -> None:
    for name in asked.targets:
        if not any(Asked((name,)).names(one) for one in known):
            raise TargetUnknown(
                "; ".join([f"the policy has no target named {name!r} to rotate", *problems]),
                where="--target",
                hint="Name an app, or `app / consumer`, as `dify-etl keys list` shows them.",
            )


def _check_compromised(
    asked: Asked,
    policy: Policy,
    inventory: Inventory,
    rotations: Collection[Rotation],
    planner: _Planner,
) -> None:
    """RotationRefused for a key that no target has. One that cannot be replaced now keeps no other
    from being replaced: it is told beside their plan, and refused where it is the only one.
    """
    for key_id in sorted(asked.compromised):
        if any(key_id in one.old_key_ids for one in rotations):
            continue
        refusal = planner.refused.get(key_id)
        if refusal is not None:
            told = RotationRefused(
                f"key {key_id} cannot be replaced: {refusal.what}",
                where=refusal.where,
                hint=refusal.hint,
            )
        else:
            told = _no_target_has(key_id, policy, inventory, rotations)
        if refusal is None or not rotations:
            raise told


def _no_target_has(
    key_id: str, policy: Policy, inventory: Inventory, rotations: Collection[Rotation]
) -> RotationRefused:
    hint = "Name it under key_ids of its target first, or delete it in the console."
    named = [rule.consumer for rule in policy.targets if key_id in rule.key_ids]
    if made := [one for one in rotations if one.new_key_id == key_id]:
        hint = f"It is new: `dify-etl keys rollback {made[0].rotation_id}` takes it back."
    elif key_id in policy.exclude.key_ids:
        hint = "It stands under exclude.key_ids: take it out there, or delete it in the console."
    elif named and all(held.key.api_key_id != key_id for held in inventory.keys):
        reasons = "; ".join(inventory.problems) or "no target's app has this key in Dify"
        hint = f"It is named under key_ids of {named[0]!r}, but {reasons}."
    return RotationRefused(
        f"key {key_id} is no key that a target would replace", where="--compromised", hint=hint
    )
