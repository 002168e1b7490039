"""/agent/{id}/logs: what people said to an agent; and its messages by the console's other ways.

The logs show everybody's talks but those of debugging and empty ones. `chat-messages` shows the
talks of the account that asks alone, `messages/{id}` everybody's.
"""

from __future__ import annotations

from dify_simulated.endpoints.agent_nodes import (
    are_nodes,
    execution_as_message,
    execution_in_list,
    executions,
    is_in,
    messages_through_nodes,
    source_of_flow,
)
from dify_simulated.endpoints.agents import SINCE
from dify_simulated.endpoints.messages import get_message, list_messages
from dify_simulated.server.calls import EDITORS, Call, Route
from dify_simulated.server.errors import bad_request
from dify_simulated.server.paging import LIMIT, PAGE
from dify_simulated.server.parameters import Choice, Parameter, Values
from dify_simulated.server.presentation import epoch, known
from dify_simulated.server.time_windows import EndRule, TimeWindow, read_window
from dify_simulated.world.rows import App, Conversation, JsonObject, Message

_STATUSES = {"normal": "success", "error": "failed", "paused": "paused"}
_LEGACY_SOURCES = {"api": ("service-api",), "console": ("explore",)}
_FILTERS = (
    PAGE,
    LIMIT,
    Parameter("start"),
    Parameter("end"),
    Parameter("status"),
    Parameter("source"),
    Parameter("keyword"),
)


def list_logs(call: Call) -> object:
    """GET /agent/{id}/logs: the window is one of messages; so are counts and times of a row."""
    call.agent()
    asked = call.query(
        "AgentLogsQuery",
        *_FILTERS,
        Choice("sort_by", "updated_at", choices=("created_at", "updated_at")),
        Choice("sort_order", "desc", choices=("asc", "desc")),
    )
    statuses, sources = _several(call, "status"), _several(call, "source")
    _check(statuses, sources, call)
    window, keyword = window_of(asked, call), asked.text("keyword")
    found = [
        _conversation(row, messages, source_of(call.app), call)
        for row, messages in logged_conversations(call, window, sources)
        if _has_keyword(row, messages, keyword)
    ]
    found += _through_nodes(call, window, sources, keyword)
    found = [row for row in found if not statuses or row["status"] in statuses]
    sort_by = "created_at" if asked.text("sort_by") == "created_at" else "updated_at"
    found.sort(key=lambda row: (row[sort_by], row["id"]), reverse=asked.text("sort_order") != "asc")
    return _paged(found, asked)


def _through_nodes(
    call: Call, window: TimeWindow, sources: list[str], keyword: str | None
) -> list[JsonObject]:
    """Rows whose source is a node of a workflow."""
    if are_nodes(call):
        rows = [
            execution_in_list(run, node, call)
            for run, node in executions(call)
            if is_in(node, window) and (not keyword or keyword.lower() in node.title.lower())
        ]
    else:
        rows = [
            _conversation(call.world.conversations[talk_id], messages, source, call)
            for (talk_id, _), (source, messages) in messages_through_nodes(call, window).items()
            if _has_keyword(call.world.conversations[talk_id], messages, keyword)
        ]
    is_all = not sources or "all" in sources
    return [row for row in rows if is_all or _source_of(row) in sources]


def _source_of(row: JsonObject) -> str:
    """The source of a row that came through a workflow, as the filter names it."""
    source = row["source"]
    assert isinstance(source, dict)
    return f"workflow:{source['app_id']}"


def window_of(asked: Values, call: Call) -> TimeWindow:
    """`[start, end)` of the query, in the account's zone."""
    return read_window(
        asked.text("start"),
        asked.text("end"),
        zone=call.account.timezone,
        rule=EndRule.SECOND_0_EXCLUDED,
        version=call.version,
    )


def _several(call: Call, name: str) -> list[str]:
    """`status=` and `statuses=`, which may be repeated; likewise sources."""
    arguments = call.request.args
    plural = f"{name}es" if name.endswith("s") else f"{name}s"
    return [text for key in (name, plural) for text in arguments.getlist(key) if text]


def _check(statuses: list[str], sources: list[str], call: Call) -> None:
    for status in statuses:
        if status not in _STATUSES.values():
            raise bad_request(f"Unsupported status: {status}")
    for source in sources:
        flows = [f"workflow:{node.app_id}" for node in call.agent().nodes]
        if source not in ("all", *_LEGACY_SOURCES, f"webapp:{call.app.id}", *flows):
            raise bad_request(f"Unsupported source: {source}")


def logged_conversations(
    call: Call, window: TimeWindow, sources: list[str]
) -> list[tuple[Conversation, list[Message]]]:
    """Talks of the call's app with their messages of a window, oldest first; none is empty."""
    world = call.world
    if sources and all(source.startswith("workflow:") for source in sources):
        return []
    legacy = [kind for source in sources for kind in _LEGACY_SOURCES.get(source, ())]
    talks = []
    for row in world.conversations.values():
        if row.app_id != call.app.id or row.invoke_from == "debugger":
            continue
        if legacy and row.invoke_from not in legacy:
            continue
        messages = _messages(row.id, window, call)
        if messages:
            talks.append((row, messages))
    return talks


def _messages(conversation_id: str, window: TimeWindow, call: Call) -> list[Message]:
    index = call.world.messages_of_conversation[conversation_id]
    low, high = index.between(window.start, window.end, end_inclusive=False)
    return [call.world.messages[message_id] for _, message_id in index.entries[low:high]]


