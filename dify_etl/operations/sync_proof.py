"""What an operation asks the ledger of the sync: whether an app's data are safely read."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True)
class Proof:
    """What the ledger of the sync says about an app's data.

    `lacking` names what is missing (empty: nothing), `unproven` what was read without proof;
    `read_at` is when the feed that was read longest ago was read last.
    """

    lacking: tuple[str, ...]
    unproven: tuple[str, ...]
    read_at: datetime | None


class SyncProof(Protocol):
    """The ledger of the sync."""

    def proof_of(self, app_id: str, *, since: datetime, mode: str) -> Proof:
        """What they say about all days of the app since it was made; what its mode needs."""
