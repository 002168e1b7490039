"""POST /datasets/{id}/retry: 204 whatever becomes of it, and a batch that a marker strands."""

from __future__ import annotations

from werkzeug.wrappers import Response

from dify_etl.simulated.bodies import Field, read_body
from dify_etl.simulated.calls import Call, Route
from dify_etl.simulated.datasets import dataset_of_path
from dify_etl.simulated.errors import invalid_param
from dify_etl.simulated.rows import Document


def retry_documents(call: Call) -> object:
    """POST /datasets/{id}/retry: any member may, also for somebody else's private dataset.

    Documents are set to waiting one by one, and queued together at the end: one that was retried
    within ten minutes leaves those before it waiting, marked and queued nowhere.
    """
    body = read_body(call, "DocumentRetryPayload", Field("document_ids", list, required=True))
    dataset, ids = dataset_of_path(call), body["document_ids"]
    assert isinstance(ids, list)
    found = [call.world.documents.get(str(one)) for one in ids]
    rows = [row for row in found if row is not None and row.dataset_id == dataset.id]
    retried = [row for row in rows if not row.archived and row.indexing_status != "completed"]
    for row in retried:
        _mark(row, call)
    for row in retried:
        call.memory.queued[row.id] = call.at
    return Response("", 204, mimetype="application/json")


def _mark(row: Document, call: Call) -> None:
    """As on a real server, error and stopped_at of the failure stay until the text is read."""
    if call.memory.is_being_retried(row.id, at=call.at):
        raise invalid_param("Document is being retried, please try again later")
    row.indexing_status = "waiting"
    call.memory.retried[row.id] = call.at


ROUTES = (Route("POST", "/datasets/<uuid:dataset_id>/retry", retry_documents),)
