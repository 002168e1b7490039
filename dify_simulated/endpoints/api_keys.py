"""Keys of apps and of all datasets. Lists show the whole secret, unless a proxy masks keys."""

from __future__ import annotations

from werkzeug.wrappers import Response

from dify_simulated.server.answers import json_response
from dify_simulated.server.calls import ADMINS, EDITORS, Call, Route
from dify_simulated.server.errors import ApiError, internal_error, refusal
from dify_simulated.server.presentation import epoch
from dify_simulated.versions import ErrorFamily
from dify_simulated.world.rows import ApiKey, JsonObject

_MAX_KEYS = 10


def list_app_keys(call: Call) -> object:
    """GET /apps/{id}/api-keys: unpaged, without an order; any member reads it up to 1.16.1."""
    held = _keys_of_app(call)
    call.keys.write_down_uses(call.world, at=call.at)
    return {"data": [_detail(row, call) for row in held]}


def list_dataset_keys(call: Call) -> object:
    """GET /datasets/api-keys: those of the whole workspace; any member reads it up to 1.16.1."""
    call.keys.write_down_uses(call.world, at=call.at)
    return {"data": [_detail(row, call) for row in _keys_of_datasets(call)]}


def _keys_of_app(call: Call) -> list[ApiKey]:
    """The app is looked up here: its 404 has neither code nor status."""
    app = call.world.apps.get(call.path["resource_id"])
    if app is None or app.tenant_id != call.tenant_id:
        raise ApiError(404, {"message": "App not found."})
    return [row for row in call.world.api_keys.values() if row.app_id == app.id]


def _keys_of_datasets(call: Call) -> list[ApiKey]:
    rows = call.world.api_keys.values()
    return [row for row in rows if row.type == "dataset" and row.tenant_id == call.tenant_id]


def _detail(row: ApiKey, call: Call) -> JsonObject:
    shape = call.switches.mask_keys
    if shape is None:
        return _created(row)
    start, end = row.token[: 5 if shape == "dots" else 6], row.token[-4:]
    masked = {**_created(row), "token": start + ("..." if shape == "dots" else "*" * 12) + end}
    return {"dataset_ids": [], **masked} if call.version.answers_by_models else masked


def _created(row: ApiKey) -> JsonObject:
    return {
        "id": row.id,
        "type": row.type,
        "token": row.token,
        "last_used_at": epoch(row.last_used_at),
        "created_at": epoch(row.created_at),
        **({"dataset_ids": [*row.dataset_ids]} if row.dataset_ids else {}),
    }


def create_app_key(call: Call) -> object:
    """POST /apps/{id}/api-keys: 201, one key; never idempotent; ten at most."""
    if len(_keys_of_app(call)) >= _MAX_KEYS:
        raise _too_many_app_keys(call)
    call.found_app = call.world.apps[call.path["resource_id"]]
    call.check_published()
    row = call.world.add_api_key(tenant_id=call.tenant_id, at=call.at, app_id=call.app.id)
    return json_response(_created(row), 201)


def create_dataset_key(call: Call) -> object:
    """POST /datasets/api-keys: 200, one key; ten at most in the workspace."""
    if len(_keys_of_datasets(call)) >= _MAX_KEYS:
        raise _too_many_dataset_keys(call)
    return _created(call.world.add_api_key(tenant_id=call.tenant_id, at=call.at))


def _too_many_app_keys(call: Call) -> ApiError:
    text = f"Cannot create more than {_MAX_KEYS} API keys for this resource type."
    if call.version.since(1, 9):
        return ApiError(400, {"custom": "max_keys_exceeded", "message": text})
    return _too_many_dataset_keys(call)


def _too_many_dataset_keys(call: Call) -> ApiError:
    """A clash inside Dify's library turns the refusal into a 500 from 1.7 to 1.15."""
    if call.version.answers_by_models:
        return _too_many_app_keys(call)
    if call.version.error_family is not ErrorFamily.PARAMS:
        return internal_error()
    text = f"Cannot create more than {_MAX_KEYS} API keys for this resource type."
    return refusal(400, "max_keys_exceeded", text)


def delete_app_key(call: Call) -> object:
    """DELETE /apps/{id}/api-keys/{id}: 204; effective at once but for caches."""
    return _delete(_keys_of_app(call), call)


def delete_dataset_key(call: Call) -> object:
    """DELETE /datasets/api-keys/{id}: 204; effective at once but for caches."""
    return _delete(_keys_of_datasets(call), call)


def _delete(held: list[ApiKey], call: Call) -> Response:
    key_id = call.path["key_id"]
    row = next((row for row in held if row.id == key_id), None)
    if row is None:
        raise ApiError(404, {"message": "API key not found"})
    call.keys.note_deleted(row, at=call.at)
    call.world.delete_api_key(key_id)
    return Response("", 204, mimetype="application/json")


def one_dataset_keys(call: Call) -> object:
    """GET and POST /datasets/{id}/api-keys: routes without a table behind them."""
    raise internal_error()


_APP_KEYS = "/apps/<uuid:resource_id>/api-keys"
_DATASET_KEYS = "/datasets/api-keys"

ROUTES = (
    Route("GET", _APP_KEYS, list_app_keys, roles=EDITORS, roles_since=(1, 17)),
    Route("POST", _APP_KEYS, create_app_key, roles=EDITORS),
    Route("DELETE", f"{_APP_KEYS}/<uuid:key_id>", delete_app_key, roles=ADMINS),
    Route("GET", _DATASET_KEYS, list_dataset_keys, roles=ADMINS, roles_since=(1, 17)),
    Route("POST", _DATASET_KEYS, create_dataset_key, roles=ADMINS),
    Route("DELETE", f"{_DATASET_KEYS}/<uuid:key_id>", delete_dataset_key, roles=ADMINS),
    Route("GET", "/datasets/<uuid:dataset_id>/api-keys", one_dataset_keys),
    Route("POST", "/datasets/<uuid:dataset_id>/api-keys", one_dataset_keys),
)
