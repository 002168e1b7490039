"""What a terminal and an asset call: look, plan, apply, take back."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from dify_etl.dify.client import DifyClient
from dify_etl.dify.errors import AppGone, DifyError, NotFound
from dify_etl.errors import ActionableError
from dify_etl.operations.audit import AuditTrail, Outcome, Signature
from dify_etl.operations.keys.adopting import ADOPTION, adoption_step
from dify_etl.operations.keys.creating import create
from dify_etl.operations.keys.errors import PersonNeeded, RotationRefused, SinkFailed
from dify_etl.operations.keys.handing_over import announce, promote, test
from dify_etl.operations.keys.inventory import Inventory, checked_workspace, take_inventory
from dify_etl.operations.keys.keyring import Keyring
from dify_etl.operations.keys.ledger import RotationLedger
from dify_etl.operations.keys.planning import (
    Asked,
    RotationPlan,
    holds_ours,
    named_target,
    plan_revocations,
    plan_rotations,
)
from dify_etl.operations.keys.policy import Policy
from dify_etl.operations.keys.revoking import prove, revoke, watch
from dify_etl.operations.keys.sinks.protocol import SecretSink
from dify_etl.operations.keys.states import REVOKING, Rotation, State
from dify_etl.operations.keys.targets import KeyTarget, is_target_gone
from dify_etl.operations.keys.withdrawing import check_takes_back, withdraw
from dify_etl.operations.keys.work import Notify, Work, nobody
from dify_etl.operations.plan import Plan, Step, Target, check_fresh

ROLLBACK = "keys.rollback"


@dataclass(frozen=True)
class KeyRotation:
    """The rotation of the keys of one workspace under one policy. `actor`: who does it."""

    dify: DifyClient
    policy: Policy
    sinks: Mapping[str, SecretSink]
    ledger: RotationLedger
    trail: AuditTrail
    actor: str
    service_api_url: str | None = None
    notify: Notify = nobody

    def inventory(self, *, all_apps: bool = True) -> Inventory:
        """All keys, or those of the policy's targets."""
        rotations = self.ledger.rotations()
        taken = take_inventory(self.dify, self.policy, rotations, all_apps=all_apps)
        return replace(taken, adopted=self.ledger.adoptions)

    def plan(self, asked: Asked | None = None) -> RotationPlan:
        """What a run would do now, and what would stop it. Nothing is changed, but for a note at
        failed rotations whose target is gone, or is there again.
        """
        inventory = self.inventory(all_apps=False)
        for one in inventory.rotations:
            is_gone = one.state == "failed" and is_target_gone(one, inventory.readers)
            if is_gone != one.is_target_gone and one.is_over:
                self.ledger.write(one.having(is_target_gone=is_gone))
        return self.plan_over(inventory, asked)

    def plan_over(self, inventory: Inventory, asked: Asked | None = None) -> RotationPlan:
        """The same over an inventory that was taken."""
        planned = plan_rotations(self.dify, self.policy, inventory, self.sinks, asked)
        obstacles = tuple(self._obstacles(planned.rotations))
        return replace(
            planned,
            held_back=(*planned.held_back, *obstacles),
            stopped=(*planned.stopped, *obstacles),
        )

    def _obstacles(self, rotations: Sequence[Rotation]) -> Iterator[str]:
        """Why a key that is promised could not be made now: a line per rotation."""
        for one in rotations:
            if one.has_asked or one.state != "planned":
                continue
            ring = Keyring(self.dify, one.app_id, service_api_url=self.service_api_url)
            try:
                ring.check_ready()
            except RotationRefused as error:
                yield f"{one.name} would stop: {error}"

    def apply(
        self, plan_id: str | None, asked: Asked | None = None, *, revokes: bool = True
    ) -> tuple[Rotation, ...]:
        """Do what the plan of this id says (None: the plan of now, for a schedule), each rotation
        as far as it goes now.

        With `revokes` false it ends where both keys live; `revoke` is the other half. Raises
        PlanStale when the plan of now is another, RotationRunning when another run is on.
        """
        with self.ledger.exclusive():
            planned = self.plan(asked)
            if plan_id is not None:
                check_fresh(planned.plan, plan_id)
            for rotation in planned.rotations:
                self.ledger.write(rotation)
            halts = () if revokes else REVOKING
            return self._advanced(planned, planned.rotations, halts)

    def revoke(self, plan_id: str | None = None) -> tuple[Rotation, ...]:
        """Watch, revoke and prove, for the rotations that an applied plan (None: any) handed over.

        Raises RotationRunning when another run is on.
        """
        with self.ledger.exclusive():
            handed_over = [
                one
                for one in self.ledger.rotations()
                if one.state in REVOKING and plan_id in (None, one.plan_id)
            ]
            inventory = self.inventory(all_apps=False)
            planned = plan_revocations(self.dify, self.policy, inventory, handed_over, self.sinks)
            return self._advanced(planned, planned.rotations)

    def plan_adoption(self, name: str) -> RotationPlan:
        """What it would mean to let rotations of a target overwrite what its entry holds now.

        Nothing is to be done where it is empty or ours. TargetUnknown, SinkFailed.
        """
        _, _, plan = self._adoption(name)
        return RotationPlan(plan, ())

    def adopt(self, name: str, plan_id: str) -> None:
        """Let rotations of a target overwrite that value, and no other. PlanStale."""
        with self.ledger.exclusive():
            target, digest, plan = self._adoption(name)
            check_fresh(plan, plan_id)
            self._record_adoption(plan, "begun")
            self.ledger.adopt(target.target_id, digest)
            self._record_adoption(plan, "verified")

    def _record_adoption(self, plan: Plan, outcome: Outcome) -> None:
        at = self.dify.server_time()
        self.trail.record(
            Signature(plan, self.actor).entry(1, outcome, at=at, message="what the entry holds")
        )

    def _adoption(self, name: str) -> tuple[KeyTarget, str, Plan]:
        """The target of a name, the digest of what its entry holds, and the plan to adopt it."""
        inventory = self.inventory(all_apps=False)
        target = named_target(inventory, name)
        sink = self.sinks[target.sink]
        held = sink.read(target.entry, "current")
        digest = None if held is None else self.dify.api_keys.digest_of(held)
        steps: tuple[Step, ...] = ()
        if digest is not None and not holds_ours(self.dify, inventory, target, held):
            place = f"{target.sink}: {sink.place(target.entry)}"
            of_target = Target("keys of target", target.target_id, target.name)
            steps = (adoption_step(of_target, place, digest),)
        workspace = inventory.workspace_id
        plan = Plan(ADOPTION, self.dify.origin, workspace, steps, self.dify.seal)
        return target, digest or "", plan

    def plan_rollback(self, rotation_id: str) -> RotationPlan:
        """What taking a rotation back would do. RotationRefused when it cannot be taken back."""
        rotation, inventory = self._open(rotation_id), self.inventory(all_apps=False)
        rotation = rotation.having(workspace_id=inventory.workspace_id)
        step = Step(
            operation=ROLLBACK,
            target=Target("keys of target", rotation.target_id, rotation.name),
            before={"state": rotation.state, "new_key": rotation.new_key_id},
            after={"state": "rolled_back", "new_key": None},
            is_irreversible=True,
        )
        workspace = inventory.workspace_id
        plan = Plan(ROLLBACK, self.dify.origin, workspace, (step,), self.dify.seal)
        planned = RotationPlan(plan, (rotation,), readers=inventory.readers)
        check_takes_back(self._work(planned), rotation)
        return planned

    def roll_back(self, rotation_id: str, plan_id: str) -> Rotation:
        """Give the sink its old key again, then delete the new one."""
        with self.ledger.exclusive():
            planned = self.plan_rollback(rotation_id)
            check_fresh(planned.plan, plan_id)
            leaving = planned.rotations[0].having(
                state="withdrawing",
                ending="rolled_back",
                message="taken back by a person",
                plan_id=plan_id,
                tries=0,
            )
            self.ledger.write(leaving)
            return self._advanced(planned, [leaving])[0]

    def _advanced(
        self, planned: RotationPlan, rotations: Sequence[Rotation], halts: Collection[State] = ()
    ) -> tuple[Rotation, ...]:
        work = self._work(planned)
        done = []
        for number, rotation in enumerate(rotations, start=1):
            work.number = number
            done.append(advance(work, rotation, halts=halts))
        return tuple(done)

    def _open(self, rotation_id: str) -> Rotation:
        opened = [one for one in self.ledger.rotations() if not one.is_over]
        found = [one for one in opened if rotation_id and one.rotation_id.startswith(rotation_id)]
        if len(found) == 1:
            return found[0]
        raise RotationRefused(
            f"{'several open rotations have' if found else 'no open rotation has'} the id "
            f"{rotation_id!r}",
            where=str(self.ledger.path),
            hint="`dify-etl keys status` lists them.",
        )

    def _work(self, planned: RotationPlan) -> Work:
        return Work(
            dify=self.dify,
            sinks=self.sinks,
            ledger=self.ledger,
            trail=self.trail,
            signature=Signature(planned.plan, self.actor),
            readers=planned.readers,
            service_api_url=self.service_api_url,
            kept_key_ids=frozenset(self.policy.exclude.key_ids),
            notify=self.notify,
        )


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
            # A person may switch the workspace while a run is on.
            checked_workspace(work.dify, [rotation])
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
    """A list of keys says 404 in words of its own; the app itself tells, in its own workspace."""
    try:
        if rotation.app_id is not None:
            work.dify.apps.get(rotation.app_id)
    except AppGone:
        current = work.dify.account.current_workspace().workspace_id
        return rotation.workspace_id in (None, current)
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
    return work.end(
        rotation.having(message=str(error), is_target_gone=True), "failed", "failed", error.what
    )
