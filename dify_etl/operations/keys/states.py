"""A rotation and its states, as the ledger keeps them: ids, fingerprints and times, no key.

planned -> created -> tested -> current -> overlap -> drained -> revoked -> proven
   |          |          |         |          |          |
   +----------+----------+---------+----------+----------+-> withdrawing -> failed, rolled_back
"""

from datetime import datetime, timedelta
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict

State = Literal[
    "planned",  # meant to be; Dify may have been asked for a key, the answer is not known yet
    "created",  # the new key exists and is pending in the sink
    "tested",  # the service API takes it, and it is the app's
    "current",  # consumers get it from the sink; read back
    "overlap",  # both keys live; the old one is watched
    "drained",  # nobody uses the old key any more, or it may go all the same
    "revoked",  # the old key is deleted
    "proven",  # and no longer works
    "withdrawing",  # the sink goes back to the old key, the new one is deleted
    "failed",  # ended without a new key
    "rolled_back",  # ended with the old key
]
OVER: frozenset[State] = frozenset({"proven", "failed", "rolled_back"})
PROMOTED: frozenset[State] = frozenset({"current", "overlap", "drained", "revoked", "proven"})
REVOKING: frozenset[State] = frozenset({"overlap", "drained", "revoked"})
TAKES_BACK: frozenset[State] = frozenset(
    {"planned", "created", "tested", "current", "overlap", "drained"}
)
NO_SUCH_TARGET = "the policy has no such target any more, and no key was made"


class Rotation(BaseModel):
    """One rotation of one target: what was meant, how far it came, and what it waits for."""

    model_config = ConfigDict(frozen=True)

    rotation_id: str
    target_id: str
    consumer: str
    workspace_id: str | None = None  # of Dify; None: begun before it was kept
    app_id: str | None  # None: the keys of the datasets
    app_name: str
    sink: str
    entry: str
    plan_id: str
    reason: str
    state: State = "planned"
    ending: Literal["failed", "rolled_back"] | None = None  # where withdrawing leads
    # What the policy said last.
    grace_seconds: float
    revoke_unobserved: bool = False
    is_compromised: bool = False
    old_key_ids: tuple[str, ...] = ()
    old_fingerprints: tuple[str, ...] = ()  # of those that could be told
    # Making the key: written before Dify is asked.
    listed_key_ids: tuple[str, ...] = ()
    create_began_at: datetime | None = None
    create_ended_at: datetime | None = None  # the answer, or the end of waiting for one
    create_was_answered: bool = False  # with an error of Dify: it did not go on with the request
    new_key_id: str | None = None
    new_fingerprint: str | None = None
    found_empty: bool = False  # the entry held nothing when the rotation was planned
    # Handing it over: what the sink held when the key was asked for (a digest), and before.
    found_digest: str | None = None
    replaced_fingerprint: str | None = None
    promoted_at: datetime | None = None
    probed_at: datetime | None = None  # our own call with the new key
    revoked_at: datetime | None = None
    proof: str | None = None
    tries: int = 0  # in a row without coming further
    message: str = ""  # what it waits for, or what went wrong
    needs_person: bool = False
    is_target_gone: bool = False  # the app is no more, or the policy has no such target
    started_at: datetime
    updated_at: datetime

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to do."""
        return self.state in OVER

    @property
    def has_asked(self) -> bool:
        """Whether Dify was asked for a key: there may be one."""
        return self.new_key_id is not None or self.create_began_at is not None

    @property
    def is_promoted(self) -> bool:
        """Whether consumers got the new key."""
        return self.state in PROMOTED

    @property
    def has_no_way_back(self) -> bool:
        """Whether an old key is replaced that the entry never held: once consumers get the new key,
        there is nothing to give back to them.
        """
        was_empty = self.replaced_fingerprint is None if self.is_promoted else self.found_empty
        return was_empty and bool(self.old_key_ids)

    @property
    def grace(self) -> timedelta:
        """How long both keys live side by side."""
        return timedelta(0) if self.is_compromised else timedelta(seconds=self.grace_seconds)

    @property
    def name(self) -> str:
        """For people: the app and its consumer."""
        return f"{self.app_name} / {self.consumer}"

    def having(self, **changes: Any) -> Self:
        """The same rotation with other values."""
        return self.model_copy(update=changes)

    def reached(self, state: State, **changes: Any) -> Self:
        """The rotation in its next state: nothing is waited for."""
        return self.having(state=state, tries=0, message="", needs_person=False, **changes)
