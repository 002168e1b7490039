"""Documents of a dataset: the list, single ones, and their indexing status in four endpoints."""

from __future__ import annotations

from dify_simulated.endpoints.datasets import (
    guarded_dataset,
    lenient_whole,
    visible_dataset,
)
from dify_simulated.server.calls import Call, Route
from dify_simulated.server.errors import ApiError, internal_error, not_found
from dify_simulated.server.paging import length_tested_page
from dify_simulated.server.presentation import account_name, epoch, known
from dify_simulated.server.unbuilt_rows import RowNotShown, check_source
from dify_simulated.world.rows import Document, JsonObject

_LIST_QUERY = "DocumentDatasetListParam"
_IN_PROGRESS = ("parsing", "cleaning", "splitting", "indexing")
_AVAILABLE = ("available", "active", "enabled")


def list_documents(call: Call) -> object:
    """GET /datasets/{id}/documents: 100 rows at most, whatever the limit; unknown sort = newest."""
    page = lenient_whole("page", 1, call, model=_LIST_QUERY)
    limit = lenient_whole("limit", 20, call, model=_LIST_QUERY)
    dataset = visible_dataset(call)
    arguments = call.request.args
    held = [call.world.documents[i] for i in call.world.documents_of_dataset.get(dataset.id, ())]
    keyword, status = arguments.get("keyword", ""), arguments.get("status", "")
    rows = [row for row in held if keyword in row.name and _of_status(row, status, call)]
    _sort(rows, arguments.get("sort", "-created_at"))
    fetch = arguments.get("fetch", "").lower() in ("yes", "true", "y", "1")
    show = _with_segments if fetch else _in_list
    try:
        return length_tested_page(rows, page=page, limit=limit, show=lambda row: show(row, call))
    except RowNotShown as problem:
        raise problem.refusal("DocumentWithSegmentsResponse") from None


def _of_status(row: Document, status: str, call: Call) -> bool:
    """From 1.10; an unknown status filters nothing."""
    if not status or not call.version.since(1, 10):
        return True
    tests = {
        "archived": row.archived,
        "disabled": not row.enabled,
        **dict.fromkeys(_AVAILABLE, _display_status(row) == "available"),
        **{
            name: _display_status(row) == name
            for name in ("queuing", "indexing", "paused", "error")
        },
    }
    return tests.get(status, True)


def _sort(rows: list[Document], sort: str) -> None:
    descending = sort.startswith("-") or sort not in ("created_at", "hit_count")
    if sort.removeprefix("-") == "hit_count":
        rows.sort(key=lambda row: (row.hit_count, row.position), reverse=descending)
    else:
        rows.sort(key=lambda row: (row.created_at, row.position), reverse=descending)


def _display_status(row: Document) -> str:
    if row.indexing_status == "waiting":
        return "queuing"
    if row.indexing_status in _IN_PROGRESS:
        return "paused" if row.is_paused else "indexing"
    if row.indexing_status == "error":
        return "error"
    if row.archived:
        return "archived"
    return "available" if row.enabled else "disabled"


def _detail(row: Document, call: Call) -> JsonObject:
    """Raises RowNotShown from 1.16.1."""
    if call.version.since(1, 16):
        check_source(row)
    values: JsonObject = {
        **_head(row),
        "data_source_info": {"upload_file_id": row.upload_file_id},
        "data_source_detail_dict": {"upload_file": _upload_file(row)},
        **_state(row),
        "word_count": row.word_count,
        "doc_metadata": _listed_metadata(row, call),
        "summary_index_status": None,
        "need_summary": False,
    }
    return known(
        values,
        doc_metadata=call.version.since(1, 1),
        summary_index_status=call.version.since(1, 12),
        need_summary=call.version.since(1, 12),
    )


def _in_list(row: Document, call: Call) -> JsonObject:
    """From 1.16 the rule is in every row, null for a document without one."""
    if not call.version.answers_by_models:
        return _detail(row, call)
    return {**_detail(row, call), "process_rule_dict": _rule(row, call)}


def _listed_metadata(row: Document, call: Call) -> list[JsonObject] | None:
    if not call.version.answers_by_models:
        return None
    return _metadata(row, call) if row.has_metadata else []


