"""The process that serves the code location to web application and daemon, over a socket.

    python -m dify_etl.ui.code_server <socket> <module> <name of the code location> <colored | json>
        <home> [reload] [alone]

With `reload` the UI can load the code anew (what `dify-etl dev` is for); it takes a process more.
With `alone`, when no other serves from this DAGSTER_HOME, runs are ended before in Dagster's
storage whose processes are gone: after a power failure they would stand there as started for ever,
and with one run at a time no night would ever begin.
"""

import json
import logging
import sys
from collections.abc import Iterable
from pathlib import Path

from dagster import DagsterInstance, DagsterRun, DagsterRunStatus, RunsFilter
from dagster._cli import create_dagster_cli
from dagster._core.storage.tags import GRPC_INFO_TAG

from dify_etl.home import Home
from dify_etl.private_files import lock_holder
from dify_etl.ui.instance import opened_instance
from dify_etl.ui.log_lines import set_up_logs
from dify_etl.ui.marks import HOME_TAG, is_deserted

UNDER_WAY = (DagsterRunStatus.STARTING, DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING)
GONE = (
    "The process of this run is gone: dify-etl or the machine was stopped hard. What was committed "
    "is kept, and the next night reads the rest."
)


def end_gone_runs(instance: DagsterInstance, home: Path) -> list[str]:
    """Mark runs as failed whose code server does not answer any more, and those of `dify-etl sync`
    in this `home`, whose lock nobody holds; answers their ids. All others are left alone.
    """
    runs = instance.get_runs(RunsFilter(statuses=list(UNDER_WAY)))
    return [_end(instance, run) for run in runs if _is_gone(run, home)]


def _is_gone(run: DagsterRun, home: Path) -> bool:
    launched_by = json.loads(run.tags.get(GRPC_INFO_TAG, "{}"))
    if path := launched_by.get("socket"):
        return is_deserted(path)
    # A sync holds the lock from before its run is there until after its end.
    is_of_home = run.tags.get(HOME_TAG) == str(home)
    return is_of_home and lock_holder(Home(home).sync_lock) is None


def _end(instance: DagsterInstance, run: DagsterRun) -> str:
    if run.status is DagsterRunStatus.CANCELING:
        instance.report_run_canceled(run, message=GONE)
    else:
        instance.report_run_failed(run, message=GONE)
    return run.run_id


def _command(
    path: str, module: str, location: str, log_format: str, *, can_reload: bool
) -> Iterable[str]:
    kind = ("code-server", "start") if can_reload else ("api", "grpc")
    where = ("-m", module, "--location-name", location, "-s", path)
    return (*kind, *where, "--log-level", "warning", "--log-format", log_format)


def _clear(log: logging.Logger, home: Path, *, is_alone: bool) -> None:
    try:
        with opened_instance() as instance:
            for run_id in end_gone_runs(instance, home) if is_alone else ():
                log.warning("run %s was under way when its process was stopped hard", run_id)
    except Exception as error:  # its message may hold the address with the password
        log.error(
            "Dagster's storage does not answer (%s): look at DIFY_ETL_DAGSTER_STORAGE or at "
            "dagster.yaml in DAGSTER_HOME",
            type(error).__name__,
        )
        sys.exit(1)


if __name__ == "__main__":
    path, module, location, log_format, home, *how = sys.argv[1:]
    log = set_up_logs("json" if log_format == "json" else "colored")
    _clear(log, Path(home), is_alone="alone" in how)
    command = _command(path, module, location, log_format, can_reload="reload" in how)
    sys.argv = ["dagster", *command]
    create_dagster_cli()()  # type: ignore[no-untyped-call]
