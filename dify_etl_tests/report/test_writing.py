"""A report is written for its owner, over reports alone, and again only when the copy changed."""

import stat
from pathlib import Path

import duckdb
import pytest

from dify_etl.home import COPY, Home
from dify_etl.report.figures import read_figures
from dify_etl.report.writing import is_report, keep_report, language_of_file, write_report
from dify_etl.warehouse.errors import ExportRefused, NothingPublished
from dify_etl_tests.cli.hand_made_copy import hand_made


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy with three messages, most marts missing."""
    return hand_made(tmp_path_factory.mktemp("made")).home / COPY


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Path:
    """A copy of the test's own, in a home."""
    path = tmp_path / "home" / COPY
    path.parent.mkdir()
    path.write_bytes(made.read_bytes())
    return path


def change(copy: Path, statement: str) -> None:
    with duckdb.connect(str(copy)) as connection:
        connection.execute(statement)


def test_it_is_its_owners_and_replaces_reports_alone(copy: Path, tmp_path: Path) -> None:
    """Mode 0600; a file of somebody, a link and another ending are refused and stay."""
    target = tmp_path / "report.html"
    size = write_report(copy, target)
    assert (target.stat().st_size, stat.S_IMODE(target.stat().st_mode)) == (size, 0o600)
    write_report(copy, target, language="zh")
    assert b'<html lang="zh-Hans">' in target.read_bytes()
    theirs, link = tmp_path / "theirs.html", tmp_path / "link.html"
    theirs.write_text("<p>mine</p>")
    link.symlink_to(theirs)
    for path in (theirs, link, tmp_path / "report.pdf", tmp_path / "no" / "report.html"):
        with pytest.raises(ExportRefused):
            write_report(copy, path)
    assert theirs.read_text() == "<p>mine</p>"


def test_kept_report_is_written_when_the_copy_changed(copy: Path) -> None:
    """A new publication of the same does not write it; it keeps its language. A file that is no
    report stays, and says so.
    """
    home = copy.parent
    first = keep_report(home, copy)
    assert (first.is_new, first.path.parent) == (True, Home(home).reports)
    assert stat.S_IMODE(first.path.parent.stat().st_mode) == 0o700
    later = "UPDATE ops.published SET published_at = published_at + INTERVAL 1 HOUR"
    change(copy, later)
    assert not keep_report(home, copy).is_new
    write_report(copy, first.path, language="zh")
    change(copy, "INSERT INTO ops.slices (feed, state) VALUES ('documents', 'failed')")
    assert keep_report(home, copy).is_new
    assert language_of_file(first.path) == "zh"
    first.path.write_bytes(first.path.read_bytes()[:100])
    assert not is_report(first.path)
    with pytest.raises(ExportRefused):
        keep_report(home, copy)


def test_folder_that_cannot_be_made_is_told(copy: Path) -> None:
    """Something else stands where reports are kept."""
    Home(copy.parent).reports.write_text("mine")
    with pytest.raises(ExportRefused, match="folder of reports"):
        keep_report(copy.parent, copy)


def test_copy_without_a_run_has_no_report(copy: Path, tmp_path: Path) -> None:
    """Nothing was published into it."""
    change(copy, "DELETE FROM ops.published")
    with pytest.raises(NothingPublished):
        write_report(copy, tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


def test_mart_that_is_missing_says_so(copy: Path) -> None:
    """An older copy, or a model that does not build, costs its section alone."""
    tables = read_figures(copy)["tables"]
    assert "errors does not exist" in tables["errors"]["missing"]
    assert "missing" not in tables["latency_of_days"]