def _has_keyword(row: Conversation, messages: list[Message], keyword: str | None) -> bool:
    texts = [row.name, *(text for one in messages for text in (one.query, one.answer))]
    return not keyword or any(keyword.lower() in text.lower() for text in texts)


def _conversation(
    row: Conversation, messages: list[Message], source: JsonObject, call: Call
) -> JsonObject:
    newest = messages[-1]
    return {
        "id": row.id,
        "conversation_id": row.id,
        "title": row.name,
        "end_user_id": row.from_end_user_id,
        "message_count": len(messages),
        "user_rate": _rate(row.id, "user", call),
        "operation_rate": _rate(row.id, "admin", call),
        "unread": row.read_at is None,
        "source": source,
        "status": _STATUSES[newest.status],
        "created_at": epoch(newest.created_at),
        "updated_at": epoch(newest.updated_at),
    }


def _rate(conversation_id: str, source: str, call: Call) -> float | None:
    """Likes among the ratings; None without any."""
    given = [call.world.feedbacks[i] for i in call.world.feedbacks_of_conversation[conversation_id]]
    likes = [one.rating == "like" for one in given if one.from_source == source]
    return sum(likes) / len(likes) if likes else None


def source_of(app: App) -> JsonObject:
    """The source of what people said to the agent itself."""
    return {
        "id": f"webapp:{app.id}",
        "type": "webapp",
        "app_id": app.id,
        "app_name": app.name,
        "app_icon_type": app.icon_type or "emoji",
        "app_icon": app.icon,
        "app_icon_background": app.icon_background,
        "workflow_id": None,
        "workflow_version": None,
        "node_id": None,
    }


def list_log_sources(call: Call) -> object:
    """GET /agent/{id}/log-sources."""
    call.agent()
    source = source_of(call.app)
    apps = {node.app_id: call.world.apps.get(node.app_id) for node in call.agent().nodes}
    flows = [source_of_flow(app) for app in apps.values() if app is not None]
    return {
        "data": [source, *flows],
        "groups": [
            {"type": "webapp", "label": "WEBAPP", "sources": [source]},
            {"type": "workflow", "label": "WORKFLOW", "sources": flows},
        ],
    }


def list_log_messages(call: Call) -> object:
    """GET /agent/{id}/logs/{id}/messages: newest first; none of unknown and debugging talks."""
    call.agent()
    asked = call.query("AgentLogMessagesQuery", *_FILTERS)
    rows = _log_messages(call.path["conversation_id"], window_of(asked, call), call)
    rows.sort(key=lambda one: (one["created_at"], one["id"]), reverse=True)
    return _paged(rows, asked)


def _log_messages(talk_id: str, window: TimeWindow, call: Call) -> list[JsonObject]:
    row = call.world.conversations.get(talk_id)
    if row is not None and row.app_id == call.app.id:
        is_shown = row.invoke_from != "debugger"
        return [_message(one, call) for one in _messages(row.id, window, call) if is_shown]
    if are_nodes(call):
        return [
            execution_as_message(node, call)
            for _, node in executions(call)
            if node.id == talk_id and is_in(node, window)
        ]
    found = {
        message.id: message
        for (told, _), (_, messages) in messages_through_nodes(call, window).items()
        for message in messages
        if told == talk_id
    }
    return [_message(one, call) for one in found.values()]


def _message(row: Message, call: Call) -> JsonObject:
    given = [call.world.feedbacks[i] for i in call.world.feedbacks_of_message.get(row.id, ())]
    values: JsonObject = {
        "id": row.id,
        "message_id": row.id,
        "conversation_id": row.conversation_id,
        "query": row.query,
        "answer": row.answer,
        "status": _STATUSES[row.status],
        "error": row.error,
        "from_end_user_id": row.from_end_user_id,
        "from_account_id": row.from_account_id,
        "feedback_enabled": True,
        "feedbacks": [
            {"rating": one.rating, "content": one.content, "from_source": one.from_source}
            for one in given
        ],
        "message_tokens": row.message_tokens,
        "answer_tokens": row.answer_tokens,
        "total_tokens": row.message_tokens + row.answer_tokens,
        "total_price": None if row.total_price is None else str(row.total_price),
        "currency": row.currency,
        "latency": row.provider_response_latency,
        "created_at": epoch(row.created_at),
        "updated_at": epoch(row.updated_at),
    }
    newest = call.version.since(1, 17)
    return known(values, feedback_enabled=newest, feedbacks=newest)


def _paged(rows: list[JsonObject], asked: Values) -> JsonObject:
    page, limit = asked.whole("page"), asked.whole("limit")
    shown = rows[(page - 1) * limit : page * limit]
    return {
        "data": shown,
        "page": page,
        "limit": limit,
        "total": len(rows),
        "has_more": len(rows) > page * limit,
    }


def list_agent_messages(call: Call) -> object:
    """GET /agent/{id}/chat-messages: as of its app."""
    call.agent()
    return list_messages(call)


def get_agent_message(call: Call) -> object:
    """GET /agent/{id}/messages/{id}: as of its app."""
    call.agent()
    return get_message(call)


_AGENT = "/agent/<uuid:agent_id>"

ROUTES = (
    Route("GET", f"{_AGENT}/logs", list_logs, since=SINCE),
    Route("GET", f"{_AGENT}/logs/<uuid:conversation_id>/messages", list_log_messages, since=SINCE),
    Route("GET", f"{_AGENT}/log-sources", list_log_sources, since=SINCE),
    Route("GET", f"{_AGENT}/chat-messages", list_agent_messages, roles=EDITORS, since=SINCE),
    Route("GET", f"{_AGENT}/messages/<uuid:message_id>", get_agent_message, since=SINCE),
)
