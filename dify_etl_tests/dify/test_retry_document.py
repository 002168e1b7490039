"""Retrying a document: what 204 is worth, the marker of ten minutes, and batches that strand."""

from datetime import timedelta

import pytest

from dify_etl.dify import DifyClient
from dify_etl.dify.errors import NotFound, Refused
from dify_etl_tests.dify.pretend_workspace import (
    EVERY_VERSION,
    NORMAL,
    NOW,
    client_of,
)
from dify_etl_tests.simulated.signing_in import signed_in
from dify_simulated import SimulatedDify, World
from dify_simulated.world.rows import Document

UNKNOWN = "00000000-0000-4000-8000-000000000000"


def failed(world: World, error: str = "boom") -> Document:
    """A document of the first dataset that could not be indexed."""
    row = world.add_document(next(iter(world.datasets)), at=NOW)
    world.set_indexing_status(row.id, "error", at=NOW, error=error)
    return row


def status_of(dify: DifyClient, document: Document) -> tuple[str | None, str | None]:
    found = dify.datasets.document_indexing_status(document.dataset_id, document.id)
    return found.indexing_status, found.error


@pytest.mark.parametrize("version", EVERY_VERSION)
def test_a_retried_document_waits_with_its_old_error(world: World, version: str) -> None:
    """Only indexing_status tells the truth: the error stays until the text is read again."""
    dify, document = client_of(SimulatedDify(world, version)), failed(world)

    written = dify.datasets.retry_document(document.dataset_id, document.id)

    assert written.status == 204
    assert status_of(dify, document) == ("waiting", "boom")


@pytest.mark.parametrize(("problem", "status"), [(None, "completed"), ("File not found", "error")])
def test_a_worker_brings_it_to_an_end(world: World, problem: str | None, status: str) -> None:
    """Completed, or failed once more; then it may be retried at once."""
    server, document = SimulatedDify(world, indexing_seconds=30), failed(world)
    dify = client_of(server)
    if problem:
        world.unreadable_documents[document.id] = problem
    dify.datasets.retry_document(document.dataset_id, document.id)

    world.set_now(NOW + timedelta(seconds=29))
    before = status_of(dify, document)
    world.set_now(NOW + timedelta(seconds=30))
    after = status_of(dify, document)

    assert (before, after) == (("waiting", "boom"), (status, problem))
    assert dify.datasets.retry_document(document.dataset_id, document.id).status == 204


@pytest.mark.parametrize("kind", ["unknown", "completed", "archived", "another dataset"])
def test_204_proves_nothing(world: World, kind: str) -> None:
    """Documents that are skipped are answered as those that are retried."""
    dify, document = client_of(SimulatedDify(world)), failed(world)
    dataset_id, document_id = document.dataset_id, document.id
    if kind == "unknown":
        document_id = UNKNOWN
    elif kind == "completed":
        world.set_indexing_status(document.id, "completed", at=NOW)
    elif kind == "archived":
        document.archived = True
    else:
        dataset_id = list(world.datasets)[1]
    before = document.indexing_status

    written = dify.datasets.retry_document(dataset_id, document_id)

    assert (written.status, document.indexing_status) == (204, before)


@pytest.mark.parametrize("version", EVERY_VERSION)
def test_a_second_retry_waits_ten_minutes(world: World, version: str) -> None:
    """While nobody worked on it, Dify refuses it with 400 for 600 seconds."""
    dify, document = client_of(SimulatedDify(world, version)), failed(world)
    dify.datasets.retry_document(document.dataset_id, document.id)

    world.set_now(NOW + timedelta(seconds=599))
    with pytest.raises(Refused):
        dify.datasets.retry_document(document.dataset_id, document.id)
    world.set_now(NOW + timedelta(seconds=600))
    assert dify.datasets.retry_document(document.dataset_id, document.id).status == 204


def test_a_batch_strands_its_first_documents(world: World) -> None:
    """Why one document goes per call: the first one waits, queued nowhere, shut for ten minutes."""
    server, first, marked = SimulatedDify(world, indexing_seconds=5), failed(world), failed(world)
    dify, owner = client_of(server), signed_in(server)
    server.world.set_now(NOW)
    dify.datasets.retry_document(marked.dataset_id, marked.id)

    batch = owner.post(
        f"/datasets/{first.dataset_id}/retry", json={"document_ids": [first.id, marked.id]}
    )
    world.set_now(NOW + timedelta(seconds=599))
    stranded = status_of(dify, first)

    assert (batch.status_code, stranded[0], status_of(dify, marked)[0]) == (
        400,
        "waiting",
        "completed",
    )
    with pytest.raises(Refused):
        dify.datasets.retry_document(first.dataset_id, first.id)


def test_an_unknown_dataset_is_not_found(world: World) -> None:
    """Unlike an unknown document."""
    with pytest.raises(NotFound):
        client_of(SimulatedDify(world)).datasets.retry_document(UNKNOWN, UNKNOWN)


def test_any_member_may_retry(world: World) -> None:
    """Dify asks for no role, and not for the permission of the dataset."""
    document = failed(world)
    world.datasets[document.dataset_id].permission = "only_me"

    written = client_of(SimulatedDify(world), NORMAL).datasets.retry_document(
        document.dataset_id, document.id
    )

    assert (written.status, document.indexing_status) == (204, "waiting")