def _metadata(row: Document, call: Call) -> list[JsonObject]:
    """The built-in fields, as GET of one document tells them from 1.16."""
    values = (
        ("document_name", "string", row.name),
        ("uploader", "string", account_name(call, row.created_by)),
        ("upload_date", "time", str(row.created_at.timestamp())),
        ("last_update_date", "time", str(row.updated_at.timestamp())),
        ("source", "string", "file_upload"),
    )
    return [
        {"id": "built-in", "name": name, "type": kind, "value": value}
        for name, kind, value in values
    ]


def _head(row: Document) -> JsonObject:
    return {
        "id": row.id,
        "position": row.position,
        "data_source_type": "upload_file",
        "dataset_process_rule_id": row.dataset_process_rule_id,
        "name": row.name,
        "created_from": "api",
        "created_by": row.created_by,
        "created_at": epoch(row.created_at),
        "tokens": row.tokens,
    }


def _state(row: Document) -> JsonObject:
    return {
        "indexing_status": row.indexing_status,
        "error": row.error,
        "enabled": row.enabled,
        "disabled_at": epoch(row.disabled_at),
        "disabled_by": row.disabled_by,
        "archived": row.archived,
        "display_status": _display_status(row),
        "hit_count": row.hit_count,
        "doc_form": "text_model",
    }


def _upload_file(row: Document) -> JsonObject:
    """`created_at` is a float here, as nowhere else."""
    return {
        "id": row.upload_file_id,
        "name": row.name,
        "size": 1234,
        "extension": "txt",
        "mime_type": "text/plain",
        "created_by": row.created_by,
        "created_at": row.created_at.timestamp(),
    }


def _rule(row: Document, call: Call) -> JsonObject | None:
    if row.dataset_process_rule_id is None:
        return None
    return {
        "id": row.dataset_process_rule_id,
        "dataset_id": row.dataset_id,
        "mode": "automatic",
        "rules": _rules(call),
    }


def _rules(call: Call) -> JsonObject:
    if not call.version.answers_by_models:
        return {}
    return {
        "pre_processing_rules": [{"id": "remove_extra_spaces", "enabled": True}],
        "segmentation": {"delimiter": "\n", "max_tokens": 500},
    }


def _with_segments(row: Document, call: Call) -> JsonObject:
    """`fetch=true`: with counts of segments and the rule, up to 1.15 without doc_form."""
    values = {
        **_detail(row, call),
        "process_rule_dict": _rule(row, call),
        "completed_segments": row.completed_segments,
        "total_segments": row.segments,
    }
    return known(values, doc_form=call.version.answers_by_models)


def get_document(call: Call) -> object:
    """GET /datasets/{id}/documents/{id}: `metadata` = all, only or without."""
    metadata = call.request.args.get("metadata", "all")
    if metadata not in ("all", "only", "without"):
        raise ApiError(400, {"code": "invalid_metadata", "message": "Invalid metadata."})
    row = document_of_path(call)
    metadata_of = _metadata(row, call) if call.version.answers_by_models else None
    kinds: JsonObject = {"doc_type": None, "doc_metadata": metadata_of}
    if metadata == "only":
        return {"id": row.id, **kinds}
    values = _whole(row, call)
    return values if metadata == "without" else {**values, **kinds}


def document_of_path(call: Call) -> Document:
    """The document of the route. Raises ApiError (403, 404)."""
    dataset = visible_dataset(call)
    row = call.world.documents.get(call.path["document_id"])
    if row is None or row.dataset_id != dataset.id:
        raise not_found("Document not found.")
    return row


def _whole(row: Document, call: Call) -> JsonObject:
    if row.oddity and call.version.since(1, 16):
        raise internal_error()
    newer = call.version.since(1, 9)
    file = _upload_file(row)
    values: JsonObject = {
        **_head(row),
        "created_at": epoch(row.created_at) if newer else row.created_at.timestamp(),
        "data_source_info": {"upload_file_id": row.upload_file_id}
        if newer
        else {"upload_file": file},
        "data_source_detail_dict": {"upload_file": file},
        "dataset_process_rule": {"mode": "automatic", "rules": _rules(call)},
        "document_process_rule": _rule(row, call),
        "completed_at": epoch(row.completed_at),
        "updated_at": epoch(row.updated_at),
        "indexing_latency": 3.21 if row.completed_at else None,
        **_state(row),
        "segment_count": row.segments,
        "average_segment_length": _average_length(row, call),
        "doc_language": None if call.version.answers_by_models else "Chinese",
        "need_summary": False,
    }
    return known(values, data_source_detail_dict=newer, need_summary=call.version.since(1, 12))


