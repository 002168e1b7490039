"""What is promised of a file holds in lakes, by the DuckDB whose extensions come as packages."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from dify_etl.private_files import flock
from dify_etl_tests.conftest import Tell
from dify_etl_tests.shared_warehouse.conftest import HAS_LAKE

ROOT = Path(__file__).parents[2]
LAKE = ROOT / ".venv-lake"
QUIET = ("-p", "no:xdist", "-p", "no:cacheprovider", "--durations=8")
READY = LAKE / ".ready"


def lake_packages() -> Path:
    """The folder of its packages; made where `make test` did not."""
    with open(ROOT / "Makefile", "rb") as file:
        flock(file)
        if not READY.exists():
            subprocess.run(["make", "-s", ".venv-lake/.ready"], cwd=ROOT, check=True)
    (found,) = LAKE.glob("lib/python3*/site-packages")
    return found


@pytest.mark.skipif(HAS_LAKE, reason="this is the run within")
def test_everything_holds_in_lakes(tell: Tell) -> None:
    """All tests of this folder again, in an interpreter that finds that DuckDB before ours."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *QUIET, str(Path(__file__).parent)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": f"{lake_packages()}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-20_000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None
    assert int(passed[1]) > 12
    for line in re.findall(r"^.*rows lost or doubled.*$", done.stdout, re.MULTILINE):
        tell(line)
