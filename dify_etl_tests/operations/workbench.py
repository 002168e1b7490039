"""An operator over a simulated Dify in process, whose clock moves only when somebody waits."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path

from dify_etl.assembly.sync_proof import LiveSyncProof
from dify_etl.dify import DifyClient
from dify_etl.dify.http.clock import Clock
from dify_etl.home import Home
from dify_etl.operations.applying import Operation, Operator, Result, operator_of
from dify_etl.operations.audit import AuditEntry, AuditFile
from dify_etl.operations.keys.first_keys import PolicyFirstKeys
from dify_etl.operations.keys.ledger import RotationLedger
from dify_etl.operations.keys.policy import Policy
from dify_etl.operations.keys.running import KeyRotation
from dify_etl.operations.keys.sinks.file import FileSink
from dify_etl.operations.plan import Cap
from dify_etl.operations.request import OperationContext
from dify_etl.time_zones import zone_of
from dify_etl_tests.dify.pretend_workspace import client_of, quiet_world
from dify_simulated import Faults, SimulatedDify, World
from dify_simulated.server.faults import Fault
from dify_simulated.world.rows import App

ANY = Cap(1000)


@dataclass
class Workbench:
    """A world, its server, a home for the audit."""

    home: Path
    version: str = "1.12.1"
    world: World = field(default_factory=quiet_world)
    faults: Faults | None = None
    email: str | None = None
    waited: float = 0.0
    policy: Policy = field(default_factory=Policy)

    def __post_init__(self) -> None:
        self.server = SimulatedDify(self.world, self.version)

    @property
    def clock(self) -> Clock:
        """The world's time; sleeping moves it."""
        return Clock(
            now=self.world.now,
            monotonic=lambda: self.world.now().timestamp(),
            sleep=self.wait,
        )

    @property
    def tenant(self) -> str:
        """The workspace that the owner works in."""
        return self.world.workspace_id

    def wait(self, seconds: float) -> None:
        """Let time pass in the world."""
        self.waited += seconds
        self.world.set_now(self.world.now() + timedelta(seconds=seconds))

    @contextmanager
    def client(self) -> Iterator[DifyClient]:
        """A client that is logged in as the owner, or as `email`."""
        with client_of(self.server, self.email, clock=self.clock) as dify:
            yield dify

    @contextmanager
    def operator(self) -> Iterator[Operator]:
        """An operator with a client of its own."""
        with self.client() as dify:
            yield operator_of(dify, AuditFile(Home(self.home).audit), clock=self.clock)

    def context(self, operator: Operator) -> OperationContext:
        """Where an operation of the bench is planned; its sync has read nothing."""
        sync_proof_at = partial(LiveSyncProof, self.home, zone_of("UTC"))
        first_keys = partial(self.first_keys, operator)
        return OperationContext(operator, self.home, sync_proof_at, first_keys)

    def first_keys(self, operator: Operator) -> PolicyFirstKeys:
        """First keys by the policy of the bench, into the file `keys.env` of its home."""
        rotation = KeyRotation(
            dify=operator.dify,
            policy=self.policy,
            sinks={"file": FileSink(self.home / "keys.env", "dotenv")},
            ledger=RotationLedger(self.home),
            trail=operator.trail,
            actor=operator.actor,
        )
        return PolicyFirstKeys(rotation)

    def audit(self) -> Sequence[AuditEntry]:
        """What the audit holds."""
        return AuditFile(Home(self.home).audit).entries()

    def outcomes(self) -> list[str]:
        """The outcomes of the audit, in order."""
        return [entry.outcome for entry in self.audit()]


def applied(operator: Operator, operation: Operation) -> tuple[Result, ...]:
    """Apply an operation that was just planned, whatever it deletes."""
    return operator.apply(operation, operation.plan.plan_id, cap=ANY, is_sure=True)


def undrawn_app(bench: Workbench, mode: str) -> App:
    """A workflow or chatflow of which nobody has saved a draft."""
    return bench.world.add_app(
        name="empty",
        mode=mode,
        at=bench.world.now(),
        created_by=bench.world.account_id,
        tenant_id=bench.world.workspace_id,
    )


def lose_answers(bench: Workbench, method: str, path_part: str, *, times: int = 1) -> None:
    """The server does the next such requests, but their answers are lost."""
    left = [times]

    def after(number: int, asked: str, path: str, status: int) -> Fault | None:
        if asked == method and path_part in path and left[0]:
            left[0] -= 1
            return Fault.LOST
        return None

    bench.server.faults = Faults(after_request=after)


def drop_requests(bench: Workbench, method: str, path_part: str) -> None:
    """The server never gets the next such request; to the client it looks the same."""

    def before(number: int, asked: str, path: str) -> Fault | None:
        return Fault.RESET if asked == method and path_part in path else None

    bench.server.faults = Faults(before_request=before)
