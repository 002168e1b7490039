"""/tags and what has them. The list was recorded; inferred from Dify's source are the writes."""

from __future__ import annotations

from dify_simulated.server.bodies import Field, read_body
from dify_simulated.server.calls import EDITORS, Call, Route
from dify_simulated.server.errors import not_found
from dify_simulated.server.parameters import Choice, Parameter
from dify_simulated.world.rows import JsonObject, Tag

_TYPES = ("knowledge", "app")


def list_tags(call: Call) -> object:
    """GET /tags: a bare array; `binding_count` is text."""
    asked = call.query(
        "TagListQuery", Choice("type", "", choices=(*_TYPES, "")), Parameter("keyword")
    )
    kind, keyword = asked.text("type"), (asked.text("keyword") or "").lower()
    return [
        _tag(row, call)
        for row in call.world.tags.values()
        if row.tenant_id == call.tenant_id
        and (not kind or row.type == kind)
        and keyword in row.name.lower()
    ]


def create_tag(call: Call) -> object:
    """POST /tags: a name that there is already makes a second tag."""
    name = Field("name", required=True, low=1, high=50)
    body = read_body(call, "TagBasePayload", name, Field("type", required=True, choices=_TYPES))
    row = Tag(call.world.new_id(), call.tenant_id, str(body["name"]), str(body["type"]))
    call.world.tags[row.id] = row
    return {"id": row.id, "name": row.name, "type": row.type, "binding_count": 0}


def bind_tags(call: Call) -> object:
    """POST /tag-bindings: what has a tag already keeps it."""
    needed = (Field("tag_ids", list, required=True, low=1), Field("target_id", required=True))
    body = read_body(call, "TagBindingPayload", *needed, Field("type", required=True))
    app = call.world.apps.get(str(body["target_id"]))
    if app is None or app.tenant_id != call.tenant_id:
        raise not_found("App not found")
    tag_ids = body["tag_ids"]
    assert isinstance(tag_ids, list)
    known = [str(one) for one in tag_ids if str(one) in call.world.tags]
    app.tag_ids = tuple(dict.fromkeys((*app.tag_ids, *known)))
    return {"result": "success"}


def _tag(row: Tag, call: Call) -> JsonObject:
    apps = sum(row.id in app.tag_ids for app in call.world.apps.values())
    datasets = sum(row.id in dataset.tag_ids for dataset in call.world.datasets.values())
    return {"id": row.id, "name": row.name, "type": row.type, "binding_count": str(apps + datasets)}


ROUTES = (
    Route("GET", "/tags", list_tags),
    Route("POST", "/tags", create_tag, roles=EDITORS),
    Route("POST", "/tag-bindings", bind_tags, roles=EDITORS, since=(1, 14)),
    Route("POST", "/tag-bindings/create", bind_tags, roles=EDITORS, until=(1, 14)),
)
