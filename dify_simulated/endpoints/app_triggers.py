"""/apps/{id}/triggers: what may start a workflow app (from 1.10)."""

from __future__ import annotations

from datetime import UTC, datetime

from dify_simulated.server.calls import Call, Route
from dify_simulated.world.rows import AppTrigger, JsonObject

_ICONS = "http://dify.test/console/api/workspaces/current/tool-provider/builtin"


def list_triggers(call: Call) -> object:
    """GET /apps/{id}/triggers: all at once, newest first; any member."""
    rows = [row for row in call.world.app_triggers.values() if row.app_id == call.app.id]
    rows.sort(key=lambda row: row.created_at, reverse=True)
    return {"data": [_trigger(row) for row in rows]}


def _trigger(row: AppTrigger) -> JsonObject:
    return {
        "id": row.id,
        "trigger_type": row.trigger_type,
        "title": row.title,
        "node_id": row.node_id,
        "provider_name": row.provider_name,
        "icon": f"{_ICONS}/{row.provider_name}/icon" if row.provider_name else "",
        "status": row.status,
        "created_at": _iso(row.created_at),
        "updated_at": _iso(row.updated_at),
    }


def _iso(at: datetime) -> str:
    """UTC without saying so, as the column is."""
    return at.astimezone(UTC).replace(tzinfo=None).isoformat()


ROUTES = (
    Route("GET", "/apps/<uuid:app_id>/triggers", list_triggers, modes=("workflow",), since=(1, 10)),
)
