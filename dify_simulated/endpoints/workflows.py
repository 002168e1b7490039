"""Graphs: the draft, the published version, the list of versions (the draft among them)."""

from __future__ import annotations

from dify_simulated.endpoints.apps import WORKFLOW_MODES
from dify_simulated.server.bodies import Field, json_object, read_body
from dify_simulated.server.calls import EDITORS, Call, Route
from dify_simulated.server.errors import ApiError, forbidden, invalid_param, refusal
from dify_simulated.server.paging import PAGE
from dify_simulated.server.parameters import Flag, Identifier, Whole
from dify_simulated.server.presentation import account_brief, epoch, known
from dify_simulated.versions import ErrorFamily
from dify_simulated.world.rows import JsonObject, Workflow

_KEYS = (
    "id",
    "graph",
    "features",
    "hash",
    "version",
    "marked_name",
    "marked_comment",
    "created_at",
    "updated_by",
    "updated_at",
    "tool_published",
    "environment_variables",
    "conversation_variables",
    "rag_pipeline_variables",
)
_PUBLISH = "PublishWorkflowPayload"
_MARKS = (("marked_name", 20), ("marked_comment", 100))
FEATURES: JsonObject = {
    "opening_statement": "",
    "suggested_questions": [],
    "suggested_questions_after_answer": {"enabled": False},
    "text_to_speech": {"enabled": False, "language": "", "voice": ""},
    "speech_to_text": {"enabled": False},
    "retriever_resource": {"enabled": True},
    "sensitive_word_avoidance": {"enabled": False},
    "file_upload": {"enabled": False},
}


def get_published(call: Call) -> object:
    """GET /apps/{id}/workflows/publish: before the first one null, up to 1.15 full of nulls."""
    row = call.world.published_of(call.app.id)
    if row is None and call.version.answers_by_models:
        return None
    return _detail(row, call) if row is not None else _nothing(call)


def _nothing(call: Call) -> JsonObject:
    values: JsonObject = dict.fromkeys(_KEYS)
    values["created_by"] = {"id": None, "name": None, "email": None}
    return _of_release(values, call)


def _of_release(values: JsonObject, call: Call) -> JsonObject:
    marked = call.version.since(1, 1)
    return known(
        values,
        marked_name=marked,
        marked_comment=marked,
        rag_pipeline_variables=call.version.since(1, 9),
        version_number=call.version.since(1, 17),
    )


def features_of(row: Workflow) -> JsonObject:
    """The features that were saved, or those of a new app."""
    return FEATURES if row.features is None else row.features


def _detail(row: Workflow, call: Call) -> JsonObject:
    values: JsonObject = {
        "id": row.id,
        "graph": row.graph,
        "features": features_of(row),
        "hash": row.hash,
        "version": row.version,
        "marked_name": row.marked_name,
        "marked_comment": row.marked_comment,
        "created_by": account_brief(call, row.created_by),
        "created_at": epoch(row.created_at),
        "updated_by": _updated_by(row, call),
        "updated_at": epoch(row.updated_at),
        "tool_published": False,
        "environment_variables": [_masked(one) for one in row.environment_variables],
        "conversation_variables": [*row.conversation_variables],
        "rag_pipeline_variables": [],
        "version_number": row.version_number,
    }
    return _of_release(values, call)


def _updated_by(row: Workflow, call: Call) -> object:
    return account_brief(call, row.updated_by) if call.version.answers_by_models else row.updated_by


def _masked(variable: JsonObject) -> JsonObject:
    secret = variable.get("value_type") == "secret"
    return {**variable, "value": "[__HIDDEN__]"} if secret else variable


def publish(call: Call) -> object:
    """POST /apps/{id}/workflows/publish: one more version each time; marks from 1.1 on."""
    pydantic = call.version.error_family is ErrorFamily.PYDANTIC
    body = json_object(call, model=_PUBLISH) if pydantic or call.request.data else {}
    name, comment = (_mark(body, key, most, call) for key, most in _MARKS)
    try:
        row = call.world.publish(
            call.app.id,
            at=call.at,
            by=call.account.id,
            marked_name=name if call.version.since(1, 1) else "",
            marked_comment=comment if call.version.since(1, 1) else "",
        )
    except KeyError:
        raise invalid_param("No valid workflow found.") from None
    return {"result": "success", "created_at": epoch(row.created_at)}


