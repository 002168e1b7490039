"""The pretend workspace: rows, verbs that change them, and a picture of everything.

Safe to change while requests read it from other threads: verbs and requests take `World.lock`.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime
from functools import cache
from json import dumps
from typing import TYPE_CHECKING

from dify_simulated.world.agent_changes import AgentChanges
from dify_simulated.world.human_input_changes import HumanInputChanges
from dify_simulated.world.rows import Account, Workspace

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

# What every login and every request leaves behind, for the account that reads.
TRACES_OF_READING = ("last_login_at", "last_login_ip", "last_active_at")

# Types that need no freezing.
PLAIN = {str, int, float, bool, type(None), datetime}

_TABLES = (
    "workspaces",
    "accounts",
    "members",
    "end_users",
    "tags",
    "apps",
    "agents",
    "agent_versions",
    "workflows",
    "api_keys",
    "datasets",
    "documents",
    "document_segments",
    "conversations",
    "messages",
    "feedbacks",
    "annotations",
    "annotation_hits",
    "workflow_runs",
    "node_executions",
    "workflow_app_logs",
    "human_input_forms",
    "app_triggers",
    "archived_runs",
)


@dataclass(frozen=True)
class WorldPlan:
    """How large a world to build. `now` is aware; None takes the wall clock, which then runs on.

    `conversations_per_day` is for the whole workspace; about as many workflow runs come on top.
    `agents` are apps of mode `agent` beside the others; servers before 1.15 have none.
    `timezone` is the reading account's IANA zone. `version` is that of the server: what older ones
    have no name for is not there.
    """

    seed: int = 7
    apps: int = 10
    days: int = 30
    conversations_per_day: int = 20
    timezone: str = "UTC"
    agents: int = 0
    now: datetime | None = None
    version: str = "1.12.1"

    def __post_init__(self) -> None:
        if self.now is not None and self.now.tzinfo is None:
            raise ValueError("WorldPlan.now must be aware; add tzinfo, for example datetime.UTC")


class World(HumanInputChanges, AgentChanges):
    """One Dify server's database: usually built by `build_world`, changed by its verbs."""

    def __init__(self, *, seed: int = 7, now: datetime | None = None) -> None:
        super().__init__(seed=seed, now=now)
        self.admin_api_key = self.new_secret("admin-", 24)
        self.account_id = ""
        self.workspace_id = ""

    def __repr__(self) -> str:
        return f"<World of {len(self.apps)} apps and {len(self.messages)} messages>"

    @property
    def account(self) -> Account:
        """The account that reads."""
        return self.accounts[self.account_id]

    @property
    def workspace(self) -> Workspace:
        """The workspace that is meant to be read."""
        return self.workspaces[self.workspace_id]

    def set_role(self, role: str, *, account_id: str | None = None) -> None:
        """Change the role in the workspace, of the reading account unless another is named."""
        with self.lock:
            for join in self.accounts[account_id or self.account_id].joins:
                if join.tenant_id == self.workspace_id:
                    join.role = role

    def snapshot(self) -> dict[str, dict[str, tuple[object, ...]]]:
        """Every row of every table as plain values, but for what reading leaves on the account.

        Two snapshots are equal when nothing but those traces changed between them.
        """
        with self.lock:
            return {
                name: {
                    row_id: _values(row, () if row_id != self.account_id else TRACES_OF_READING)
                    for row_id, row in getattr(self, name).items()
                }
                for name in _TABLES
            }


def _values(row: DataclassInstance, left_out: tuple[str, ...]) -> tuple[object, ...]:
    names = [name for name in _names(type(row)) if name not in left_out]
    return tuple(_frozen(getattr(row, name)) for name in names)


@cache
def _names(kind: type[DataclassInstance]) -> tuple[str, ...]:
    return tuple(item.name for item in fields(kind))


def _frozen(value: object) -> object:
    if type(value) in PLAIN:
        return value
    if isinstance(value, dict | list):
        return dumps(value, sort_keys=True, default=str)
    if isinstance(value, tuple):
        return tuple(_frozen(part) for part in value)
    return repr(value) if hasattr(value, "__dataclass_fields__") else value