def _average_length(row: Document, call: Call) -> float:
    length = 250 if row.segments else 0
    return float(length) if call.version.answers_by_models else length


def _status(
    row: Document, call: Call, *, paused: bool, segments: bool = True, newest: bool = True
) -> JsonObject:
    """`paused`: whether a held document shows as paused, or as the state it is held in.

    `newest`: whether what came after 1.16.1 is told; the status of a whole dataset leaves it out.
    """
    shown = "paused" if paused and row.is_paused else row.indexing_status
    values: JsonObject = {
        "id": row.id,
        "indexing_status": shown,
        "processing_started_at": epoch(row.processing_started_at),
        "parsing_completed_at": epoch(row.parsing_completed_at),
        "cleaning_completed_at": epoch(row.cleaning_completed_at),
        "splitting_completed_at": epoch(row.splitting_completed_at),
        "completed_at": epoch(row.completed_at),
        "paused_at": epoch(row.paused_at),
        "error": row.error,
        "error_code": None,
        "estimated_vector_space_mb": None,
        "vector_space_limit_mb": None,
        "stopped_at": epoch(row.stopped_at),
        "completed_segments": row.completed_segments if segments else None,
        "total_segments": row.segments if segments else None,
    }
    told = newest and call.version.since(1, 17)
    return known(
        values, error_code=told, estimated_vector_space_mb=told, vector_space_limit_mb=told
    )


def list_indexing_status(call: Call) -> object:
    """GET /datasets/{id}/indexing-status: all at once; [] for an unknown dataset, up to 1.16.1."""
    dataset = call.world.datasets.get(call.path["dataset_id"])
    if call.version.keeps_datasets_private:
        dataset = visible_dataset(call)
    elif dataset is None or dataset.tenant_id != call.tenant_id:
        return {"data": []}
    held = call.world.documents_of_dataset.get(dataset.id, ())
    rows = [call.world.documents[i] for i in held]
    return {"data": [_status(row, call, paused=False, newest=False) for row in rows]}


def get_indexing_status(call: Call) -> object:
    """GET /datasets/{id}/documents/{id}/indexing-status."""
    return _status(document_of_path(call), call, paused=True)


def list_batch_status(call: Call) -> object:
    """GET /datasets/{id}/batch/{batch}/indexing-status: 404 for an unknown batch."""
    dataset = visible_dataset(call)
    held = (call.world.documents[i] for i in call.world.documents_of_dataset.get(dataset.id, ()))
    rows = [row for row in held if row.batch == call.path["batch"]]
    if not rows:
        raise not_found("Documents not found.")
    return {"data": [_status(row, call, paused=True) for row in rows]}


def list_error_docs(call: Call) -> object:
    """GET /datasets/{id}/error-docs: in error or paused, without counts of segments (0 on 1.0)."""
    dataset = guarded_dataset(call)
    held = (call.world.documents[i] for i in call.world.documents_of_dataset.get(dataset.id, ()))
    rows = [row for row in held if row.indexing_status in ("error", "paused")]
    data = [_status(row, call, paused=False, segments=False, newest=False) for row in rows]
    if not call.version.since(1, 7):
        data = [{**line, "completed_segments": 0, "total_segments": 0} for line in data]
    return {"data": data, "total": len(data)}


_DATASET = "/datasets/<uuid:dataset_id>"

ROUTES = (
    Route("GET", f"{_DATASET}/documents", list_documents),
    Route("GET", f"{_DATASET}/documents/<uuid:document_id>", get_document),
    Route("GET", f"{_DATASET}/documents/<uuid:document_id>/indexing-status", get_indexing_status),
    Route("GET", f"{_DATASET}/indexing-status", list_indexing_status),
    Route("GET", f"{_DATASET}/batch/<batch>/indexing-status", list_batch_status),
    Route("GET", f"{_DATASET}/error-docs", list_error_docs),
)
