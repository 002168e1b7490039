"""One request on its way: who asks, for what, and the table of routes that answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import NamedTuple

from werkzeug.wrappers import Request

from dify_simulated.server.errors import not_found, plugin_daemon_down, refusal
from dify_simulated.server.key_cache import KeyCache
from dify_simulated.server.parameters import Parameter, Values, read_query
from dify_simulated.server.server_memory import ServerMemory
from dify_simulated.versions import ServerVersion
from dify_simulated.world.rows import Account, Agent, App, Conversation
from dify_simulated.world.world import World

EDITORS = ("owner", "admin", "editor")
ADMINS = ("owner", "admin")


class Need(Enum):
    """What a route asks for before it answers."""

    NOTHING = "nothing"
    LOGIN = "login"
    ADMIN_KEY = "admin-key"
    APP_KEY = "app-key"
    DATASET_KEY = "dataset-key"


@dataclass
class Switches:
    """What a person may turn on a running server."""

    plugin_daemon_down: bool = False
    providers_in_cache: bool = False
    mask_keys: str | None = None  # dots or stars
    service_api_url: str | None = None
    odd_rows: dict[str, int] = field(default_factory=dict)


@dataclass
class Call:
    """A request after its route and its account are known.

    `path` holds the ids of the route in lower case; `app` is set for routes under an app.
    """

    world: World
    version: ServerVersion
    request: Request
    switches: Switches
    keys: KeyCache
    memory: ServerMemory
    at: datetime
    path: dict[str, str] = field(default_factory=dict)
    signed_in: Account | None = None
    tenant_id: str = ""
    found_app: App | None = None

    @property
    def account(self) -> Account:
        """The account that asks; only for routes that need a login."""
        if self.signed_in is None:
            raise LookupError("this route has no account")
        return self.signed_in

    @property
    def app(self) -> App:
        """The app of the route; only for routes under an app."""
        if self.found_app is None:
            raise LookupError("this route has no app")
        return self.found_app

    @property
    def role(self) -> str | None:
        """The role of the account in the workspace that it sees."""
        joins = self.account.joins
        return next((join.role for join in joins if join.tenant_id == self.tenant_id), None)

    def query(self, model: str, *parameters: Parameter) -> Values:
        """The checked query. Raises ApiError (400)."""
        return read_query(self.request.args, parameters, model=model, at=self.version)

    def agent(self) -> Agent:
        """The agent of the route, whose app becomes the call's. Raises ApiError (404)."""
        row = self.world.agents.get(self.path["agent_id"])
        app = self.world.apps.get(row.app_id) if row is not None else None
        if row is None or app is None or app.tenant_id != self.tenant_id:
            raise not_found("Agent not found.", "agent_not_found_error")
        self.found_app = app
        return row

    def check_published(self) -> None:
        """After 1.16.1 an agent gets keys and is switched on only once it was published.

        Raises ApiError (409).
        """
        agent_id = self.world.agent_of_app.get(self.app.id)
        if agent_id is None or not self.version.since(1, 17):
            return
        if not self.world.versions_of_agent(agent_id):
            text = "Publish the Agent before enabling Web App or API access."
            raise refusal(409, "agent_not_published", text)

    def ask_for_models(self) -> None:
        """Look the models of the workspace up. Raises ApiError (400) when the daemon is down.

        After 1.16.1 Dify keeps the list of providers in redis and needs the daemon once only.
        """
        cached = self.switches.providers_in_cache and self.version.since(1, 17)
        if self.switches.plugin_daemon_down and not cached:
            raise plugin_daemon_down(self.tenant_id, "models")

    def conversation_of_app(self, conversation_id: str) -> Conversation:
        """A conversation of the app, soft-deleted ones too. Raises ApiError (404)."""
        row = self.world.conversations.get(conversation_id)
        if row is None or row.app_id != self.app.id:
            raise not_found("Conversation Not Exists.")
        return row


Handler = Callable[[Call], object]


class Route(NamedTuple):
    """One endpoint. `since` and `until` bound the releases that have it: [since, until)."""

    method: str
    rule: str
    handler: Handler
    modes: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    need: Need = Need.LOGIN
    since: tuple[int, ...] = (1,)
    until: tuple[int, ...] = (99,)
    roles_since: tuple[int, ...] = (1,)
    csrf_exempt: bool = False

    def exists_in(self, version: ServerVersion) -> bool:
        """Whether a release has this endpoint."""
        return self.since <= version.number < self.until

    def admits(self, role: str | None, version: ServerVersion) -> bool:
        """Whether a role may ask, in a release."""
        return not self.roles or version.number < self.roles_since or role in self.roles
