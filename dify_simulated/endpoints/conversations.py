"""Lists and details of conversations, for chat apps and for completion apps.

The lists have no side effect. The details mark a conversation as read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from dify_simulated.endpoints.app_detail import config_detail
from dify_simulated.endpoints.apps import CHAT_MODES
from dify_simulated.endpoints.conversation_search import ConversationSearch
from dify_simulated.endpoints.messages import annotation_detail, message_detail
from dify_simulated.server.calls import EDITORS, Call, Route
from dify_simulated.server.errors import internal_error, invalid_param
from dify_simulated.server.paging import LIMIT, PAGE, page_answer
from dify_simulated.server.parameters import Choice, Parameter, Values, Whole
from dify_simulated.server.presentation import account_name, epoch, known, session_id
from dify_simulated.server.time_windows import EndRule, read_window
from dify_simulated.world.rows import AppModelConfig, Conversation, JsonObject, Message

_SORTS = ("created_at", "-created_at", "updated_at", "-updated_at")
_FILTERS = (
    PAGE,
    LIMIT,
    Parameter("keyword"),
    Parameter("start"),
    Parameter("end"),
    Choice("annotation_status", "all", choices=("annotated", "not_annotated", "all")),
)
_CONFIG_KEYS = (
    "opening_statement",
    "suggested_questions",
    "model",
    "user_input_form",
    "pre_prompt",
    "agent_mode",
)
_UNKNOWN_TO_OLD_SERVERS = ("paused", "scheduled")


def list_chat_conversations(call: Call) -> object:
    """GET /apps/{id}/chat-conversations: the column that start and end filter follows sort_by."""
    counted = () if call.version.since(1, 11) else (Whole("message_count_gte", low=1),)
    sorts = Choice("sort_by", "-updated_at", choices=_SORTS)
    asked = call.query("ChatConversationQuery", *_FILTERS, sorts, *counted)
    sort_by = asked.text("sort_by") or "-updated_at"
    search = _search(asked, EndRule.SECOND_59_INCLUDED, call)
    return _answer(search, asked, sort_by, _Presenter(call).in_chat_list)


def list_completion_conversations(call: Call) -> object:
    """GET /apps/{id}/completion-conversations: newest first; no message id, tokens or latency."""
    asked = call.query("CompletionConversationQuery", *_FILTERS)
    search = _search(asked, EndRule.SECOND_59_EXCLUDED, call)
    return _answer(search, asked, "-created_at", _Presenter(call).in_completion_list)


def _search(asked: Values, rule: EndRule, call: Call) -> ConversationSearch:
    window = read_window(
        asked.text("start"),
        asked.text("end"),
        zone=call.account.timezone,
        rule=rule,
        version=call.version,
    )
    return ConversationSearch(
        call,
        window,
        keyword=asked.text("keyword") or "",
        annotation_status=asked.text("annotation_status") or "all",
        message_count=asked.number("message_count_gte") or 0,
    )


def _answer(
    search: ConversationSearch,
    asked: Values,
    sort_by: str,
    show: Callable[[Conversation], JsonObject],
) -> JsonObject:
    page, limit = asked.whole("page"), asked.whole("limit")
    found = search.page(sort_by=sort_by, offset=(page - 1) * limit, limit=limit)
    data = [show(row) for row in found.rows]
    return page_answer(data, page=page, limit=limit, total=found.total)


@dataclass(frozen=True)
class _Presenter:
    """Rows of conversations as JSON, for one call."""

    call: Call

    def in_chat_list(self, row: Conversation) -> JsonObject:
        """A line of chat-conversations; `model` is null in it up to 1.15."""
        world = self.call.world
        config = self._config(row)
        return {
            **self._head(row),
            "name": row.name,
            "summary": self._summary(row),
            "annotated": bool(world.annotations_of_conversation.get(row.id)),
            "model_config": self._config_brief(config),
            "message_count": len(world.messages_of_conversation.get(row.id, ())),
            **self._feedback_stats(row),
            "status_count": self._status_count(row),
        }

    def in_completion_list(self, row: Conversation) -> JsonObject:
        """A line of completion-conversations, with the texts of the first message."""
        config = self._config(row)
        message = self._first_message(row)
        return {
            **self._head(row),
            "annotation": None if message is None else annotation_detail(message, self.call),
            "model_config": self._config_brief(config),
            **self._feedback_stats(row),
            "message": None if message is None else _texts(message),
        }

    def _config_brief(self, config: AppModelConfig | None) -> JsonObject:
        told = config is not None and self.call.version.answers_by_models
        return {
            "model": config.model if config is not None and told else None,
            "pre_prompt": None if config is None else config.pre_prompt,
        }

    def _head(self, row: Conversation) -> JsonObject:
        return {
            "id": row.id,
            "status": row.status,
            "from_source": row.from_source,
            "from_end_user_id": row.from_end_user_id,
            "from_end_user_session_id": session_id(self.call, row.from_end_user_id),
            "from_account_id": row.from_account_id,
            "from_account_name": account_name(self.call, row.from_account_id),
            "read_at": epoch(row.read_at),
            "created_at": epoch(row.created_at),
            "updated_at": epoch(row.updated_at),
        }

    def _config(self, row: Conversation) -> AppModelConfig | None:
        """The config the conversation began with, unless its row is gone."""
        config = self.call.app.app_model_config
        return config if config is not None and config.id == row.app_model_config_id else None

    def _first_message(self, row: Conversation) -> Message | None:
        index = self.call.world.messages_of_conversation.get(row.id)
        return None if not index else self.call.world.messages[index.entries[0][1]]

    def _summary(self, row: Conversation) -> str:
        """The stored summary, else the first question, else ""."""
        message = self._first_message(row)
        return row.summary or ("" if message is None else message.query)

    def _feedback_stats(self, row: Conversation) -> JsonObject:
        world = self.call.world
        given = [world.feedbacks[i] for i in world.feedbacks_of_conversation.get(row.id, ())]
        stats: JsonObject = {}
        for source in ("user", "admin"):
            ratings = [feedback.rating for feedback in given if feedback.from_source == source]
            counts = {"like": ratings.count("like"), "dislike": ratings.count("dislike")}
            stats[f"{source}_feedback_stats"] = counts
        return stats

    def _status_count(self, row: Conversation) -> JsonObject | None:
        """Runs behind the messages, by outcome; nulls where no message has a run, before 1.11.2
        where there is no message, and never before 1.7, which tells zeros.

        From 1.16 one null stands for them all. Seen on 1.0, 1.7.2, 1.12.1 and later; that the rule
        changed with 1.11.2 is inferred from the day of the change.

        Up to 1.8 a run in a state that such a server does not know breaks the whole list.
        """
        version = self.call.version
        keys = ["success", "failed", "partial_success"] + ["paused"] * version.since(1, 13)
        messages = [
            self.call.world.messages[message_id]
            for message_id in self.call.world.messages_of_conversation.get(row.id, ())
        ]
        is_old = not version.since(1, 11, 2)
        if version.since(1, 7) and not any(is_old or one.workflow_run_id for one in messages):
            return None if version.answers_by_models else dict.fromkeys(keys)
        statuses = self._run_statuses(messages)
        broken = [status for status in statuses if status in _UNKNOWN_TO_OLD_SERVERS]
        if broken and not version.since(1, 7):
            raise internal_error()
        if broken and not version.since(1, 9):
            raise invalid_param(f"'{broken[0]}' is not a valid WorkflowExecutionStatus")
        names = ("succeeded", "failed", "partial-succeeded", "paused")
        return {key: statuses.count(name) for key, name in zip(keys, names, strict=False)}

    def _run_statuses(self, messages: Iterable[Message]) -> list[str]:
        found = self.call.world.workflow_runs
        runs = (found.get(message.workflow_run_id or "") for message in messages)
        return [run.status for run in runs if run is not None]

    def detail_head(self, row: Conversation) -> JsonObject:
        """What both details share, with the config or (its row gone) a config of nulls."""
        config = self._config(row)
        full: JsonObject = dict.fromkeys(_CONFIG_KEYS) if config is None else config_detail(config)
        return {
            "id": row.id,
            "status": row.status,
            "from_source": row.from_source,
            "from_end_user_id": row.from_end_user_id,
            "from_account_id": row.from_account_id,
            "created_at": epoch(row.created_at),
            "model_config": {key: full[key] for key in _CONFIG_KEYS},
        }

    def chat_detail(self, row: Conversation) -> JsonObject:
        """The answer of a chat conversation's detail."""
        world = self.call.world
        return {
            **self.detail_head(row),
            "updated_at": epoch(row.updated_at),
            "annotated": bool(world.annotations_of_conversation.get(row.id)),
            "introduction": self._introduction(row),
            "message_count": len(world.messages_of_conversation.get(row.id, ())),
            **self._feedback_stats(row),
        }

    def _introduction(self, row: Conversation) -> str | None:
        return row.introduction or None if self.call.version.answers_by_models else row.introduction

    def completion_detail(self, row: Conversation) -> JsonObject:
        """The answer of a completion's detail, with its message in full."""
        message = self._first_message(row)
        shown = None if message is None else message_detail(message, self.call)
        if shown is not None:
            shown = known(shown, extra_contents=False)
        return {**self.detail_head(row), "message": shown}


