"""The indexing doctor: what it finds in datasets of every kind, and what it leaves alone."""

from datetime import timedelta

import pytest

from dify_etl.operations.errors import TargetUnknown
from dify_etl.operations.indexing import Examination, Report, examine, shown_error
from dify_etl_tests.operations.workbench import Workbench
from dify_simulated import Faults
from dify_simulated.server.faults import Fault
from dify_simulated.world.rows import Dataset, Document

BUSY = ("waiting", "parsing", "cleaning", "splitting", "indexing")


def examined(bench: Workbench, **chosen: object) -> Report:
    with bench.client() as dify:
        return examine(dify, clock=bench.clock, **chosen)  # type: ignore[arg-type]


def own_dataset(bench: Workbench) -> Dataset:
    """A dataset without documents, visible to everybody."""
    return bench.world.add_dataset(
        name="the handbook",
        at=bench.world.now(),
        created_by=bench.world.account_id,
        tenant_id=bench.world.workspace_id,
        permission="all_team_members",
    )


def document(
    bench: Workbench, dataset: Dataset, status: str, *, minutes_ago: int = 60, error: str = ""
) -> Document:
    """A document that came into this state so long ago."""
    at = bench.world.now() - timedelta(minutes=minutes_ago)
    row = bench.world.add_document(dataset.id, at=at, name=f"{status} {minutes_ago}.txt")
    if status != "waiting":
        bench.world.set_indexing_status(row.id, status, at=at, error=error or None)
    return row


def test_finds_exactly_what_does_not_become_indexed(bench: Workbench) -> None:
    """In a workspace of every kind: all errors and pauses, and what stands still for long."""
    world = bench.world
    bench.wait(3600)
    expected = {
        row.id: "paused" if row.is_paused else "failed" if row.indexing_status == "error" else ""
        for row in world.documents.values()
        if row.is_paused or row.indexing_status != "completed"
    }
    report = examined(bench)
    found = {trouble.document_id: trouble.kind for trouble in report.troubles}
    assert set(expected.values()) >= {"paused", "failed"}
    assert found == {key: kind or "stuck" for key, kind in expected.items()}
    assert report.documents == len(world.documents)


@pytest.mark.parametrize("status", BUSY)
def test_work_of_a_few_minutes_is_not_stuck(bench: Workbench, status: str) -> None:
    """Documents at work are given time; after it, those that moved between two looks too."""
    dataset = own_dataset(bench)
    fresh, old = (document(bench, dataset, status, minutes_ago=ago) for ago in (5, 60))
    report = examined(bench, datasets=["the handbook"])
    assert [trouble.document_id for trouble in report.troubles] == [old.id]
    assert bench.waited == Examination().second_look_seconds
    assert fresh.id not in {trouble.document_id for trouble in report.troubles}


def test_slow_progress_between_the_looks_is_no_trouble(bench: Workbench) -> None:
    """A large document counts its passages: the second look sees more of them."""
    row = document(bench, own_dataset(bench), "indexing")
    row.segments = 100
    with bench.client() as dify:
        clock = bench.clock

        def work_goes_on(seconds: float) -> None:
            row.completed_segments += 1

        moving = type(clock)(now=clock.now, monotonic=clock.monotonic, sleep=work_goes_on)
        assert examine(dify, datasets=["the handbook"], clock=moving).troubles == ()


def test_errors_are_grouped_by_what_they_say(bench: Workbench) -> None:
    """Ids and numbers do not tell errors apart; the most frequent comes first."""
    dataset = own_dataset(bench)
    document(bench, dataset, "error", error="disk full")
    for number in (1, 2, 3):
        text = f"rate limit: {number}0 requests of 01234567-89ab-cdef-0123-456789abcdef"
        document(bench, dataset, "error", minutes_ago=number, error=text)
    groups = examined(bench, datasets=["the handbook"]).groups()
    assert [(group.kind, len(group.troubles)) for group in groups] == [("failed", 3), ("failed", 1)]


def test_error_text_of_a_document_at_work_is_stale(bench: Workbench) -> None:
    """After a retry Dify keeps showing the old error; the doctor does not."""
    row = document(bench, own_dataset(bench), "error", error="old trouble")
    bench.world.set_indexing_status(row.id, "waiting", at=bench.world.now())
    row.error = "old trouble"
    bench.wait(3600)
    (trouble,) = examined(bench, datasets=["the handbook"]).troubles
    assert (trouble.kind, trouble.error) == ("stuck", None)


def test_dataset_that_cannot_be_read_stops_no_other(bench: Workbench) -> None:
    """Its documents are unknown, and the report says so; the others are examined."""
    dataset = own_dataset(bench)
    whole = examined(bench)

    def broken(number: int, method: str, path: str) -> Fault | None:
        return Fault.SERVER_ERROR if f"/{dataset.id}/documents" in path else None

    bench.server.faults = Faults(before_request=broken)
    report = examined(bench)
    assert [name for name, _ in report.unreadable] == ["the handbook"]
    assert len(report.troubles) == len(whole.troubles) > 0


def test_unknown_dataset_is_refused(bench: Workbench) -> None:
    """A name that is none is a typing error, not an empty report."""
    with pytest.raises(TargetUnknown, match="no dataset"):
        examined(bench, datasets=["nowhere"])


def test_keys_in_error_texts_are_not_shown() -> None:
    """Model providers quote the key that they refuse."""
    told = shown_error("Incorrect API key provided: sk-proj-canary12345. Also app-canary98765432.")
    assert "canary" not in told
    assert told.startswith("Incorrect API key provided: (secret)")
