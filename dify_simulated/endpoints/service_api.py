"""The few calls of the service API (/v1) that show whether a key works."""

from __future__ import annotations

from werkzeug.exceptions import NotFound

from dify_simulated.endpoints.datasets import dataset_detail, lenient_whole
from dify_simulated.server.calls import Call, Need, Route
from dify_simulated.server.paging import length_tested_page
from dify_simulated.server.presentation import account_name, known
from dify_simulated.world.rows import JsonObject


def info(call: Call) -> object:
    """GET /v1/info with an app key."""
    app = call.app
    tags = [call.world.tags[tag_id].name for tag_id in app.tag_ids]
    author = account_name(call, app.created_by)
    values: JsonObject = {
        "name": app.name,
        "description": app.description,
        "tags": tags,
        "mode": app.mode,
        "author_name": author,
    }
    return known(values, mode=call.version.since(1, 7), author_name=call.version.since(1, 7))


def parameters(call: Call) -> object:
    """GET /v1/parameters with an app key."""
    config = call.app.app_model_config
    return {
        "opening_statement": config.opening_statement if config else "",
        "suggested_questions": list(config.suggested_questions) if config else [],
        "suggested_questions_after_answer": {"enabled": False},
        "speech_to_text": {"enabled": False},
        "text_to_speech": {"enabled": False, "voice": "", "language": ""},
        "retriever_resource": {"enabled": False},
        "annotation_reply": {"enabled": False},
        "more_like_this": {"enabled": False},
        "user_input_form": list(config.user_input_form) if config else [],
        "sensitive_word_avoidance": {"enabled": False},
        "file_upload": {"image": {"enabled": False, "number_limits": 3}},
        "system_parameters": {"image_file_size_limit": 10},
    }


def list_datasets(call: Call) -> object:
    """GET /v1/datasets with a dataset key: those of the whole workspace."""
    page, limit = lenient_whole("page", 1, call), lenient_whole("limit", 20, call)
    rows = [row for row in call.world.datasets.values() if row.tenant_id == call.tenant_id]
    rows.sort(key=lambda row: (row.created_at, row.id), reverse=True)
    data = [known(dataset_detail(row, call), permission_keys=False) for row in rows]
    return length_tested_page(data, page=page, limit=limit)


def root(call: Call) -> object:
    """GET /v1/: says the version of the server to anybody; 404 in HTML from 1.16."""
    if call.version.answers_by_models:
        return NotFound().get_response(call.request.environ)
    return {
        "welcome": "Dify OpenAPI",
        "api_version": "v1",
        "server_version": call.version.text,
    }


ROUTES = (
    Route("GET", "/", root, need=Need.NOTHING),
    Route("GET", "/info", info, need=Need.APP_KEY),
    Route("GET", "/parameters", parameters, need=Need.APP_KEY),
    Route("GET", "/datasets", list_datasets, need=Need.DATASET_KEY),
)
