"""Files of a home in which a person is named: which are found, and what becomes of each."""

import shutil
import sqlite3
from pathlib import Path

from dify_etl.assembly.named_files import Searched, clean_files, find_files
from dify_etl.home import Home

CALLER, NEW = "user-005", "person-0123456789abcdef"
SEARCHED = Searched((CALLER,), frozenset())


def test_files_of_other_homes_are_not_touched(tmp_path: Path) -> None:
    """Those of other workspaces lie below the home that one had before there were several."""
    nested = (tmp_path / "workspaces" / "new", tmp_path / "elsewhere")
    for other in nested:
        (other / "exports").mkdir(parents=True)
        for file in ("audit.jsonl", "session.json", "exports/talks.csv"):
            (other / file).write_text(f"of {CALLER}\n")
    (tmp_path / "workspaces" / "a.csv").write_text(f"of {CALLER}\n")
    (tmp_path / "elsewhere" / "home.json").write_text('{"dify": "server", "is_shared": false}')
    (tmp_path / "rows").mkdir()
    (tmp_path / "rows" / "home.json").write_text(f'{{"dify": "{CALLER}"}}')  # a file of rows
    found = find_files(Home(tmp_path), (), SEARCHED)
    fates = {str(one.path.relative_to(tmp_path)): one.fate for one in found}
    assert fates == {"rows/home.json": "deleted"}
    clean_files(found, SEARCHED, NEW)
    assert all((one / "exports" / "talks.csv").exists() for one in nested)
    assert not (tmp_path / "rows" / "home.json").exists()


def test_folders_of_other_workspaces_are_left_alone(tmp_path: Path) -> None:
    """Wherever the file of workspaces puts them: exported apps lie in no home of their own."""
    exports = tmp_path / "exports"
    for name in ("mine", "theirs"):
        (exports / name).mkdir(parents=True)
        (exports / name / "talks.csv").write_text(f"of {CALLER}\n")
    found = find_files(Home(tmp_path), (), SEARCHED, [exports / "theirs"])
    assert [one.path for one in found] == [exports / "mine" / "talks.csv"]


def test_every_folder_of_dagster_is_cleaned(tmp_path: Path) -> None:
    """A workspace's runs are in its own, or in the one of all workspaces, beside its home."""
    home = tmp_path / "home"
    logs = [one / "dagster" / "compute.err" for one in (home, tmp_path)]
    for log in logs:
        log.parent.mkdir(parents=True)
        log.write_text(f"trouble with {CALLER}\n")
    (tmp_path / "dagster" / "dagster.yaml").write_text("storage: {postgres: {}}\n")
    found = find_files(Home(home), [one.parent for one in logs], SEARCHED)
    assert {(one.path, one.fate) for one in found} == {
        *((one, "written anew") for one in logs),
        (tmp_path / "dagster" / "dagster.yaml", "left"),
    }
    clean_files(found, SEARCHED, NEW)
    assert [one.read_text() for one in logs] == [f"trouble with {NEW}\n"] * 2


def test_events_that_sqlite_had_not_put_away_are_kept(tmp_path: Path) -> None:
    """A run of Dagster that was killed leaves the newest events beside the file."""
    dagster = tmp_path / "dagster"
    dagster.mkdir()
    events = dagster / "runs.db"
    writing = sqlite3.connect(events)
    writing.execute("PRAGMA journal_mode = WAL")
    writing.execute("CREATE TABLE event_logs (id INTEGER, event TEXT)")
    writing.commit()
    for number in range(50):
        event = CALLER if number == 5 else "other"
        writing.execute("INSERT INTO event_logs VALUES (?, ?)", [number, event])
        writing.commit()
    for end in ("", "-wal", "-shm"):  # as a killed process leaves them
        shutil.copy(f"{events}{end}", dagster / f"copy.db{end}")
    writing.close()
    events.unlink()
    clean_files(find_files(Home(tmp_path), (dagster,), SEARCHED), SEARCHED, NEW)
    with sqlite3.connect(dagster / "copy.db") as kept:
        named = f"count(*) FILTER (WHERE event = '{NEW}')"
        counted = kept.execute(f"SELECT count(*), {named} FROM event_logs").fetchone()
    assert counted == (50, 1)


def test_ledger_of_key_rotations_is_named_and_left(tmp_path: Path) -> None:
    """It says which key of which app is where: a name in it is for people to judge."""
    with sqlite3.connect(tmp_path / "key_rotations.sqlite") as ledger:
        ledger.execute("CREATE TABLE rotations (app_name TEXT, message TEXT)")
        ledger.execute("INSERT INTO rotations VALUES (?, ?)", [f"of {CALLER}", "done"])
    (found,) = find_files(Home(tmp_path), (), SEARCHED)
    assert (found.path.name, found.fate) == ("key_rotations.sqlite", "left")
