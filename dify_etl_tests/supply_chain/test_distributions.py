"""What is built for users holds all that the program needs, and runs without the checkout."""

import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hatchling.builders.sdist import SdistBuilder
from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("README.md", "README.zh-CN.md", "SECURITY.md", "CHANGELOG.md")
LOOK = """
import sys; sys.path.insert(0, sys.argv[1])
from dify_etl.manual import pages
from dify_etl.project_files import project_file
from dify_etl.warehouse.models import sql_folder
settings = project_file("dagster.yaml")
assert str(settings).startswith(sys.argv[1]) and "enabled: false" in settings.read_text()
print(len([*sql_folder().glob("*/*.sql")]), len(pages()))
"""


def files_below(folder: str, pattern: str = "**/*") -> Iterator[str]:
    """Files of the checkout, but what Python compiled."""
    for path in (ROOT / folder).glob(pattern):
        if path.is_file() and path.suffix != ".pyc":
            yield str(path.relative_to(ROOT))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    return Path(next(iter(WheelBuilder(str(ROOT)).build(directory=str(folder)))))


def test_wheel_holds_program_models_and_manual(wheel: Path) -> None:
    """All of both packages; models, pages and Dagster's settings inside of one; nothing beside."""
    program = {*files_below("dify_etl"), *files_below("dify_simulated")}
    beside = [*files_below("sql"), *files_below("docs", "*.md"), *files_below("docs/examples")]
    beside += ["dagster.yaml", *PAGES]
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert held == program | {f"dify_etl/_project/{name}" for name in beside}


def test_wheel_needs_no_checkout(wheel: Path, tmp_path: Path) -> None:
    """Models, manual and settings of Dagster are found where it was unpacked."""
    zipfile.ZipFile(wheel).extractall(tmp_path)
    command = [sys.executable, "-c", LOOK, str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    counts = (len([*files_below("sql")]), len([*files_below("docs", "*.md")]) + 2)
    assert done.stdout.split() == [*map(str, counts)], done.stderr


def test_sdist_holds_what_the_wheel_is_made_of(tmp_path: Path) -> None:
    """And the tests, with what they need; no environment that was made in the checkout."""
    (path,) = SdistBuilder(str(ROOT)).build(directory=str(tmp_path))
    with tarfile.open(path) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    folders = ("dify_etl", "dify_simulated", "dify_etl_tests", "sql", "docs", "supply_chain")
    wanted = {name for folder in folders for name in files_below(folder)}
    wanted |= {*PAGES, "pyproject.toml", "LICENSE", "Makefile", "requirements.lock"}
    wanted |= {"dagster.yaml", "workspace.yaml", "CONTRIBUTING.md", "DECISIONS.md"}
    assert wanted - held == set()
    assert [name for name in held if name.startswith(".venv")] == []
