"""Retries of documents: one per call, followed to their end, never believed for their 204."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from dify_etl.operations.applying import Operation, Result
from dify_etl.operations.indexing import examine
from dify_etl.operations.indexing_retries import Patience, RetryHistory, retry_operation
from dify_etl_tests.operations.test_indexing import document, own_dataset
from dify_etl_tests.operations.workbench import Workbench, applied, lose_answers
from dify_simulated.world.rows import Document

DATASET = ["the handbook"]
RETRIES = "/datasets/{dataset_id}/retry"


def retried(
    bench: Workbench,
    while_waiting: Callable[[], None] = lambda: None,
    patience: Patience | None = None,
) -> tuple[Operation, tuple[Result, ...]]:
    """Look, plan and apply; `while_waiting` is what Dify's worker does between two looks."""
    with bench.operator() as operator:
        clock = operator.clock

        def sleep(seconds: float) -> None:
            bench.wait(seconds)
            while_waiting()

        operator = replace(operator, clock=replace(clock, sleep=sleep))
        report = examine(operator.dify, datasets=DATASET, clock=clock)
        history = RetryHistory(bench.audit())
        operation = retry_operation(operator, report, history, patience)
        return operation, applied(operator, operation)


def worker(
    bench: Workbench, *rows: Document, to: str, error: str | None = None
) -> Callable[[], None]:
    """Dify's worker: documents that wait get into this state."""

    def work() -> None:
        for row in rows:
            if row.indexing_status == "waiting":
                bench.world.set_indexing_status(row.id, to, at=bench.world.now(), error=error)

    return work


def sent(bench: Workbench) -> int:
    """How many retries reached Dify."""
    return len(bench.server.requests_of(RETRIES))


def test_failed_documents_are_retried_one_by_one(bench: Workbench) -> None:
    """Each has its call, is followed to `completed`, and needs no retry afterwards."""
    dataset = own_dataset(bench)
    rows = [document(bench, dataset, "error", error="disk full") for _ in "123"]
    _, results = retried(bench, worker(bench, *rows, to="completed"))
    assert [result.outcome for result in results] == ["verified"] * 3
    assert sent(bench) == 3
    assert {row.indexing_status for row in rows} == {"completed"}
    assert retried(bench)[1] == ()


def test_document_that_fails_again_is_no_success(bench: Workbench) -> None:
    """204, and an error of this try: the step failed with its reason."""
    row = document(bench, own_dataset(bench), "error", error="disk full")
    _, (result,) = retried(bench, worker(bench, row, to="error", error="disk still full"))
    assert (result.outcome, result.message) == ("failed", "failed again: disk still full")


def test_retry_that_does_nothing_is_found_out(bench: Workbench) -> None:
    """Dify answers 204 and leaves the document: its old error text is no new one."""
    row = document(bench, own_dataset(bench), "error", error="disk full")
    before = replace(row)

    def ignored() -> None:
        row.indexing_status, row.error = "error", "disk full"
        row.stopped_at, row.processing_started_at = before.stopped_at, before.processing_started_at

    with bench.operator() as operator:
        report = examine(operator.dify, datasets=DATASET, clock=bench.clock)
        operation = retry_operation(operator, report, RetryHistory())
        action = operation.actions[0]
        write = action.write

        def write_in_vain() -> object:
            answer = write()
            ignored()
            return answer

        in_vain = Operation(operation.plan, (replace(action, write=write_in_vain),))  # type: ignore[arg-type]
        (result,) = applied(operator, in_vain)
    assert result.outcome == "failed"
    assert "did not take the document up" in result.message


def test_long_work_is_accepted_and_not_awaited(bench: Workbench) -> None:
    """Taken up but not ready in time: done, and the next report shows what became of it."""
    document(bench, own_dataset(bench), "error", error="disk full")
    _, (result,) = retried(bench, patience=Patience(follow_seconds=30))
    assert result.outcome == "done"
    assert "still waiting after 30 s" in result.message


