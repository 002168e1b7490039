"""What can happen to agents: each is bound to an app of mode `agent` (from 1.15)."""

from __future__ import annotations

from datetime import datetime

from dify_simulated.world.rows import (
    Agent,
    AgentNode,
    AgentVersion,
    App,
    AppModelConfig,
    first_settings,
)
from dify_simulated.world.tables import whole_second
from dify_simulated.world.workspace_changes import WorkspaceChanges


class AgentChanges(WorkspaceChanges):
    """Verbs on agents; every `at` is an aware datetime."""

    def add_agent_app(
        self,
        *,
        name: str,
        at: datetime,
        created_by: str,
        tenant_id: str,
        description: str | None = "",
        role: str = "helper",
        model: str | None = "gpt-4o",
    ) -> App:
        """Create an app of mode `agent` with the agent that it is bound to; never published."""
        with self.lock:
            app = self.add_app(
                name=name,
                mode="agent",
                at=at,
                created_by=created_by,
                tenant_id=tenant_id,
                description=description,
            )
            # What it thinks with is the agent's: the app's own settings name no model.
            app.app_model_config = AppModelConfig(
                id=self.new_id(),
                model={},
                pre_prompt=None,
                created_by=created_by,
                created_at=app.created_at,
                agent_mode={"enabled": False, "strategy": None, "tools": [], "prompt": None},
                others=first_settings(newest=True),
            )
            row = Agent(
                id=self.new_id(),
                app_id=app.id,
                role=role,
                created_by=created_by,
                created_at=app.created_at,
                model=model,
            )
            self.agents[row.id] = row
            self.agent_of_app[app.id] = row.id
            return app

    def delete_app(self, app_id: str) -> None:
        """Delete an app with all that belongs to it; its agent goes with it."""
        with self.lock:
            super().delete_app(app_id)
            if agent_id := self.agent_of_app.get(app_id):
                self.take_agent(agent_id)

    def versions_of_agent(self, agent_id: str) -> list[AgentVersion]:
        """Its published versions, the newest first."""
        rows = [row for row in self.agent_versions.values() if row.agent_id == agent_id]
        return sorted(rows, key=lambda row: row.version, reverse=True)

    def publish_agent(
        self, agent_id: str, *, at: datetime, account_id: str, note: str | None = None
    ) -> AgentVersion:
        """Publish what the agent is now as one more version."""
        with self.lock:
            row = AgentVersion(
                id=self.new_id(),
                agent_id=agent_id,
                version=len(self.versions_of_agent(agent_id)) + 1,
                version_note=note,
                created_by=account_id,
                created_at=whole_second(at),
            )
            self.agent_versions[row.id] = row
            return row

    def use_agent(self, agent_id: str, *, app_id: str, node_id: str) -> None:
        """Let an agent answer in a node of a graph."""
        with self.lock:
            row = self.agents[agent_id]
            row.nodes = (*row.nodes, AgentNode(app_id, node_id))

    def take_agent(self, agent_id: str) -> Agent:
        """Remove an agent with its versions, leaving its app. Raises KeyError."""
        row = self.agents.pop(agent_id)
        del self.agent_of_app[row.app_id]
        for version in self.versions_of_agent(agent_id):
            del self.agent_versions[version.id]
        return row
