"""What can happen to conversations and messages."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

from dify_simulated.world.feedback_changes import FeedbackChanges
from dify_simulated.world.prices import Model, model_of, usage_of
from dify_simulated.world.rows import (
    App,
    Conversation,
    EndUser,
    JsonObject,
    Message,
    MessageFile,
)
from dify_simulated.world.tables import whole_second
from dify_simulated.world.workflow_changes import WorkflowChanges

# The parent of a first message that came through the service API to a chatflow.
NIL_UUID = "00000000-0000-0000-0000-000000000000"


# The modes whose messages are saved before their usage is known: Dify never shows it.
_SAVED_BEFORE_USAGE = ("chat", "agent-chat", "completion", "agent")


class ConversationChanges(WorkflowChanges, FeedbackChanges):
    """Verbs on conversations; every `at` is an aware datetime."""

    def add_end_user(
        self, app_id: str, *, session_id: str, at: datetime, type: str = "service-api"
    ) -> EndUser:
        """Let somebody new turn up at an app."""
        with self.lock:
            row = EndUser(
                id=self.new_id(),
                tenant_id=self.apps[app_id].tenant_id,
                app_id=app_id,
                type=type,
                session_id=session_id,
                created_at=whole_second(at),
            )
            self.end_users[row.id] = row
            return row

    def remove_end_user(self, end_user_id: str) -> None:
        """Let the row of an end user go; what points at it keeps the id."""
        with self.lock:
            del self.end_users[end_user_id]

    def add_conversation(
        self,
        app_id: str,
        *,
        at: datetime,
        name: str = "New conversation",
        end_user_id: str | None = None,
        account_id: str | None = None,
        invoke_from: str | None = None,
    ) -> Conversation:
        """Open a conversation without messages.

        With an account it comes from the console (`explore`, or `debugger` when said), else through
        the service API, from a new end user unless one is named.
        """
        with self.lock:
            app = self.apps[app_id]
            if account_id is None and end_user_id is None:
                end_user_id = self.add_end_user(app_id, session_id="somebody", at=at).id
            by_account = account_id is not None
            row = Conversation(
                id=self.new_id(),
                app_id=app_id,
                mode=app.mode,
                name=name,
                created_at=whole_second(at),
                updated_at=whole_second(at),
                invoke_from=invoke_from or ("explore" if by_account else "service-api"),
                from_source="console" if by_account else "api",
                app_model_config_id=app.app_model_config.id if app.app_model_config else None,
                from_end_user_id=end_user_id,
                from_account_id=account_id,
            )
            self.put_conversation(row)
            return row

    def add_message(
        self,
        conversation_id: str,
        *,
        at: datetime,
        query: str = "Where is my order?",
        answer: str | None = "It is on its way.",
        parent_message_id: str | None = None,
    ) -> Message:
        """Ask a question. With `answer=None` it stays half-written until `finish_message`.

        The conversation's updated_at moves to the question's instant. In a chatflow a workflow run
        goes along with the message.
        """
        with self.lock:
            conversation = self.conversations[conversation_id]
            app = self.apps[conversation.app_id]
            row = self._asked(conversation, app, at=at, query=query)
            row.parent_message_id = parent_message_id or self._parent_of_next(conversation, app)
            if app.mode == "advanced-chat":
                row.workflow_run_id = self._run_of_message(conversation, app, at)
            self.put_message(row)
            self.move_updated_at(conversation, at)
            if answer is not None:
                self.finish_message(row.id, answer=answer)
            return row

    def attach_remote_file(self, message_id: str, url: str) -> MessageFile:
        """Give a message a file that stays on its own host; `dead_hosts` names hosts that do not
        answer."""
        with self.lock:
            row = MessageFile(
                id=self.new_id(),
                filename=url.rpartition("/")[2],
                type="image",
                mime_type="image/png",
                size=-1,
                transfer_method="remote_url",
                belongs_to="user",
                upload_file_id=None,
                remote_url=url,
            )
            self.messages[message_id].message_files += (row,)
            return row

    def attach_tool_file(self, message_id: str, filename: str, size: int) -> MessageFile:
        """Give a message a picture that a tool of its agent or workflow made."""
        with self.lock:
            row = MessageFile(
                id=self.new_id(),
                filename=filename,
                type="image",
                mime_type="image/png",
                size=size,
                transfer_method="tool_file",
                belongs_to="assistant",
                upload_file_id=self.new_id(),
            )
            self.messages[message_id].message_files += (row,)
            return row

    def _asked(self, conversation: Conversation, app: App, *, at: datetime, query: str) -> Message:
        prompt: list[JsonObject] = [{"role": "user", "text": query, "files": []}]
        return Message(
            id=self.new_id(),
            app_id=conversation.app_id,
            conversation_id=conversation.id,
            query=query,
            answer="",
            message="" if app.mode in ("advanced-chat", "agent") else prompt,
            inputs=conversation.inputs,
            created_at=whole_second(at),
            updated_at=at,
            invoke_from=conversation.invoke_from,
            from_source=conversation.from_source,
            from_end_user_id=conversation.from_end_user_id,
            from_account_id=conversation.from_account_id,
        )

    def _parent_of_next(self, conversation: Conversation, app: App) -> str | None:
        earlier = self.messages_of_conversation[conversation.id].entries
        if earlier:
            return earlier[-1][1]
        return NIL_UUID if app.mode == "advanced-chat" else None

    def _run_of_message(self, conversation: Conversation, app: App, at: datetime) -> str:
        debugging = conversation.invoke_from == "debugger"
        return self.start_run(
            app.id,
            at=at,
            triggered_from="debugging" if debugging else "app-run",
            end_user_id=conversation.from_end_user_id,
            account_id=conversation.from_account_id,
        ).id

    def finish_message(
        self,
        message_id: str,
        *,
        answer: str = "It is on its way.",
        latency: float = 2.5,
        prompt_tokens: int = 120,
        answer_tokens: int = 48,
        error: str | None = None,
        model: Model | None = None,
    ) -> Message:
        """Complete a half-written message, perhaps with an error. No list timestamp moves.

        It is charged at the prices of `model`, by default of the app's own.
        """
        with self.lock:
            row = self.messages[message_id]
            app = self.apps[row.app_id]
            row.answer = answer
            row.message_tokens, row.answer_tokens = prompt_tokens, answer_tokens
            row.provider_response_latency = latency
            charged = model or model_of(app)
            usage = usage_of(prompt_tokens, answer_tokens, latency, charged)
            row.total_price = Decimal(str(usage["total_price"]))
            row.currency = charged.currency
            is_shown = app.mode not in _SAVED_BEFORE_USAGE
            if not is_shown:
                row.model_provider, row.model_id = charged.provider, charged.name
            row.message_metadata = {
                "annotation_reply": None,
                "retriever_resources": [],
                "usage": usage if is_shown else None,
            }
            row.updated_at = row.created_at + timedelta(seconds=latency)
            row.status, row.error = ("normal", None) if error is None else ("error", error)
            if row.workflow_run_id is not None and row.workflow_run_id in self.workflow_runs:
                status = "succeeded" if error is None else "failed"
                # Messages begin at whole seconds and their runs do not: by the message's clock a
                # fast run would end before it began.
                ended_at = self.workflow_runs[row.workflow_run_id].created_at + timedelta(
                    seconds=latency
                )
                self.finish_run(row.workflow_run_id, at=ended_at, status=status, error=error)
            return row

    def rename_conversation(self, conversation_id: str, name: str, *, at: datetime) -> None:
        """Give a conversation another name; updated_at moves."""
        with self.lock:
            row = self.conversations[conversation_id]
            row.name = name
            self.move_updated_at(row, at)

    def delete_conversation(self, conversation_id: str, *, soft: bool = False) -> None:
        """Delete as 1.8 and later do: row and messages go. `soft` is 1.0: a flag, messages stay."""
        with self.lock:
            if soft:
                self._flag_deleted(conversation_id)
                return
            self.take_conversation(conversation_id)
            for message_id in list(self.messages_of_conversation[conversation_id]):
                self.take_message(message_id)
            del self.messages_of_conversation[conversation_id]

    def _flag_deleted(self, conversation_id: str) -> None:
        row = self.take_conversation(conversation_id)
        row.is_deleted = True
        self.conversations[row.id] = row
        self.deleted_conversations[row.app_id].add(row.id)

    def read_conversation(
        self, conversation_id: str, *, account_id: str, at: datetime, touch: bool
    ) -> None:
        """Mark a conversation as read, which the detail endpoints do; `touch` moves updated_at."""
        with self.lock:
            row = self.conversations[conversation_id]
            if row.read_at is not None:
                return
            row.read_at, row.read_account_id = at, account_id
            if touch:
                self.move_updated_at(row, at)
