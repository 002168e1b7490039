"""Annotations: the list, their number, the export and the history of hits."""

from __future__ import annotations

from dify_simulated.server.calls import EDITORS, Call, Route
from dify_simulated.server.errors import not_found
from dify_simulated.server.paging import length_tested_page
from dify_simulated.server.parameters import Parameter, Whole
from dify_simulated.server.presentation import epoch
from dify_simulated.world.rows import Annotation, AnnotationHit, JsonObject


def list_annotations(call: Call) -> object:
    """GET /apps/{id}/annotations: newest first; `has_more` is a test of length."""
    asked = call.query(
        "AnnotationListQuery", Whole("page", 1), Whole("limit", 20), Parameter("keyword")
    )
    keyword = (asked.text("keyword") or "").lower()
    rows = [row for row in _annotations(call) if keyword in f"{row.question} {row.content}".lower()]
    data = [annotation_line(row) for row in rows]
    return length_tested_page(data, page=asked.whole("page"), limit=asked.whole("limit"))


def _annotations(call: Call) -> list[Annotation]:
    ids = list(call.world.annotations_of_app[call.app.id])
    return [call.world.annotations[row_id] for row_id in reversed(ids)]


def annotation_line(row: Annotation) -> JsonObject:
    """An annotation as lists and writes show it."""
    return {
        "id": row.id,
        "question": row.question,
        "answer": row.content,
        "hit_count": row.hit_count,
        "created_at": epoch(row.created_at),
    }


def count_annotations(call: Call) -> object:
    """GET /apps/{id}/annotations/count: any member."""
    return {"count": len(call.world.annotations_of_app[call.app.id])}


def export_annotations(call: Call) -> object:
    """GET /apps/{id}/annotations/export: all at once."""
    return {"data": [annotation_line(row) for row in _annotations(call)]}


def list_hits(call: Call) -> object:
    """GET /apps/{id}/annotations/{id}/hit-histories."""
    asked = call.query("AnnotationHitQuery", Whole("page", 1), Whole("limit", 20))
    annotation = call.world.annotations.get(call.path["annotation_id"])
    if annotation is None or annotation.app_id != call.app.id:
        raise not_found("Annotation not found")
    rows = [
        row for row in call.world.annotation_hits.values() if row.annotation_id == annotation.id
    ]
    rows.sort(key=lambda row: row.created_at, reverse=True)
    data = [_hit(row, annotation, call) for row in rows]
    return length_tested_page(data, page=asked.whole("page"), limit=asked.whole("limit"))


def _hit(row: AnnotationHit, annotation: Annotation, call: Call) -> JsonObject:
    message = call.world.messages[row.message_id]
    return {
        "id": row.id,
        "source": message.from_source,
        "score": row.score,
        "question": message.query,
        "created_at": epoch(row.created_at),
        "match": annotation.question,
        "response": annotation.content,
    }


_ANNOTATIONS = "/apps/<uuid:app_id>/annotations"

ROUTES = (
    Route("GET", _ANNOTATIONS, list_annotations, roles=EDITORS),
    Route("GET", f"{_ANNOTATIONS}/count", count_annotations),
    Route("GET", f"{_ANNOTATIONS}/export", export_annotations, roles=EDITORS),
    Route(
        "GET",
        f"{_ANNOTATIONS}/<uuid:annotation_id>/hit-histories",
        list_hits,
        roles=EDITORS,
    ),
)
