"""The records of apps: as the list shows them, and as the detail does."""

from collections.abc import Mapping
from typing import Any

from dify_etl.dify.json_text import JsonText
from dify_etl.dify.record import Id, Instant, JsonRow, Record, aliased, optional


class App(Record):
    """An app as the list shows it (GET /apps)."""

    needs = frozenset({"app_id", "mode"})

    app_id: Id = aliased("id", description="id of the app")
    name: str = aliased("name", description="name of the app")
    mode: str = aliased(
        "mode", description="chat, agent-chat, advanced-chat, completion, workflow, agent, …"
    )
    agent_id: Id | None = optional(
        "bound_agent_id", description="agent that the app is bound to (mode agent)"
    )
    description: str | None = optional(
        description="description; when empty, the list shows the first 200 characters of the prompt"
    )
    icon_type: str | None = optional(description="emoji, image or link")
    icon: str | None = optional(description="emoji, or file id of the image")
    icon_background: str | None = optional(description="colour, as #FFEAD5")
    icon_url: str | None = optional(
        description="signed address of the image; the signature is an old one",
        is_volatile=True,
        is_signed=True,
    )
    app_model_config: JsonText | None = optional(
        "model_config", description="model and prompt, JSON; null for workflow and advanced-chat"
    )
    workflow_id: str | None = optional("workflow", "id", description="id of the published workflow")
    workflow_created_by: str | None = optional(
        "workflow", "created_by", description="account that published it"
    )
    workflow_created_at: Instant | None = optional(
        "workflow", "created_at", description="when it was published"
    )
    workflow_updated_by: str | None = optional(
        "workflow", "updated_by", description="account that changed its marks last"
    )
    workflow_updated_at: Instant | None = optional(
        "workflow", "updated_at", description="when its marks were changed last"
    )
    tags: JsonText | None = optional(description="tags, JSON list of id, name, type")
    max_active_requests: int | None = optional(description="parallel requests; null or 0: no limit")
    is_icon_as_answer_icon: bool | None = optional(
        "use_icon_as_answer_icon", description="whether the icon stands beside answers"
    )
    has_draft_trigger: bool | None = optional(description="whether the draft has a trigger node")
    access_mode: str | None = optional(description="who may open the web app (enterprise)")
    create_user_name: str | None = optional(
        description="name of the creator, looked up by Dify", keeps_last=True, is_person=True
    )
    author_name: str | None = optional(
        description="name of the author, looked up by Dify", keeps_last=True, is_person=True
    )
    maintainer_id: str | None = optional(
        "maintainer", description="account that maintains the app (since 1.16)"
    )
    permission_keys: JsonText | None = optional(
        description="what the reading account may do with it, JSON list (since 1.16)"
    )
    is_starred: bool | None = optional(
        description="whether the reading account starred it (since 1.16)"
    )
    created_by: str | None = optional(description="account that made the app")
    created_at: Instant = aliased("created_at", description="when the app was made")
    updated_by: str | None = optional(description="account that changed the app last")
    updated_at: Instant | None = optional(description="last change or publication; not traffic")

    @classmethod
    def prepare(cls, row: JsonRow, context: Mapping[str, Any]) -> JsonRow:
        """Leave out `app_id`: of an app it is always null, and `id` is meant."""
        return {**{key: row[key] for key in row if key != "app_id"}, **context}

    def tag_values(self, key: str) -> set[str]:
        """`id` or `name` of each tag; what is no tag counts for none."""
        tags = self.tags.load() if self.tags is not None else None
        rows = tags if isinstance(tags, list) else []
        told = (row.get(key) for row in rows if isinstance(row, dict))
        return {one for one in told if isinstance(one, str)}


class AppDetail(App):
    """An app with its stored description and settings (GET /apps/{app_id}).

    `site.access_token` and `site.code` open the web app to anyone: they are dropped.
    """

    is_site_enabled: bool | None = optional("enable_site", description="whether the web app is on")
    is_api_enabled: bool | None = optional("enable_api", description="whether the API is on")
    api_base_url: str | None = optional(description="address of the service API")
    site: JsonText | None = optional(
        description="web app settings, JSON, without its secrets", is_signed=True
    )
    tracing: JsonText | None = optional(description="tracing switch, JSON")
    deleted_tools: JsonText | None = optional(description="tools that are gone, JSON list")

    @classmethod
    def prepare(cls, row: JsonRow, context: Mapping[str, Any]) -> JsonRow:
        """Drop the secrets of the site before anything else sees them."""
        site = row.get("site")
        if isinstance(site, dict):
            open_parts = {key: site[key] for key in site if key not in ("access_token", "code")}
            row = {**row, "site": open_parts}
        return super().prepare(row, context)
