"""Runs that have not ended: how long they are waited for."""

from datetime import datetime, timedelta

# How long an unfinished run is read again every night before it is taken for dead.
PATIENCE = {
    "running": timedelta(days=7),
    "paused": timedelta(days=90),
    "scheduled": timedelta(days=90),
}


def is_zombie(status: str, created_at: datetime, now: datetime) -> bool:
    """Whether an unfinished run is so old that it is not waited for any more."""
    return status in PATIENCE and now - created_at > PATIENCE[status]
