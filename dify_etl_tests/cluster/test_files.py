"""The files of deploy/cluster: Dagster, Celery and Kubernetes take them as they are.

One process looks at all of them: it has the packages of a cluster, and ours has not.
"""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from dify_etl_tests.cluster.packages import ROOT, with_cluster_packages

CLUSTER = ROOT / "deploy" / "cluster"
DOCUMENT = (ROOT / "docs" / "cluster.md").read_text("utf-8")


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What `checked_files` says."""
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "dify_etl_tests.cluster.checked_files",
            tmp_path_factory.mktemp("f"),
        ],
        env=with_cluster_packages(),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-5000:]
    return json.loads(done.stdout)


def pods() -> dict[str, dict[str, Any]]:
    """The pods of the deployments, by name."""
    documents = [
        one
        for name in ("control", "workspace-sales")
        for one in yaml.safe_load_all((CLUSTER / "kubernetes" / f"{name}.yaml").read_text("utf-8"))
    ]
    return {
        one["metadata"]["name"]: one["spec"]["template"]["spec"]
        for one in documents
        if one["kind"] == "Deployment"
    }


def test_dagster_takes_its_settings_and_celery_its_own(checked: Any) -> None:
    """Both dagster.yaml: classes that there are, with a configuration that they know."""
    assert checked["classes"] == {
        "celery": [
            "dagster_postgres.DagsterPostgresStorage",
            "dify_etl.cluster.celery_runs.WorkspaceRunLauncher",
        ],
        "kubernetes": [
            "dagster_postgres.DagsterPostgresStorage",
            "dagster_k8s.K8sRunLauncher",
        ],
    }
    # A run that lasts for a day is neither forgotten nor handed out a second time.
    week = 7 * 24 * 3600
    assert checked["queue"]["result_expires"] == week
    assert checked["queue"]["broker_transport_options"]["visibility_timeout"] == week
    assert checked["tasks"] == ["execute_job"]


def test_run_that_is_silent_for_half_a_minute_is_dead(checked: Any) -> None:
    """By this machine's own clock, and not while the backend was away; whoever beats again lives,
    and one that has ended is well.
    """
    living, dead = ["RUNNING"] * 9, ["FAILED"]
    assert checked["health"] == [*living, *dead, "RUNNING", "SUCCESS"]


def test_run_that_no_worker_has_is_told_as_such(checked: Any) -> None:
    """The daemon then ends it with these words; it raised KeyError at every look."""
    status, words, *_ = checked["without_task"]
    assert status == "WorkerStatus.UNKNOWN"
    assert words.startswith("No worker has this run: a command began it")


def test_address_of_the_page_is_one_that_celery_takes(checked: Any) -> None:
    """With TLS it wants to know how certificates are checked."""
    assert checked["broker"] == "RedisBackend"


def test_both_have_the_limits_of_many_workspaces() -> None:
    """One run per pool, so per Dify server; a dead worker is noticed within a minute."""
    for kind in ("celery", "kubernetes"):
        settings = yaml.safe_load((CLUSTER / kind / "dagster.yaml").read_text("utf-8"))
        assert settings["concurrency"]["pools"] == {"default_limit": 1, "granularity": "run"}
        assert settings["run_monitoring"]["enabled"] is True
        assert settings["run_monitoring"]["poll_interval_seconds"] <= 15
        assert settings["telemetry"] == {"enabled": False}


def test_kubernetes_takes_all_manifests(checked: Any) -> None:
    """By its own schemas, which know no key too many; and the job that Dagster makes of a run."""
    assert {"Deployment/control", "Deployment/code-sales", "Role/dify-etl-control"} < {
        *checked["resources"]
    }
    assert checked["job"]["spec"]["backoffLimit"] == 0  # a night is not begun anew behind our back


def test_pods_have_no_more_than_they_need(checked: Any) -> None:
    """Deployments and runs alike: nobody's user, read-only, no capability, bounded memory; a token
    of Kubernetes where jobs are made alone.
    """
    found = {**pods(), "run": checked["job"]["spec"]["template"]["spec"]}
    assert sorted(found) == ["code-sales", "control", "run"]
    for name, pod in found.items():
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod.get("automountServiceAccountToken", True) is (name == "control")
        (container,) = pod["containers"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert "memory" in container["resources"]["limits"]
        mounted = {one["mountPath"] for one in container["volumeMounts"]}
        assert {"/dagster", "/dagster/dagster.yaml", "/tmp"} <= mounted
        assert {one["name"] for one in container["volumeMounts"]} == {
            one["name"] for one in pod["volumes"]
        }
        assert all(
            "value" in one or "secretKeyRef" in one["valueFrom"]
            for one in container["env"]
            if one["name"] != "RUN_CONTEXT"
        )


def test_a_run_has_the_home_and_the_workspace_of_its_code_server(checked: Any) -> None:
    """Settings and volumes alike, on the same node."""
    run, code = checked["job"]["spec"]["template"]["spec"], pods()["code-sales"]
    own = {"DAGSTER_CURRENT_IMAGE", "RUN_CONTEXT"}

    def environment(pod: Any) -> list[Any]:
        of_pod = pod["containers"][0]["env"]
        return sorted(
            (one for one in of_pod if one["name"] not in own), key=lambda one: one["name"]
        )

    assert environment(run) == environment(code)

    def mounts(pod: Any) -> list[Any]:
        return sorted(pod["containers"][0]["volumeMounts"], key=lambda one: one["mountPath"])

    assert mounts(run) == mounts(code)
    volumes = [sorted(one["volumes"], key=lambda volume: volume["name"]) for one in (run, code)]
    assert volumes[0] == volumes[1]
    near = run["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    wanted = near[0]["labelSelector"]["matchLabels"]
    assert wanted == {"app.kubernetes.io/component": "code", "dify-etl/workspace": "sales"}


def test_a_second_workspace_is_made_as_the_file_says() -> None:
    """Nothing of the first one's is left in it."""
    text = (CLUSTER / "kubernetes" / "workspace-sales.yaml").read_text("utf-8")
    (command,) = re.findall(r"^#   sed 's/(\w+)/(\w+)/g' (\S+) > (\S+)$", text, re.MULTILINE)
    assert command == ("sales", "support", "workspace-sales.yaml", "workspace-support.yaml")
    made = [*yaml.safe_load_all(text.replace("sales", "support"))]
    assert len({one["metadata"]["name"] for one in made if one["kind"] != "Deployment"}) >= 3
    places = yaml.safe_load((CLUSTER / "kubernetes" / "workspace.yaml").read_text("utf-8"))
    services = [one["metadata"]["name"] for one in made if one["kind"] == "Service"]
    assert services[0] in [one["grpc_server"]["host"] for one in places["load_from"]]


def test_no_secret_stands_in_the_files() -> None:
    """They are named: variables, secrets of Kubernetes, files."""
    for path in CLUSTER.rglob("*"):
        if path.is_file() and path.suffix != ".lock":
            assert not re.search(r"://\w*:[^@\s{]+@", path.read_text("utf-8")), path


def test_the_document_names_every_file() -> None:
    """Nobody has to find out what one is for."""
    files = [one for one in CLUSTER.rglob("*") if one.is_file() and one.suffix != ".in"]
    assert [str(one.name) for one in files if one.name not in DOCUMENT] == []
    assert Path("docs/cluster.md").name in (ROOT / "docs" / "README.md").read_text("utf-8")
