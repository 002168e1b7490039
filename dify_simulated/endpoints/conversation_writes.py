"""What the console writes to conversations: ratings, annotations, and deletion."""

from __future__ import annotations

from werkzeug.wrappers import Response

from dify_simulated.endpoints.annotations import annotation_line
from dify_simulated.endpoints.apps import CHAT_MODES
from dify_simulated.server.answers import json_response
from dify_simulated.server.bodies import Field, read_body
from dify_simulated.server.calls import EDITORS, Call, Route
from dify_simulated.server.errors import invalid_param, not_found
from dify_simulated.world.rows import Message


def rate_message(call: Call) -> object:
    """POST /apps/{id}/feedbacks: `rating` like, dislike, or null to take it back; any member."""
    body = read_body(call, "MessageFeedbackPayload", Field("message_id", required=True))
    message, rating = _message(str(body["message_id"]), call), body.get("rating")
    if rating in ("like", "dislike"):
        content = body.get("content")
        call.world.give_feedback(
            message.id,
            "like" if rating == "like" else "dislike",
            at=call.at,
            content=content if isinstance(content, str) else None,
            account_id=call.account.id,
        )
        return {"result": "success"}
    try:
        call.world.withdraw_feedback(message.id, by_admin=True)
    except KeyError:
        raise invalid_param("rating cannot be None when feedback not exists") from None
    return {"result": "success"}


def _message(message_id: str, call: Call) -> Message:
    row = call.world.messages.get(message_id)
    if row is None or row.app_id != call.app.id:
        raise not_found("Message Not Exists.")
    return row


def annotate_message(call: Call) -> object:
    """POST /apps/{id}/annotations: 200, from 1.16 201; again for one message changes its own."""
    body = read_body(
        call, "CreateAnnotationPayload", Field("message_id", required=True), Field("answer")
    )
    message = _message(str(body["message_id"]), call)
    row = call.world.annotate(
        message.id,
        at=call.at,
        content=str(body.get("answer") or ""),
        account_id=call.account.id,
    )
    row.question = str(body.get("question") or row.question)
    return json_response(annotation_line(row), 201 if call.version.answers_by_models else 200)


def delete_conversation(call: Call) -> object:
    """DELETE /apps/{id}/chat-conversations/{id}: 204 whether there is one or not, up to 1.15.

    From 1.16 only one's own can be deleted; all others answer 404. Up to 1.7 the row stays.
    """
    row = call.world.conversations.get(call.path["conversation_id"])
    known = row is not None and row.app_id == call.app.id and not row.is_deleted
    own = known and row is not None and row.from_account_id == call.account.id
    if call.version.answers_by_models and not own:
        raise not_found("Conversation Not Exists.")
    if known and row is not None:
        call.world.delete_conversation(row.id, soft=not call.version.since(1, 8))
    return Response("", 204, mimetype="application/json")


_APP = "/apps/<uuid:app_id>"

ROUTES = (
    Route("POST", f"{_APP}/feedbacks", rate_message),
    Route("POST", f"{_APP}/annotations", annotate_message, roles=EDITORS),
    Route(
        "DELETE",
        f"{_APP}/chat-conversations/<uuid:conversation_id>",
        delete_conversation,
        modes=CHAT_MODES,
        roles=EDITORS,
    ),
)