def _texts(message: Message) -> JsonObject:
    """`message` is the text of the first prompt here, not the list of prompts."""
    prompts = message.message
    first = prompts[0]["text"] if isinstance(prompts, list) and prompts else ""
    return {
        "inputs": message.inputs,
        "query": message.query,
        "message": first,
        "answer": message.answer,
    }


def get_chat_conversation(call: Call) -> object:
    """GET /apps/{id}/chat-conversations/{id}: sets read_at, on 1.10 to 1.12 updated_at too."""
    row = _read(call)
    return _Presenter(call).chat_detail(row)


def get_completion_conversation(call: Call) -> object:
    """GET /apps/{id}/completion-conversations/{id}: sets read_at as the chat detail does."""
    row = _read(call)
    return _Presenter(call).completion_detail(row)


def _read(call: Call) -> Conversation:
    row = call.conversation_of_app(call.path["conversation_id"])
    call.world.read_conversation(
        row.id,
        account_id=call.account.id,
        at=call.at,
        touch=call.version.reading_moves_updated_at,
    )
    return row


_CHAT = "/apps/<uuid:app_id>/chat-conversations"
_COMPLETION = "/apps/<uuid:app_id>/completion-conversations"

ROUTES = (
    Route("GET", _CHAT, list_chat_conversations, modes=CHAT_MODES, roles=EDITORS),
    Route(
        "GET",
        f"{_CHAT}/<uuid:conversation_id>",
        get_chat_conversation,
        modes=CHAT_MODES,
        roles=EDITORS,
    ),
    Route("GET", _COMPLETION, list_completion_conversations, modes=("completion",), roles=EDITORS),
    Route(
        "GET",
        f"{_COMPLETION}/<uuid:conversation_id>",
        get_completion_conversation,
        modes=("completion",),
        roles=EDITORS,
    ),
)
