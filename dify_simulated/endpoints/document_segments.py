"""Passages of a document. Inferred from the source of the releases: none of these was recorded."""

from __future__ import annotations

from dify_simulated.endpoints.documents import document_of_path
from dify_simulated.server.calls import Call, Route
from dify_simulated.server.paging import DATABASE_CAP
from dify_simulated.server.parameters import Whole
from dify_simulated.server.presentation import epoch, known, signed
from dify_simulated.versions import ErrorFamily
from dify_simulated.world.rows import DocumentSegment, JsonObject


def list_segments(call: Call) -> object:
    """GET /datasets/{id}/documents/{id}/segments: by position, which several rows may share.

    From 1.11 page and limit have bounds; before, more than 100 rows are cut to as many, and numbers
    below 1 count as the first page and 20. No `has_more` is told. Whoever may see the dataset may
    read it. Inferred.
    """
    is_bounded = call.version.error_family is ErrorFamily.PYDANTIC
    low, high = (1, DATABASE_CAP) if is_bounded else (None, None)
    document = document_of_path(call)
    asked = call.query(
        "SegmentListQuery", Whole("page", 1, low=low), Whole("limit", 20, low=low, high=high)
    )
    page, limit = asked.whole("page"), min(asked.whole("limit"), DATABASE_CAP)
    world, size = call.world, limit if limit > 0 else 20
    held = (world.document_segments[one] for one in world.segments_of_document[document.id])
    rows = sorted(held, key=lambda row: row.position)
    first = (max(page, 1) - 1) * size
    return {
        "data": [_segment(row, call) for row in rows[first : first + size]],
        "limit": limit,
        "total": len(rows),
        "total_pages": -(-len(rows) // size),
        "page": page,
    }


def _segment(row: DocumentSegment, call: Call) -> JsonObject:
    values: JsonObject = {
        "id": row.id,
        "position": row.position,
        "document_id": row.document_id,
        "content": row.content,
        "sign_content": f"{row.content} {signed('passage', call)}",
        "answer": row.answer,
        "word_count": row.word_count,
        "tokens": row.tokens,
        "keywords": list(row.keywords),
        "index_node_id": row.id,
        "index_node_hash": f"hash of {row.position}",
        "hit_count": row.hit_count,
        "enabled": row.enabled,
        "disabled_at": epoch(row.disabled_at),
        "disabled_by": row.disabled_by,
        "status": row.status,
        "created_by": row.created_by,
        "created_at": epoch(row.created_at),
        "updated_at": epoch(row.updated_at),
        "updated_by": row.updated_by,
        "indexing_at": epoch(row.indexing_at),
        "completed_at": epoch(row.completed_at),
        "error": row.error,
        "stopped_at": epoch(row.stopped_at),
        "child_chunks": [_child(row, number) for number in range(len(row.child_chunks))],
        "attachments": [_attachment(row.image, call)] if row.image else [],
        "summary": row.summary,
    }
    return known(values, attachments=call.version.since(1, 11), summary=call.version.since(1, 12))


def _child(row: DocumentSegment, number: int) -> JsonObject:
    text = row.child_chunks[number]
    return {
        "id": f"{row.id[:-2]}{number:02d}",
        "segment_id": row.id,
        "content": text,
        "position": number + 1,
        "word_count": len(text),
        "type": "automatic",
        "created_at": epoch(row.created_at),
        "updated_at": epoch(row.updated_at),
    }


def _attachment(name: str, call: Call) -> JsonObject:
    return {
        "id": name,
        "name": name,
        "size": 48_213,
        "extension": ".png",
        "mime_type": "image/png",
        "source_url": signed(f"{name}/image-preview", call),
    }


ROUTES = (
    Route(
        "GET", "/datasets/<uuid:dataset_id>/documents/<uuid:document_id>/segments", list_segments
    ),
)
