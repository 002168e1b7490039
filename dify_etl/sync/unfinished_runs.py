"""Runs that have not ended, or ended just now: how long they are waited for."""

from datetime import datetime, timedelta

# How long an unfinished run is read again every night before it is taken for dead.
PATIENCE = {
    "running": timedelta(days=7),
    "paused": timedelta(days=90),
    "scheduled": timedelta(days=90),
}

# Dify may write the rows of a run and of its nodes in the background, each in a task of its own
# (CORE_WORKFLOW_NODE_EXECUTION_REPOSITORY), and so after the status that says that the run ended.
WRITTEN_AFTER = timedelta(minutes=30)
# How long what is seen to be missing is waited for: nodes, or a run that a message names. Not for
# ever: nodes of a run that failed or was stopped may say `running` to the end, a run that went on
# after a pause counts a step twice, and runs are deleted.
MISSING_FOR = timedelta(hours=24)
OPEN_NODES = ("pending", "running", "paused")


def is_zombie(status: str, created_at: datetime, now: datetime) -> bool:
    """Whether an unfinished run is so old that it is not waited for any more."""
    return status in PATIENCE and now - created_at > PATIENCE[status]


def may_lack_nodes(ended_at: datetime, now: datetime, *, is_missing: bool) -> bool:
    """Whether nodes of a run that ended then may come or change yet; `is_missing`: fewer came than
    the run tells steps, or some that have not ended.
    """
    return now - ended_at < (MISSING_FOR if is_missing else WRITTEN_AFTER)
