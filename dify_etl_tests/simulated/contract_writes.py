"""Replays recorded writes: in an order in which each finds what it needs, on the right objects."""

from __future__ import annotations

from json import dumps, loads

import httpx

from dify_etl_tests.simulated.contract_auth import AuthReplay
from dify_etl_tests.simulated.contract_left_out import WRITES_LEFT_OUT
from dify_etl_tests.simulated.contract_world import NOW
from dify_etl_tests.simulated.recorded_exchanges import Exchange, exchanges

WRITTEN_AREAS = (
    "apps",
    "datasets",
    "members",
    "errors",
    "logs",
    "plugin-daemon-down",
    "statistics",
)

# The objects of writes by the name of the exchange; others are known by reading.
_ROLE_OF_LAST_ID = {
    "put-ok": "app crud",
    "model-config-post": "app crud",
    "api-key-create-workflow-fail": "app workflow",
    "api-keys-delete-ok": "key of an app",
    "api-keys-delete": "key of datasets",
    "retry-error-doc": "document failed",
    "retry-archived-doc": "document archived",
    "retry-completed-doc": "document states completed",
    "retry-as-normal-member": "document states error",
    "update-role-same": "account editor",
    "delete-self": "account owner",
    "delete-pending": "account outsider",
    "workflow-draft-post": "app workflow without a draft",
    "chatflow-draft-post": "app advanced-chat without a draft",
    "update-role-ok": "account changing",
    "update-role-admin": "account rising",
    "update-role-dataset-operator": "account rising",
    "delete-as-admin": "account leaving",
    "delete-as-editor": "account going",
    "annotation-post": "message error",
    "feedback-post-like": "message nullprice",
    "chat-conversation-delete": "conversation agent",
}
# What makes something that others need, and what needs that nothing was made before.
_FIRST = (
    "keys-app-create",
    "create-workflow",
    "create-advanced-chat",
    "create-minimal",
    "workflow-create-for-draft",
    "chatflow-create-for-draft",
    "import-dsl-newer-version",
    "publish-without-draft",
    "workflow-publish-without-draft",
    "chatflow-publish-without-draft",
    "workflow-draft-post",
    "chatflow-draft-post",
    "import-dsl-confirm",
    "import-dsl-workflow",
    "feedback-post-null-without-feedback",
)
_LAST = (
    "model-config-as-editor",
    "model-config-post",
    "feedback-post-None",
    "delete-as-editor",
    "retry-error-doc-again-at-once",
    "api-keys-delete-ok",
    "api-keys-delete-again",
    "delete-ok",
    "delete-again",
    "api-keys-create-11th-limit",
)


def recorded_writes(version: str, area: str) -> list[Exchange]:
    """The writes of an area, those that take something away last."""
    items = [
        item
        for item in exchanges(version, area)
        if item.method not in ("GET", "OPTIONS") and item.key not in WRITES_LEFT_OUT
    ]
    return sorted(items, key=_place)


def _place(item: Exchange) -> int:
    if item.name in _FIRST:
        return _FIRST.index(item.name) - len(_FIRST)
    return _LAST.index(item.name) + 1 if item.name in _LAST else 0


class WriteReplay(AuthReplay):
    """A replay with an app, a key, a document and people that may be changed."""

    def __init__(self, version: str) -> None:
        super().__init__(version)
        self._cast()
        for area in WRITTEN_AREAS:
            for item in recorded_writes(version, area):
                self._learn(item)

    def _cast(self) -> None:
        world, ids = self.cast.world, self.cast.ids
        made = {"name": "crud", "mode": "chat", "icon": "🧪", "icon_background": "#fff"}
        owner = self.client(signed_in_as=world.account.email)
        ids["app crud"] = owner.post("/console/api/apps", json=made).json()["id"]
        tenant_id, chat = world.workspace_id, self.cast.app("chat")
        of_app = world.add_api_key(tenant_id=tenant_id, at=NOW, app_id=chat.id)
        ids["key of an app"] = of_app.id
        ids["key of datasets"] = world.add_api_key(tenant_id=tenant_id, at=NOW).id
        failed = world.add_document(ids["dataset many"], at=NOW)
        world.set_indexing_status(failed.id, "error", at=NOW, error="boom")
        ids["document failed"] = failed.id
        held = world.documents_of_dataset[ids["dataset states"]]
        ids["document archived"] = next(i for i in held if world.documents[i].archived)
        by_email = {row.email: row.id for row in world.accounts.values()}
        ids["account editor"] = by_email["eddie@dify.test"]
        ids["account owner"] = world.account_id
        ids["account outsider"] = by_email["nowhere@dify.test"]

    def _learn(self, item: Exchange) -> None:
        role = _ROLE_OF_LAST_ID.get(item.name)
        if role is not None and not (
            item.area == "plugin-daemon-down" and self.casting.knows(item.path)
        ):
            sent = dumps(item.sent) if role.startswith(("document", "message")) else ""
            self.casting.teach(item.path + sent, role)

    def write(self, item: Exchange) -> httpx.Response:
        """Replay a recorded write as the person of its name; what it makes plays its part."""
        answer = self._written(item)
        told = answer.json() if answer.content and answer.is_success else None
        if isinstance(told, dict) and isinstance(item.body, dict):
            for key in ("id", "app_id"):
                recorded, simulated = item.body.get(key), told.get(key)
                if isinstance(recorded, str) and isinstance(simulated, str):
                    self.casting.meet(recorded, simulated)
        return answer

    def _written(self, item: Exchange) -> httpx.Response:
        self._get_ready(item)
        person = self.client(signed_in_as=self.person_of(item))
        path = self.casting.path_of(item)
        kind = item.headers.get("content-type", "application/json")
        if item.sent is None:
            return person.request(item.method, path)
        sent = item.sent if isinstance(item.sent, str) else dumps(self._sent(item))
        return person.request(item.method, path, content=sent, headers={"content-type": kind})

    def _sent(self, item: Exchange) -> object:
        body = loads(self.casting.replaced(dumps(item.sent)))
        if isinstance(body, dict) and "hash" in body and not item.name.endswith("stale-hash"):
            draft = self.cast.world.draft_of(self._app_of(item))
            body["hash"] = None if draft is None else draft.hash
        if item.name == "invite-success-multi":
            return body  # people who were not there before
        if isinstance(body, dict) and "emails" in body:
            body["emails"] = [self.casting.replaced(one) for one in body["emails"]]
        return body

    def _app_of(self, item: Exchange) -> str:
        return self.casting.replaced(item.path).split("/")[4]

    def _get_ready(self, item: Exchange) -> None:
        world = self.cast.world
        self.set_switches(item)
        if item.name.endswith("11th-limit"):
            app_id = self._app_of(item) if item.area == "apps" else None
            for _ in range(10):
                world.add_api_key(tenant_id=world.workspace_id, at=NOW, app_id=app_id)
