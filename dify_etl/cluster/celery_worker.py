"""The Celery application of a worker that executes the runs of one workspace.

    celery -A dify_etl.cluster.celery_worker worker -Q <workspace> -n <workspace>@%h

Broker and queues are those of the dagster.yaml in DAGSTER_HOME; the workspace is that of
DIFY_ETL_WORKSPACE, as everywhere.
"""

import itertools
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from celery import Celery, Task
from dagster._core.instance import InstanceRef
from dagster_celery.tasks import create_execute_job_task

from dify_etl.cluster.celery_runs import BEAT, BEATS_EVERY_SECONDS, WorkspaceRunLauncher

# A beat that hangs in a dead connection does not keep a run from its end.
JOIN_SECONDS = 30.0


class BeatingTask(Task):  # type: ignore[misc]  # not installed for mypy
    """A task whose process says that it lives, in the state that the launcher looks at."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Execute the task."""
        with _beating(self, str(self.request.id), str(self.request.hostname)):
            return super().__call__(*args, **kwargs)


@contextmanager
def _beating(task: Task, task_id: str, hostname: str) -> Iterator[None]:
    over = threading.Event()

    def beat() -> None:
        for number in itertools.count():
            state = {"pid": os.getpid(), "hostname": hostname, BEAT: number}
            try:
                task.update_state(task_id=task_id, state="STARTED", meta=state)
            except Exception as error:  # a backend that is away: the next beat tries again
                log = task.app.log.get_default_logger()
                log.warning("no heartbeat could be written: %s", type(error).__name__)
            if over.wait(BEATS_EVERY_SECONDS):
                return

    thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:  # before the end of the task is written, which a late beat would undo
        over.set()
        thread.join(JOIN_SECONDS)


def _application() -> Celery:
    folder = os.environ.get("DAGSTER_HOME")
    if not folder:
        raise RuntimeError("DAGSTER_HOME is not set: the folder of the cluster's dagster.yaml")
    launcher = InstanceRef.from_dir(folder).run_launcher
    if not isinstance(launcher, WorkspaceRunLauncher):
        raise RuntimeError(
            f"{folder}/dagster.yaml names another run_launcher than WorkspaceRunLauncher of "
            "dify_etl.cluster.celery_runs: deploy/cluster/celery/dagster.yaml is how it should be"
        )
    return launcher.celery


app = _application()
execute_job = create_execute_job_task(app, base=BeatingTask)
