"""A world that contains what the recorded servers contained, and who is who in it.

A recorded id stands for a role ("the conversation whose end user is gone"); the same role has a row
in the simulated world. Roles are learned from the names of the recorded exchanges, which are the
same for both versions; an id without a role is unknown to both.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from json import dumps
from re import compile as compile_pattern

from dify_etl_tests.simulated.recorded_exchanges import Exchange, all_exchanges
from dify_simulated import World, WorldPlan, build_world
from dify_simulated.world.rows import App, Conversation, JsonObject, WorkflowRun, first_settings

NOW = datetime(2026, 11, 21, 0, 30, tzinfo=UTC)
_UUID = compile_pattern(
    r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"
)

_BATCH = "20261115120000000000"

# The e-mail addresses of the recorded servers, by what they are here.
EMAILS = {
    "owner@difylab.test": "owner@dify.test",
    "OWNER@DIFYLAB.TEST": "OWNER@DIFY.TEST",
    "admin@difylab.test": "admin@dify.test",
    "editor@difylab.test": "eddie@dify.test",
    "pending@difylab.test": "pat@dify.test",
    "banned@difylab.test": "ben@dify.test",
    "notenant@difylab.test": "nowhere@dify.test",
    "EDITOR@difylab.test": "EDDIE@dify.test",
}
# Who is locked out by wrong passwords: nobody else's session suffers.
LOCKED_OUT = "locked@dify.test"


class ContractWorld:
    """The world, and `ids`: the simulated id of each role.

    `newest`: with what only the servers of 1.16.1 and later held.
    """

    def __init__(self, *, newest: bool = False) -> None:
        plan = WorldPlan(seed=3, days=12, conversations_per_day=14, now=NOW)
        self.world: World = build_world(plan)
        self.ids: dict[str, str] = {}
        self._cast_apps()
        self._cast_conversations()
        self._cast_runs()
        self._cast_datasets()
        self._cast_states()
        if newest:
            self._renew()

    def app(self, mode: str) -> App:
        """The busiest app of a mode."""
        return next(app for app in self.world.apps.values() if app.mode == mode)

    def _cast_apps(self) -> None:
        for mode in ("chat", "agent-chat", "advanced-chat", "completion", "workflow"):
            self.ids[f"app {mode}"] = self.app(mode).id

    def _cast_states(self) -> None:
        """Apps on their way to the second publication, and one that may go."""
        for mode in ("workflow", "advanced-chat"):
            for role, saved, published in (
                ("without a draft", 0, 0),
                ("drafted", 1, 0),
                ("once published", 1, 1),
                ("twice published", 2, 2),
            ):
                app = self._add_app(f"{mode} {role}", mode)
                for number in range(saved):
                    graph: JsonObject = {"nodes": [], "edges": [], "viewport": {"x": number}}
                    self.world.save_draft(app.id, graph, at=NOW - timedelta(hours=2))
                for number in range(published):
                    at = NOW - timedelta(hours=1) + timedelta(seconds=number)
                    row = self.world.publish(app.id, at=at, marked_name=f"v{number}")
                    self.ids[f"version of {mode}"] = row.id
        self._add_app("passing", "chat")
        for role in ("changing", "rising", "leaving", "going", "locked"):
            person = self.world.add_account(
                name=role,
                email=f"{role}@dify.test",
                at=NOW - timedelta(days=1),
                password=self.world.account.password,
            )
            held = "editor" if role == "rising" else "normal"
            self.world.join(person.id, self.world.workspace_id, role=held, at=person.created_at)
            self.ids[f"account {role}"] = person.id
            person.status = "pending" if role == "going" else "active"
        self.ids["workspace"] = self.world.workspace_id
        self.ids["nothing"] = self.world.new_id()

    def _add_app(self, role: str, mode: str) -> App:
        row = self.world.add_app(
            name=role,
            mode=mode,
            at=NOW - timedelta(days=1),
            created_by=self.world.account_id,
            tenant_id=self.world.workspace_id,
        )
        self.ids[f"app {role}"] = row.id
        return row

    def _renew(self) -> None:
        """Apps that were made and never saved, documents without a rule, fields of documents."""
        others = first_settings(newest=True)
        saved: JsonObject = {"datasets": {"strategy": "router", "datasets": []}}
        for role in ("workflow once published", "advanced-chat twice published"):
            draft = self.world.draft_of(self.ids[f"app {role}"])
            assert draft is not None
            draft.updated_by = self.world.account_id
        for row in self.world.datasets.values():
            row.icon = "📙"
        states = self.world.datasets[self.ids["dataset states"]]
        states.updated_by = states.icon = None
        for mode in ("agent-chat", "completion"):
            config = self.app(mode).app_model_config
            assert config is not None
            config.others = others
        config = self.app("chat").app_model_config
        assert config is not None
        config.others = {"dataset_configs": {"retrieval_model": "single", **saved}}
        for document_id in self.world.documents_of_dataset[self.ids["dataset many"]]:
            document = self.world.documents[document_id]
            document.dataset_process_rule_id = None
            document.has_metadata = document.position % 2 == 0

    def _cast_conversations(self) -> None:
        world, chat = self.world, self.app("chat")
        for role in ("long", "ties", "empty", "revived", "nullprice", "two_ann", "amc_gone"):
            self._conversation(role, chat, messages=0 if role == "empty" else 2)
        gone = self._conversation("enduser_gone", chat)
        world.remove_end_user(gone.from_end_user_id or "")
        leaver = world.add_account(name="gone", email="gone@dify.test", at=NOW)
        self._conversation("account_gone", chat, account_id=leaver.id)
        world.remove_account(leaver.id)
        world.conversations[self.ids["conversation amc_gone"]].app_model_config_id = None
        explorer = world.account_id
        self._conversation("explored", self.app("completion"), messages=1, account_id=explorer)
        failing = world.add_message(self.ids["conversation ties"], at=NOW - timedelta(hours=5))
        world.finish_message(failing.id, answer="", error="Run failed: …")
        self._judge_two()
        self._long()
        world.delete_conversation(self._conversation("deleted", chat).id, soft=True)
        self._conversation("agent", self.app("agent-chat"))
        self._conversation("completion", self.app("completion"), messages=1)
        self._conversation("chatflow", self.app("advanced-chat"))
        self._half_written()
        self._odd_messages()

    def _conversation(
        self, role: str, app: App, *, messages: int = 2, account_id: str | None = None
    ) -> Conversation:
        at = NOW - timedelta(days=1, hours=2)
        row = self.world.add_conversation(app.id, at=at, account_id=account_id)
        self.ids[f"conversation {role}"] = row.id
        for number in range(messages):
            message = self.world.add_message(row.id, at=at + timedelta(seconds=number))
            self.ids[f"message {role}"] = message.id
        return row

    def _judge_two(self) -> None:
        """A message with an annotation and feedback of both kinds, and an annotated neighbour."""
        world, at = self.world, NOW - timedelta(hours=3)
        first, second = world.messages_of_conversation[self.ids["conversation two_ann"]]
        for message_id, content in ((first, "one"), (second, "two")):
            world.annotate(message_id, at=at, content=content)
        world.give_feedback(second, "like", at=at, content="很好 👍")
        world.give_feedback(second, "dislike", at=at, account_id=world.account_id, content="bad")
        world.give_feedback(first, "like", at=at)

    def _long(self) -> None:
        at = NOW - timedelta(days=1)
        for number in range(248):
            message = self.world.add_message(
                self.ids["conversation long"], at=at + timedelta(seconds=20 * number)
            )
            self.ids.setdefault(f"message long {number // 100}", message.id)

    def _half_written(self) -> None:
        row = self._conversation("mid-run", self.app("advanced-chat"), messages=0)
        self.world.add_message(row.id, at=NOW - timedelta(seconds=20), answer=None)

    def _odd_messages(self) -> None:
        for role, mode in (("error", "chat"), ("chatflow-error", "advanced-chat")):
            row = self._conversation(role, self.app(mode), messages=0)
            message = self.world.add_message(row.id, at=NOW - timedelta(hours=5), answer=None)
            self.world.finish_message(message.id, answer="", error="Run failed: …")
            self.world.give_feedback(message.id, "dislike", at=NOW)
            self.ids[f"message {role}"] = message.id
        orphaned = self._conversation("orphaned", self.app("advanced-chat"))
        self.world.add_message(orphaned.id, at=NOW - timedelta(seconds=5))
        self.world.delete_conversation(orphaned.id)
        thinking = next(row for row in self.world.messages.values() if row.agent_thoughts)
        self.ids["message agent"] = thinking.id
        self.ids["conversation agent"] = thinking.conversation_id

    def _cast_runs(self) -> None:
        world, app = self.world, self.app("workflow")
        runs = [run for run in world.workflow_runs.values() if run.app_id == app.id]
        for status in ("succeeded", "failed", "partial-succeeded", "stopped", "running", "paused"):
            self.ids[f"run {status}"] = next(run.id for run in runs if run.status == status)
        for trigger in ("schedule", "webhook"):
            self.ids[f"run {trigger}"] = next(
                run.id for run in runs if run.triggered_from == trigger
            )
        looped = next(
            node.workflow_run_id
            for node in world.node_executions.values()
            if node.node_type == "loop" and node.app_id == app.id
        )
        self.ids["run loop"] = looped
        world.add_node(self.ids["run schedule"], at=NOW, node_type="tool", status="succeeded")
        self._gone_runs(app)
        chatflow = [run for run in world.workflow_runs.values() if run.app_id != app.id]
        for status in ("succeeded", "failed"):
            found = next(run.id for run in chatflow if run.status == status)
            self.ids[f"chatflow run {status}"] = found

    def _gone_runs(self, app: App) -> None:
        world, at = self.world, NOW - timedelta(days=2)
        leaver = world.add_end_user(app.id, session_id="leaver", at=at)
        orphan = self._finished(app, leaver.id)
        world.remove_end_user(leaver.id)
        self.ids["run creator_gone"] = orphan.id
        nulls = self._finished(app, None)
        nulls.total_steps = nulls.exceptions_count = None
        self.ids["run nulls"] = nulls.id
        deleted = self._finished(app, None)
        world.delete_run(deleted.id)
        self.ids["run deleted"] = deleted.id

    def _finished(self, app: App, end_user_id: str | None) -> WorkflowRun:
        at = NOW - timedelta(days=2)
        run = self.world.start_run(app.id, at=at, end_user_id=end_user_id)
        return self.world.finish_run(run.id, at=at + timedelta(seconds=3))

    def _cast_datasets(self) -> None:
        world = self.world
        names = ("states", "many", "private", "external", "empty", "partial")
        for role, dataset in zip(names, world.datasets.values(), strict=True):
            self.ids[f"dataset {role}"] = dataset.id
        states = world.datasets[self.ids["dataset states"]]
        states.permission = "only_me"
        self.batch = world.documents[world.documents_of_dataset[states.id][0]].batch
        for role in ("states", "many"):
            held = world.documents_of_dataset[self.ids[f"dataset {role}"]]
            for document in (world.documents[row_id] for row_id in held):
                state = "paused" if document.is_paused else document.indexing_status
                self.ids.setdefault(f"document {role} {state}", document.id)


# Which role the ids of an exchange play: the last id of the path, or an id of the query.
_LAST_OF_PATH = {
    "chat-conversation-get-long": "conversation long",
    "chat-conversation-get-empty": "conversation empty",
    "chat-conversation-get-deleted": "conversation deleted",
    "chat-conversation-get-revived": "conversation revived",
    "chat-conversation-get-two_ann": "conversation two_ann",
    "chat-conversation-get-amc_gone": "conversation amc_gone",
    "chat-conversation-get-nullprice": "conversation nullprice",
    "chat-conversation-get-account_gone": "conversation account_gone",
    "chat-conversation-get-enduser_gone": "conversation enduser_gone",
    "completion-conversation-get": "conversation completion",
    "message-get": "message two_ann",
    "message-get-agent": "message agent",
    "message-get-as-normal-member": "message long",
    "message-get-chatflow": "message chatflow",
    "message-get-chatflow-error": "message chatflow-error",
    "message-get-error": "message error",
    "message-get-nullprice": "message nullprice",
    "workflow-run-get-chatflow": "chatflow run succeeded",
    "workflow-run-get-chatflow-failed": "chatflow run failed",
    "workflow-run-get-creator_gone": "run creator_gone",
    "workflow-run-get-no_log": "run succeeded",
    "workflow-run-get-nulls": "run nulls",
    "workflow-run-get-paused": "run paused",
    "workflow-run-get-real-failed": "run failed",
    "workflow-run-get-real-partial-succeeded": "run partial-succeeded",
    "workflow-run-get-real-running": "run running",
    "workflow-run-get-real-succeeded": "run succeeded",
    "workflow-run-get-run_deleted": "run deleted",
    "workflow-run-get-running_recent": "run running",
    "workflow-run-get-running_zombie": "run running",
    "workflow-run-get-schedule_log": "run schedule",
    "workflow-run-get-schedule_nolog": "run schedule",
    "workflow-run-get-seeded-failed": "run failed",
    "workflow-run-get-seeded-partial-succeeded": "run partial-succeeded",
    "workflow-run-get-seeded-stopped": "run stopped",
    "workflow-run-get-seeded-succeeded": "run succeeded",
    "workflow-run-get-webhook_log": "run webhook",
    "workflow-run-get-zero": "run succeeded",
    "node-executions-real-loop": "run loop",
    "get": "dataset states",
    "documents-130-limit20": "dataset many",
    "error-docs-none": "dataset empty",
    "document-get-done": "document states completed",
    "document-get-error": "document states error",
    "doc-indexing-status-waiting": "document states waiting",
    "doc-indexing-status-parsing": "document states parsing",
    "doc-indexing-status-indexing": "document states indexing",
    "doc-indexing-status-paused": "document states paused",
    "doc-indexing-status-archived": "document states completed",
    "doc-indexing-status-disabled": "document states completed",
    "doc-indexing-status-error-null-message": "document states error",
    "retry-then-status-0s": "document many completed",
    "get-chat": "app chat",
    "get-agent-chat": "app agent-chat",
    "get-advanced-chat": "app advanced-chat",
    "get-completion": "app completion",
    "get-workflow": "app workflow",
    "draft-get-missing": "app workflow without a draft",
    "api-keys-list-full": "app chat",
    "chatflow-conversations-mid-run": "app advanced-chat",
    "tz-boundary-daily-messages-new-york": "app chat",
    "workflow-run-get-real": "run succeeded",
    "workflow-run-get-real-failing": "run failed",
    "workflow-run-get-scheduled": "run schedule",
}
# Whose app an exchange is about: the first id of the path.
_FIRST_OF_PATH = {
    "workflow-app-logs-real": "app workflow",
    "workflow-app-logs-real-failing": "app workflow",
    "workflow-app-logs-triggers": "app workflow",
    "chat-conversations-real-chatflow": "app advanced-chat",
}
# The state that an app was in when this was asked, by the end of the name.
_STATES = {
    "-draft-get-before": "without a draft",
    "-versions-without-draft": "without a draft",
    "-published-get-before": "without a draft",
    "export-dsl-without-draft": "without a draft",
    "-versions-draft-never-published": "drafted",
    "-published-get-never-published": "drafted",
    "-versions-once-published": "once published",
    "-versions-twice-published": "twice published",
    "-versions-named-only": "twice published",
    "-versions-limit1-page2": "twice published",
    "-draft-get": "drafted",
    "import-dsl-workflow-versions": "drafted",
    "import-dsl-workflow-draft-get": "drafted",
    "import-dsl-workflow-versions-after": "once published",
    "export-dsl-one-version": "twice published",
    "workflows-list": "once published",
}
# Other exchanges that were about something else at their time than under the same id before.
_AT_THE_TIME = {
    "get-after-model-config": "app chat",
    "dataset-get": "dataset states",
    "dataset-get-economy": "dataset states",
    "admin-api-key/delete-app": "app passing",
    "retry-as-editor": "dataset states",
    "chat-conversation-get-after-service-delete": "nothing",
}
_OF_QUERY = {
    "chat-messages-ties": {"conversation_id": "conversation ties"},
    "chat-messages-empty": {"conversation_id": "conversation empty"},
    "chat-messages-agent": {"conversation_id": "conversation agent"},
    "chat-messages-chatflow-mid-run": {"conversation_id": "conversation mid-run"},
    "chatflow-chat-messages": {"conversation_id": "conversation chatflow"},
    "chat-messages-limit100-second": {"first_id": "message long 1"},
    "chat-messages-limit100-third": {"first_id": "message long 0"},
    "workflow-app-logs-keyword-run-id": {"keyword": "run succeeded"},
    "workflow-runs-app-run-limit100-second": {"last_id": "run succeeded"},
    "advanced-chat-workflow-runs-walk-page2": {"last_id": "chatflow run succeeded"},
    "advanced-chat-workflow-runs-walk-page3": {"last_id": "chatflow run failed"},
    "advanced-chat-workflow-runs-walk-page4": {"last_id": "chatflow run succeeded"},
    "chat-messages-real-chatflow": {"conversation_id": "conversation chatflow"},
    "chat-messages-ties-limit4-page2": {"first_id": "message ties"},
    "chat-messages-ties-limit4-page3": {"first_id": "message ties"},
    "chat-messages-with-a-picture": {"conversation_id": "conversation two_ann"},
    "export-dsl-one-version": {"workflow_id": "version of workflow"},
}


class Casting:
    """Replaces recorded ids by those of the same role, for one version."""

    def __init__(self, version: str, cast: ContractWorld) -> None:
        self.cast = cast
        self._roles: dict[str, str] = {}
        # The loop app of the recordings is one more app of mode workflow here.
        for item in all_exchanges(version):
            self._learn(item)

    def _learn(self, item: Exchange) -> None:
        found = _UUID.findall(item.path)
        if item.name == "workspace-switch-same":
            self.teach(dumps(item.sent), "workspace")
        if item.name == "node-executions-real-loop":
            self._roles[found[0].lower()] = "app workflow"
        if found and item.name in _LAST_OF_PATH and item.method == "GET":
            self._roles.setdefault(found[-1].lower(), _LAST_OF_PATH[item.name])
        if item.name in _FIRST_OF_PATH:
            self._roles.setdefault(found[0].lower(), _FIRST_OF_PATH[item.name])
        for name, role in _OF_QUERY.get(item.name, {}).items():
            self._roles.setdefault(dict(item.query)[name].lower(), role)

    def knows(self, text: str) -> bool:
        """Whether the last id in a text plays a role."""
        return _UUID.findall(text)[-1].lower() in self._roles

    def teach(self, text: str, role: str) -> None:
        """Let the last id in a text play a role, whatever it played before."""
        self._roles[_UUID.findall(text)[-1].lower()] = role

    def path_of(self, item: Exchange) -> str:
        """The path of an exchange, its app in the state that the name tells."""
        if item.name in _AT_THE_TIME:
            held = self.cast.ids[_AT_THE_TIME[item.name]]
            last = _UUID.findall(item.path)[-1]
            return self.replaced(item.path.replace(last, held))
        ends = [end for end in _STATES if item.name.endswith(end)]
        if not ends or item.method != "GET":
            return self.replaced(item.path)
        chatflow = "chatflow" in item.name
        mode = "advanced-chat" if chatflow else "workflow"
        app_id = self.cast.ids[f"app {mode} {_STATES[max(ends, key=len)]}"]
        return self.replaced(_UUID.sub(app_id, item.path, count=1))

    def meet(self, recorded: str, simulated: str) -> None:
        """Let a recorded id stand for the id of what was just made."""
        self._roles[recorded.lower()] = simulated
        self.cast.ids[simulated] = simulated

    def replaced(self, text: str) -> str:
        """The text with every known id, address and batch replaced; upper case stays."""
        text = EMAILS.get(text, text).replace(_BATCH, self.cast.batch)
        return _UUID.sub(lambda match: self._replaced_id(match.group()), text)

    def _replaced_id(self, recorded: str) -> str:
        role = self._roles.get(recorded.lower())
        if role is None:
            return recorded
        simulated = self.cast.ids[role]
        return simulated.upper() if recorded.isupper() else simulated