def _mark(body: JsonObject, key: str, most: int, call: Call) -> str:
    text = str(body.get(key) or "")
    if len(text) > most and call.version.since(1, 1):
        raise invalid_param(f"{key} cannot exceed {most} characters")
    return text


def save_draft(call: Call) -> object:
    """POST /apps/{id}/workflows/draft: 409 for a hash that is not the stored one.

    `environment_variables` are stored up to 1.15, ignored by 1.16, and refused after it.
    """
    graph_field = Field("graph", dict, required=True)
    features_field = Field("features", dict, required=True)
    body = read_body(call, "SyncDraftWorkflowPayload", graph_field, features_field)
    if call.version.since(1, 17) and "environment_variables" in body:
        raise _extra_forbidden("environment_variables", body)
    draft = call.world.draft_of(call.app.id)
    if draft is not None and body.get("hash") != draft.hash:
        text = "Workflow graph might have been modified, please refresh and resubmit."
        raise refusal(409 if call.version.since(1, 9) else 400, "draft_workflow_not_sync", text)
    graph = body["graph"]
    assert isinstance(graph, dict)
    _refuse_start_beside_trigger(graph)
    row = call.world.save_draft(call.app.id, graph, at=call.at)
    row.updated_by = None if draft is None else call.account.id
    variables = body.get("environment_variables")
    if isinstance(variables, list) and not call.version.answers_by_models:
        row.environment_variables = tuple(variables)
    return {"result": "success", "hash": row.hash, "updated_at": epoch(row.updated_at)}


def _extra_forbidden(key: str, body: JsonObject) -> ApiError:
    value = body[key]
    return invalid_param(
        f"1 validation error for SyncDraftWorkflowPayload\n{key}\n  Extra inputs are not permitted"
        f" [type=extra_forbidden, input_value={value!r}, input_type={type(value).__name__}]"
    )


def _refuse_start_beside_trigger(graph: JsonObject) -> None:
    nodes = graph.get("nodes")
    kinds = {
        str(node.get("data", {}).get("type")) for node in (nodes if isinstance(nodes, list) else [])
    }
    if "start" in kinds and any(kind.startswith("trigger-") for kind in kinds):
        text = "Start node and trigger nodes cannot coexist in the same workflow"
        raise invalid_param(text)


def get_draft(call: Call) -> object:
    """GET /apps/{id}/workflows/draft: the one endpoint without a CSRF check."""
    row = call.world.draft_of(call.app.id)
    if row is None:
        status = 404 if call.version.since(1, 9) else 400
        text = "Draft workflow need to be initialized."
        raise refusal(status, "draft_workflow_not_exist", text)
    return _detail(row, call)


def list_versions(call: Call) -> object:
    """GET /apps/{id}/workflows: by version text, descending, so the draft comes first; no total."""
    asked = call.query(
        "WorkflowListQuery",
        PAGE,
        Whole("limit", 10 if call.version.since(1, 1) else 20, low=1, high=100),
        Identifier("user_id"),
        Flag("named_only", False),
    )
    if asked.text("user_id") not in (None, call.account.id):
        raise forbidden()
    rows = [row for row in call.world.workflows.values() if row.app_id == call.app.id]
    if call.app.workflow_id is None:
        rows = []
    if asked.flag("named_only"):
        rows = [row for row in rows if row.marked_name]
    rows.sort(key=lambda row: row.version, reverse=True)
    page, limit = asked.whole("page"), asked.whole("limit")
    shown = rows[(page - 1) * limit : page * limit]
    return {
        "items": [_detail(row, call) for row in shown],
        "page": page,
        "limit": limit,
        "has_more": len(rows) > page * limit,
    }


_WORKFLOWS = "/apps/<uuid:app_id>/workflows"

ROUTES = (
    Route("GET", _WORKFLOWS, list_versions, modes=WORKFLOW_MODES, roles=EDITORS),
    Route("GET", f"{_WORKFLOWS}/publish", get_published, modes=WORKFLOW_MODES, roles=EDITORS),
    Route("POST", f"{_WORKFLOWS}/publish", publish, modes=WORKFLOW_MODES, roles=EDITORS),
    Route("POST", f"{_WORKFLOWS}/draft", save_draft, modes=WORKFLOW_MODES, roles=EDITORS),
    Route(
        "GET",
        f"{_WORKFLOWS}/draft",
        get_draft,
        modes=WORKFLOW_MODES,
        roles=EDITORS,
        csrf_exempt=True,
    ),
)
