"""Checks the files of deploy/cluster with the packages of a cluster; prints what they come to.

    python -m dify_etl_tests.cluster.checked_files <folder for files of its own>

Prints JSON: `classes` (of each dagster.yaml those of storage and launcher, whose configuration fits
them), `tasks` and `queue` (tasks and settings of the application that a Celery worker starts),
`health` (of a run, over time), `without_task` (the same of one that no worker has), `broker` (what
serves the address of the page), `resources` (kinds and names that fit the schemas of Kubernetes),
`job` (what a run becomes there).
"""

import importlib
import json
import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any
from unittest.mock import patch

import kubernetes
import yaml
from celery import Celery
from dagster import DagsterRun
from dagster._config import process_config
from dagster._core.instance import InstanceRef
from dagster_k8s import K8sRunLauncher
from dagster_k8s.container_context import K8sContainerContext
from dagster_k8s.job import construct_dagster_k8s_job
from kubernetes_validate import validate

ROOT = Path(__file__).parents[2]
CLUSTER = ROOT / "deploy" / "cluster"
SCHEMA = "1.34"
KUBECONFIG = """
{apiVersion: v1, kind: Config, current-context: none, users: [],
 clusters: [{name: none, cluster: {server: "http://127.0.0.1:9"}}],
 contexts: [{name: none, context: {cluster: none, user: none}}]}
"""
SECRETS = {
    "DAGSTER_POSTGRES_URL": "postgresql://dagster:planted-secret@127.0.0.1:9/dagster",
    "DAGSTER_CELERY_BROKER_URL": "redis://:planted-secret@127.0.0.1:9/0",
}


def main(folder: Path) -> dict[str, Any]:
    """Check everything; raises what is wrong."""
    os.environ.update(SECRETS)
    found: dict[str, Any] = {"classes": {}}
    for kind in ("celery", "kubernetes"):
        home = folder / kind
        home.mkdir()
        shutil.copy(CLUSTER / kind / "dagster.yaml", home)
        ref = InstanceRef.from_dir(str(home))  # validates all but the configuration of classes
        found["classes"][kind] = [
            _configured(one) for one in (ref.storage_data, ref.run_launcher_data)
        ]
    os.environ["DAGSTER_HOME"] = str(folder / "celery")
    worker = importlib.import_module("dify_etl.cluster.celery_worker")
    found["tasks"] = [name for name in worker.app.tasks if not name.startswith("celery.")]
    found["queue"] = {
        name: worker.app.conf[name]
        for name in ("broker_url", "result_backend", "result_expires", "broker_transport_options")
    }
    found["broker"] = type(_backend_of_the_page()).__name__
    runs = importlib.import_module("dify_etl.cluster.celery_runs")
    found["health"] = _health(runs)
    found["without_task"] = _launcher(runs).check_run_worker_health(DagsterRun("nightly_sync"))
    manifests = [
        one
        for file in sorted((CLUSTER / "kubernetes").glob("*.yaml"))
        for one in yaml.safe_load_all(file.read_text("utf-8"))
        if "apiVersion" in one
    ]
    for one in manifests:
        validate(one, SCHEMA, strict=True)
    found["resources"] = [f"{one['kind']}/{one['metadata']['name']}" for one in manifests]
    (context,) = [json.loads(one["data"]["context"]) for one in manifests if "data" in one]
    found["job"] = _job(context, folder)
    validate(found["job"], SCHEMA, strict=True)
    return found


def _backend_of_the_page() -> Any:
    """What Celery makes of the broker's address in docs/cluster.md."""
    page = (ROOT / "docs" / "cluster.md").read_text("utf-8")
    address = re.search(r"^DAGSTER_CELERY_BROKER_URL=(\S+)$", page, re.MULTILINE)
    assert address
    return Celery(broker=address[1], backend=address[1]).backend


def _health(runs: Any) -> list[str]:
    """What the launcher says of a run as time passes and Celery's backend tells of its task."""
    launcher = _launcher(runs)
    run = DagsterRun("nightly_sync", tags={"dagster-celery/task_id": "task"})
    now, told = 0.0, []
    started: list[tuple[float, str, int | None]] = [
        (0, "", None),
        (10, "STARTED", 1),
        (15, "STARTED", 1),
        (10, "STARTED", 1),
        (10, "STARTED", 2),
        (600, "", None),  # the backend was away
        (10, "STARTED", 3),
        (15, "", None),
        (14, "", None),
        (1, "", None),
        (0, "STARTED", 4),
        (1, "SUCCESS", None),
    ]
    for seconds, state, beat in started:
        now += seconds
        if state:
            launcher.celery.backend.store_result("task", {runs.BEAT: beat}, state)
        with patch.object(runs.time, "monotonic", lambda: now):  # noqa: B023 # called at once
            told.append(launcher.check_run_worker_health(run).status.value)
    return told


def _launcher(runs: Any) -> Any:
    return runs.WorkspaceRunLauncher(
        default_queue="dagster", broker="memory://", backend="cache+memory://"
    )


def _configured(data: Any) -> str:
    """The class, whose configuration is as it wants it."""
    name = f"{data.module_name}.{data.class_name}"
    kind = getattr(importlib.import_module(data.module_name), data.class_name)
    result = process_config(kind.config_type(), data.config_dict)
    if not result.success:
        raise ValueError(f"{name}: {[error.message for error in result.errors or ()]}")
    return name


def _job(context: dict[str, Any], folder: Path) -> Any:
    """The job that the launcher makes of a run whose code server has this context."""
    (folder / "kubeconfig").write_text(KUBECONFIG)
    settings = yaml.safe_load((CLUSTER / "kubernetes" / "dagster.yaml").read_text("utf-8"))
    outside = {"load_incluster_config": False, "kubeconfig_file": str(folder / "kubeconfig")}
    launcher = K8sRunLauncher(**settings["run_launcher"]["config"], **outside)
    run = DagsterRun("nightly_sync")
    of_all = K8sContainerContext.create_for_run(run, launcher, include_run_tags=False)
    merged = of_all.merge(K8sContainerContext.create_from_config(context))
    job = construct_dagster_k8s_job(
        merged.get_k8s_job_config(job_image="dify-etl-cluster:1", run_launcher=launcher),
        args=["dagster", "api", "execute_run", "{}"],
        job_name="dagster-run-1",
        user_defined_k8s_config=merged.run_k8s_config,
    )
    return kubernetes.client.ApiClient().sanitize_for_serialization(job)


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1])), default=str))
