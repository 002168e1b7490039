"""POST /datasets/{id}/retry: 204 whatever becomes of it, and a batch that a marker strands.

After 1.16.1 it takes an editor who may see the dataset, and reserves a whole batch before it resets
any document. That the mark goes with the worker was recorded; that a batch with a marked document
is refused whole is inferred from the source.
"""

from __future__ import annotations

from werkzeug.wrappers import Response

from dify_simulated.endpoints.datasets import guarded_dataset
from dify_simulated.server.bodies import Field, read_body
from dify_simulated.server.calls import EDITORS, Call, Route
from dify_simulated.server.errors import invalid_param
from dify_simulated.world.rows import Document


def retry_documents(call: Call) -> object:
    """POST /datasets/{id}/retry: up to 1.16.1 any member may, for other people's datasets too.

    Documents are set to waiting one by one, and queued together at the end: one that was retried
    within ten minutes leaves those before it waiting, marked and queued nowhere.
    """
    body = read_body(call, "DocumentRetryPayload", Field("document_ids", list, required=True))
    dataset, ids = guarded_dataset(call), body["document_ids"]
    assert isinstance(ids, list)
    found = [call.world.documents.get(str(one)) for one in ids]
    rows = [row for row in found if row is not None and row.dataset_id == dataset.id]
    retried = [row for row in rows if not row.archived and row.indexing_status != "completed"]
    if call.version.keeps_datasets_private:
        for row in retried:
            _refuse_marked(row, call)
    for row in retried:
        _mark(row, call)
    for row in retried:
        call.memory.queued[row.id] = call.at
    return Response("", 204, mimetype="application/json")


def _mark(row: Document, call: Call) -> None:
    """As on a real server, error and stopped_at of the failure stay until the text is read."""
    _refuse_marked(row, call)
    row.indexing_status = "waiting"
    call.memory.retried[row.id] = call.at


def _refuse_marked(row: Document, call: Call) -> None:
    if call.memory.is_being_retried(row.id, at=call.at):
        raise invalid_param("Document is being retried, please try again later")


ROUTES = (
    Route(
        "POST",
        "/datasets/<uuid:dataset_id>/retry",
        retry_documents,
        roles=EDITORS,
        roles_since=(1, 17),
    ),
)
