"""Replays recorded writes: in an order in which each finds what it needs, on the right objects."""

from __future__ import annotations

from json import dumps, loads

import httpx

from dify_etl_tests.simulated.contract_auth import AuthReplay
from dify_etl_tests.simulated.contract_world import NOW
from dify_etl_tests.simulated.recorded_exchanges import Exchange, exchanges

WRITTEN_AREAS = ("apps", "datasets", "members", "errors", "plugin-daemon-down")

# Recorded writes that are not replayed, each with the reason.
WRITES_LEFT_OUT = {
    "apps/chatflow-draft-post": "drafts are saved with a verb of the world",
    "apps/chatflow-draft-post-stale-hash": "drafts are saved with a verb of the world",
    "apps/chatflow-draft-run-sse": "runs are started with a verb of the world",
    "apps/workflow-draft-post": "drafts are saved with a verb of the world",
    "apps/workflow-draft-post-stale-hash": "drafts are saved with a verb of the world",
    "apps/workflow-draft-run-sse": "runs are started with a verb of the world",
    "members/activate": "activating an account is not simulated",
}
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
}
_LAST = (
    "model-config-post",
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
    return sorted(items, key=lambda item: _LAST.index(item.name) + 1 if item.name in _LAST else 0)


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
        if role is not None:
            sent = dumps(item.sent) if role.startswith("document") else ""
            self.casting.teach(item.path + sent, role)

    def write(self, item: Exchange) -> httpx.Response:
        """Replay a recorded write as the person of its name."""
        self._get_ready(item)
        person = self.client(signed_in_as=self.person_of(item))
        path = self.casting.replaced(item.path)
        kind = item.headers.get("content-type", "application/json")
        if item.sent is None:
            return person.request(item.method, path)
        sent = item.sent if isinstance(item.sent, str) else dumps(self._sent(item))
        return person.request(item.method, path, content=sent, headers={"content-type": kind})

    def _sent(self, item: Exchange) -> object:
        body = loads(self.casting.replaced(dumps(item.sent)))
        if isinstance(body, dict) and "emails" in body:
            body["emails"] = [self.casting.replaced(one) for one in body["emails"]]
        return body

    def _get_ready(self, item: Exchange) -> None:
        world = self.cast.world
        self.dify.plugin_daemon_down = item.area == "plugin-daemon-down"
        if item.name.endswith("11th-limit"):
            app_id = self.cast.ids["app chat"] if item.area == "apps" else None
            for _ in range(10):
                world.add_api_key(tenant_id=world.workspace_id, at=NOW, app_id=app_id)