def test_second_try_waits_ten_minutes(bench: Workbench) -> None:
    """Dify refuses a document that was retried within 600 s, so it is not even asked."""
    row = document(bench, own_dataset(bench), "error", error="disk full")
    fails = worker(bench, row, to="error", error="disk full")
    retried(bench, fails)
    operation, results = retried(bench, fails)
    assert (results, sent(bench)) == ((), 1)
    due = bench.audit()[0].at + timedelta(minutes=10)
    assert f"due again at {due:%H:%M}" in operation.notes[0]
    bench.wait(601)
    assert len(retried(bench, fails)[1]) == 1
    assert sent(bench) == 2


def test_document_is_given_up_after_some_tries(bench: Workbench) -> None:
    """With its reason; a document that was indexed in between begins anew."""
    row = document(bench, own_dataset(bench), "error", error="disk full")
    fails = worker(bench, row, to="error", error="disk full")
    for _ in "123":
        retried(bench, fails)
        bench.wait(601)
    operation, results = retried(bench, fails)
    assert (results, sent(bench)) == ((), 3)
    assert operation.notes == (f"the handbook/{row.name}: given up after 3 tries: disk full",)


def test_success_forgets_the_tries_before(bench: Workbench) -> None:
    """Only tries since the document was last indexed count."""
    row = document(bench, own_dataset(bench), "error", error="disk full")
    fails = worker(bench, row, to="error", error="disk full")
    for _ in "12":
        retried(bench, fails)
        bench.wait(601)
    retried(bench, worker(bench, row, to="completed"))
    bench.wait(601)
    bench.world.set_indexing_status(row.id, "error", at=bench.world.now(), error="disk full")
    assert RetryHistory(bench.audit()).tries(row.id) == ()
    assert len(retried(bench, fails)[1]) == 1


def test_paused_and_archived_documents_are_left_alone(bench: Workbench) -> None:
    """A person paused the one; Dify skips the other and still answers 204."""
    dataset = own_dataset(bench)
    paused = document(bench, dataset, "indexing")
    bench.world.set_indexing_status(paused.id, "paused", at=bench.world.now())
    document(bench, dataset, "error", error="x").archived = True
    operation, results = retried(bench)
    assert (results, sent(bench)) == ((), 0)
    assert sorted(note.split(": ")[1].split("; ")[0] for note in operation.notes) == [
        "archived",
        "paused by a person",
    ]


def test_retry_by_somebody_else_is_no_try_of_ours(bench: Workbench) -> None:
    """Dify says 400 to whoever comes second within ten minutes: failed, and not counted."""
    row = document(bench, own_dataset(bench), "error", error="disk full")
    with bench.client() as dify:
        dify.datasets.retry_document(row.dataset_id, row.id)
    bench.world.set_indexing_status(row.id, "error", at=bench.world.now(), error="disk full")
    _, (result,) = retried(bench)
    assert result.outcome == "failed"
    assert RetryHistory(bench.audit()).tries(row.id) == ()


def test_lost_answer_is_followed_all_the_same(bench: Workbench) -> None:
    """The retry runs although its answer was lost: no second one is sent."""
    row = document(bench, own_dataset(bench), "error", error="disk full")
    lose_answers(bench, "POST", "/retry")
    _, (result,) = retried(bench, worker(bench, row, to="completed"))
    assert (result.outcome, sent(bench)) == ("verified", 1)


@pytest.mark.parametrize("minutes", [5, 40])
def test_stuck_document_is_given_time_after_its_retry(bench: Workbench, minutes: int) -> None:
    """Dify tells no time of a retry, so the document looks stuck at once: our own time counts."""
    document(bench, own_dataset(bench), "parsing", minutes_ago=120)
    retried(bench, patience=Patience(follow_seconds=5))
    bench.wait(60 * minutes)
    operation, _ = retried(bench, patience=Patience(follow_seconds=5))
    assert len(operation.plan.steps) == (1 if minutes > 30 else 0)
