"""What a read of a feed says of itself: slices with their state, and the sums."""

from dataclasses import dataclass
from datetime import date

from dify_etl.warehouse.upsert import Changes

STATES = ("proven", "unproven", "incomplete", "failed")


def state_of(missing: str | None, doubt: str | None) -> str:
    """The one rule of what is proven: nothing is `missing` that a later read may bring, and nothing
    in `doubt`, such as rows that are not shown to this account.
    """
    return "incomplete" if missing else "unproven" if doubt else "proven"


@dataclass(frozen=True)
class Slice:
    """The outcome for one feed, app and local day; `expected` is Dify's own count, if it tells."""

    app_id: str | None
    day: date | None
    state: str
    rows: int = 0
    expected: int | None = None
    requests: int = 0
    reason: str | None = None
    is_settled: bool = False
    in_quarantine: str | None = None
    forgotten: int = 0

    @classmethod
    def judged(
        cls,
        app_id: str | None,
        day: date | None,
        rows: int = 0,
        *,
        missing: str | None = None,
        doubt: str | None = None,
        expected: int | None = None,
        requests: int = 0,
        is_settled: bool = False,
    ) -> "Slice":
        """A slice that was read, in the state that follows from what is `missing` or in `doubt`."""
        return cls(
            app_id,
            day,
            state_of(missing, doubt),
            rows,
            expected,
            requests,
            reason=missing or doubt,
            is_settled=is_settled,
        )


@dataclass(frozen=True)
class FeedReport:
    """What a read of one feed did. Seconds are wall time; bytes are bodies as received.

    `is_given_up`: it ended with a bug, so nothing is said of slices that it did not come to.
    """

    feed: str
    table_changes: dict[str, Changes]
    quarantined: int
    requests: int
    retries: int
    received_bytes: int
    seconds: float
    states: dict[str, int]
    failures: tuple[Slice, ...]
    is_given_up: bool = False

    @property
    def changes(self) -> Changes:
        """Changes of the feed's own table."""
        return self.table_changes.get(self.feed, Changes())

    @property
    def state(self) -> str:
        """The worst state among its slices; proven when there was nothing to read."""
        return next((state for state in reversed(STATES) if self.states.get(state)), "proven")
