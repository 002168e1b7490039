"""Objects that were no valid record come back once they can be read."""

from datetime import timedelta

import httpx

from dify_etl.feeds.quarantine import Retried, retry_quarantine, waiting_objects
from dify_etl_tests.sync.answers_changed import ChangedAnswers, rows_changed
from dify_etl_tests.sync.conftest import Open
from dify_etl_tests.sync.small_worlds import quiet_world, run, talk
from dify_etl_tests.sync.workplace import NOW, Workplace


def spoiled(workplace: Open, path_end: str, field: str) -> Workplace:
    """A workspace read while one row of one list had a field of a wrong type."""
    place = workplace(quiet_world("chat", "workflow"))
    talk(place.world, at=NOW - timedelta(days=1))
    run(place.world, at=NOW - timedelta(days=1))
    place.transport = ChangedAnswers(
        httpx.WSGITransport(app=place.server),
        rows_changed(path_end, lambda at, row: row if at else {**row, field: ["wrong"]}),
    )
    place.read()
    return place


def retry(place: Workplace) -> Retried:
    with place.opened() as sync:
        return retry_quarantine(sync)


def test_object_that_is_still_wrong_stays(workplace: Open) -> None:
    """A retry without a fix loads nothing and keeps the object with its error."""
    place = spoiled(workplace, "/chat-messages", "answer")
    assert retry(place) == Retried(loaded=0, wrong=1, without_object=0)
    with place.opened() as sync:
        (waiting,) = waiting_objects(sync.database)
    assert waiting.rejected.error_path == "answer"


def test_object_that_can_be_read_now_is_loaded(workplace: Open) -> None:
    """After the fix a retry brings the field into its row, once."""
    place = spoiled(workplace, "/chat-messages", "answer")
    assert place.value("SELECT count(*) FROM raw.messages WHERE odd_fields = 'answer'") == 1
    with place.opened() as sync:
        sync.database.execute(
            "UPDATE ops.quarantine SET raw_json = replace(raw_json, '[\"wrong\"]', '\"right\"')"
        )
    assert retry(place) == Retried(loaded=1, wrong=0, without_object=0)
    assert retry(place) == Retried(loaded=0, wrong=0, without_object=0)
    assert place.value("SELECT count(odd_fields) FROM raw.messages") == 0
    assert place.value("SELECT count(*) FROM raw.messages WHERE answer = 'right'") == 1


def test_node_comes_back_with_its_run(workplace: Open) -> None:
    """What only the address of an endpoint tells (the run of a node) is kept with the object."""
    place = spoiled(workplace, "/node-executions", "title")
    with place.opened() as sync:
        sync.database.execute(
            "UPDATE ops.quarantine SET raw_json = replace(raw_json, '[\"wrong\"]', '\"right\"')"
        )
    assert retry(place).loaded == 1
    assert place.value(
        "SELECT count(*) FROM raw.node_executions n JOIN raw.workflow_runs w "
        "USING (workflow_run_id) WHERE n.title = 'right'"
    )
