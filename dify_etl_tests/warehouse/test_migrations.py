"""Steps of several versions run one after another, each once."""

from pathlib import Path

from dify_etl.home import LIVE
from dify_etl.warehouse.database import Database, open_database
from dify_etl.warehouse.migrations import Migration, migrate_home


def test_steps_that_look_for_the_same_search_once(tmp_path: Path) -> None:
    """A home of long ago lacks several of them, and a search goes through all rows; the next start
    searches no more, and a step that comes later does.
    """
    searched = list[str]()

    def search(database: Database) -> int:
        searched.append("secrets")
        return 5

    def other(database: Database) -> int:
        searched.append("other")
        return 2

    steps = (Migration(1, "one", search), Migration(2, "two", other), Migration(3, "three", search))
    with open_database(tmp_path / LIVE) as database:
        database.execute("CREATE TABLE raw.notes (id BIGINT)")
    lines = list[str]()
    for known in (steps, steps, (*steps, Migration(4, "four", search))):
        migrate_home(tmp_path, known, wait_seconds=1, tell=lines.append)

    assert searched == ["secrets", "other", "secrets"]
    assert [line.partition(": ")[2] for line in lines] == [
        *("one: 5 rows", "two: 2 rows", "three: 0 rows", "four: 5 rows"),
    ]
