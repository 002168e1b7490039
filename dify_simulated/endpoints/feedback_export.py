"""/apps/{id}/feedbacks/export (from 1.10.1): all feedback of an app, newest first, in one body."""

from __future__ import annotations

import csv
from datetime import UTC, datetime
from io import StringIO

from werkzeug.wrappers import Response

from dify_simulated.server.calls import Call, Route
from dify_simulated.server.errors import ApiError
from dify_simulated.server.parameters import Choice, Flag, Parameter, Values
from dify_simulated.server.presentation import account_name
from dify_simulated.world.rows import Feedback, JsonObject

_STAMP = "%Y-%m-%d %H:%M:%S"
_CUT = 500
_COLUMNS = (
    "feedback_id",
    "app_name",
    "app_id",
    "conversation_id",
    "conversation_name",
    "message_id",
    "user_query",
    "ai_response",
    "feedback_rating",
    "feedback_rating_raw",
    "feedback_comment",
    "feedback_source",
    "feedback_date",
    "message_date",
    "from_account_name",
    "from_end_user_id",
    "has_comment",
)


def export_feedbacks(call: Call) -> object:
    """GET …/feedbacks/export: start_date and end_date are UTC midnights, the end day excluded."""
    asked = call.query(
        "FeedbackExportQuery",
        Choice("from_source", choices=("user", "admin")),
        Choice("rating", choices=("like", "dislike")),
        Flag("has_comment"),
        Parameter("start_date"),
        Parameter("end_date"),
        Choice("format", "csv", choices=("csv", "json")),
    )
    rows = [row for row in call.world.feedbacks.values() if row.app_id == call.app.id]
    rows = [row for row in rows if _matches(row, asked)]
    rows.sort(key=lambda row: row.created_at, reverse=True)
    data = [_line(row, call) for row in rows]
    return _csv(data, call) if asked.text("format") == "csv" else _json(data, call)


def _matches(row: Feedback, asked: Values) -> bool:
    start, end = _midnight(asked, "start_date"), _midnight(asked, "end_date")
    wants_comment = asked.flag("has_comment")
    return (
        asked.text("from_source") in (None, row.from_source)
        and asked.text("rating") in (None, row.rating)
        and wants_comment in (None, bool(row.content))
        and (start is None or row.created_at >= start)
        and (end is None or row.created_at <= end)
    )


def _midnight(asked: Values, name: str) -> datetime | None:
    text = asked.text(name)
    if not text:
        return None
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        problem = f"Parameter validation error: Invalid {name} format. Use YYYY-MM-DD"
        raise ApiError(400, {"error": problem}) from None


def _line(row: Feedback, call: Call) -> JsonObject:
    message = call.world.messages[row.message_id]
    conversation = call.world.conversations.get(row.conversation_id)
    answer = message.answer if len(message.answer) <= _CUT else message.answer[:_CUT] + "..."
    return {
        "feedback_id": row.id,
        "app_name": call.app.name,
        "app_id": row.app_id,
        "conversation_id": row.conversation_id,
        "conversation_name": "" if conversation is None else conversation.name,
        "message_id": row.message_id,
        "user_query": message.query,
        "ai_response": answer,
        "feedback_rating": "👍" if row.rating == "like" else "👎",
        "feedback_rating_raw": row.rating,
        "feedback_comment": row.content or "",
        "feedback_source": row.from_source,
        "feedback_date": row.created_at.strftime(_STAMP),
        "message_date": message.created_at.strftime(_STAMP),
        "from_account_name": account_name(call, row.from_account_id) or "",
        "from_end_user_id": row.from_end_user_id or "",
        "has_comment": "Yes" if row.content else "No",
    }


def _json(data: list[JsonObject], call: Call) -> JsonObject:
    info: JsonObject = {
        "app_id": call.app.id,
        "export_date": call.at.replace(tzinfo=None).isoformat(),
        "total_records": len(data),
        "data_source": "dify_feedback_export",
    }
    return {"export_info": info, "feedback_data": data}


def _csv(data: list[JsonObject], call: Call) -> Response:
    text = StringIO()
    writer = csv.DictWriter(text, _COLUMNS)
    writer.writeheader()
    writer.writerows(data)
    response = Response(text.getvalue(), mimetype="text/csv")
    name = f"dify_feedback_export_{call.app.id}.csv"
    response.headers["Content-Disposition"] = f"attachment; filename={name}"
    return response


ROUTES = (Route("GET", "/apps/<uuid:app_id>/feedbacks/export", export_feedbacks, since=(1, 10, 1)),)
