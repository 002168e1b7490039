"""The packages of a cluster, which are in an environment of their own beside ours."""

import os
import subprocess
from pathlib import Path

from dify_etl.private_files import flock

ROOT = Path(__file__).parents[2]
READY = ROOT / ".venv-cluster" / ".ready"


def cluster_packages() -> Path:
    """The folder of the packages; made where `make test` did not."""
    with open(ROOT / "Makefile", "rb") as file:
        flock(file)
        if not READY.exists():
            subprocess.run(["make", "-s", ".venv-cluster/.ready"], cwd=ROOT, check=True)
    (found,) = READY.parent.glob("lib/python3*/site-packages")
    return found


def with_cluster_packages() -> dict[str, str]:
    """What an interpreter of ours needs in its environment to find them, and the project."""
    return {"PYTHONPATH": f"{cluster_packages()}{os.pathsep}{ROOT}"}
