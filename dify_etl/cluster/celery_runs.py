"""Dagster's launcher of whole runs as Celery tasks, with a queue per workspace and a heartbeat.

dagster-celery's own asks the result backend alone how a run is. There a task whose machine lost
its power stays STARTED for ever, so no run of that workspace would ever begin again.
"""

import time
from dataclasses import dataclass
from typing import Any

from dagster import DagsterRun
from dagster._core.launcher import CheckRunHealthResult, LaunchRunContext, WorkerStatus
from dagster_celery.launcher import CeleryRunLauncher
from dagster_celery.tags import DAGSTER_CELERY_QUEUE_TAG, DAGSTER_CELERY_TASK_ID_TAG

BEAT = "beat"  # in the state of a started task: a number that its process raises while it lives
BEATS_EVERY_SECONDS = 5.0
SILENT_SECONDS = 30.0
# Dagster looks every ten seconds. Of a longer time between two looks no more counts as silence:
# then the backend was away, and who lived could not say so.
LOOK_SECONDS = 15.0


@dataclass(frozen=True)
class _Seen:
    """The last heartbeat of a task, how long it is the last one, and when that was seen here:
    clocks of other machines play no part.
    """

    beat: int | None
    silent_seconds: float
    at: float


class WorkspaceRunLauncher(CeleryRunLauncher):  # type: ignore[misc]  # not installed for mypy
    """Sends each run to the queue that is named like its code location, so to the machine that has
    the home of that workspace; a run whose process is silent for SILENT_SECONDS is dead.
    """

    def __init__(self, **config: Any) -> None:
        super().__init__(**config)
        self._seen: dict[str, _Seen] = {}

    def launch_run(self, context: LaunchRunContext) -> None:
        """Put the run into its queue."""
        run = context.dagster_run
        origin = run.remote_job_origin
        if origin is not None and DAGSTER_CELERY_QUEUE_TAG not in run.tags:
            queue = {DAGSTER_CELERY_QUEUE_TAG: origin.location_name}
            self._instance.add_run_tags(run.run_id, queue)
            context = context._replace(dagster_run=run.with_tags({**run.tags, **queue}))
        super().launch_run(context)

    def terminate(self, run_id: str) -> bool:
        """Interrupt the run's process, which rolls back and says itself that it was canceled."""
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished or DAGSTER_CELERY_TASK_ID_TAG not in run.tags:
            return False
        self._instance.report_run_canceling(run)
        task = self.celery.AsyncResult(run.tags[DAGSTER_CELERY_TASK_ID_TAG])
        task.revoke(terminate=True, signal="SIGINT")
        return True

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """Whether the process of a started run lives."""
        task_id = run.tags.get(DAGSTER_CELERY_TASK_ID_TAG)
        if task_id is None:
            return CheckRunHealthResult(
                WorkerStatus.UNKNOWN,
                "No worker has this run: a command began it with this DAGSTER_HOME, and nobody can "
                "tell whether it lives. What it reads is kept all the same.",
            )
        task = self.celery.AsyncResult(task_id)
        state = task.state
        if state not in ("STARTED", "PENDING"):  # PENDING: Redis lost it, the next beat brings it
            self._seen.pop(task_id, None)
            health: CheckRunHealthResult = super().check_run_worker_health(run)
            return health
        info = task.info
        beat = info.get(BEAT) if isinstance(info, dict) else None
        now = time.monotonic()
        seen, silent = self._seen.get(task_id), 0.0
        if seen is not None and seen.beat == beat:
            silent = seen.silent_seconds + min(now - seen.at, LOOK_SECONDS)
        self._seen[task_id] = _Seen(beat, silent, now)
        if silent < SILENT_SECONDS:
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        del self._seen[task_id]
        host = info.get("hostname") if isinstance(info, dict) else None
        return CheckRunHealthResult(
            WorkerStatus.FAILED,
            f"The process of this run on {host or 'its worker'} is silent for "
            f"{silent:.0f} s: it or its machine died. What was committed is kept, and the "
            "next night reads the rest.",
        )
