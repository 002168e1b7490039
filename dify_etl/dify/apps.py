"""Apps of the workspace: the list and the detail."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypedDict, Unpack

from dify_etl.dify.lists import page_of
from dify_etl.dify.paging import PageWalk, iterate
from dify_etl.dify.record import (
    Id,
    Instant,
    JsonRow,
    JsonText,
    Page,
    Record,
    aliased,
    optional,
    parse_one,
)
from dify_etl.dify.session import Query, Session

INDEXED_TAGS_SINCE = (1, 14, 0)  # ?tag_ids[0]=…; a comma list before
REPEATED_TAGS_SINCE = (1, 15, 0)  # ?tag_ids=…&tag_ids=…


class App(Record):
    """An app as the list shows it (GET /apps)."""

    app_id: Id = aliased("id", description="id of the app")
    name: str = aliased("name", description="name of the app")
    mode: str = aliased(
        "mode", description="chat, agent-chat, advanced-chat, completion, workflow, agent, …"
    )
    description: str | None = optional(
        description="description; when empty, the list shows the first 200 characters of the prompt"
    )
    icon_type: str | None = optional(description="emoji, image or link")
    icon: str | None = optional(description="emoji, or file id of the image")
    icon_background: str | None = optional(description="colour, as #FFEAD5")
    icon_url: str | None = optional(description="signed address of the image; changes on each read")
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
    create_user_name: str | None = optional(description="name of the creator, looked up by Dify")
    author_name: str | None = optional(description="name of the author, looked up by Dify")
    created_by: str | None = optional(description="account that made the app")
    created_at: Instant = aliased("created_at", description="when the app was made")
    updated_by: str | None = optional(description="account that changed the app last")
    updated_at: Instant | None = optional(description="last change or publication; not traffic")


class AppDetail(App):
    """An app with its stored description and settings (GET /apps/{app_id}).

    `site.access_token` and `site.code` open the web app to anyone: they are dropped.
    """

    is_site_enabled: bool | None = optional("enable_site", description="whether the web app is on")
    is_api_enabled: bool | None = optional("enable_api", description="whether the API is on")
    api_base_url: str | None = optional(description="address of the service API")
    site: JsonText | None = optional(description="web app settings, JSON, without its secrets")
    tracing: JsonText | None = optional(description="tracing switch, JSON")
    deleted_tools: JsonText | None = optional(description="tools that are gone, JSON list")

    @classmethod
    def prepare(cls, row: JsonRow, context: Mapping[str, Any]) -> JsonRow:
        """Drop the secrets of the site before anything else sees them."""
        site = row.get("site")
        if isinstance(site, dict):
            open_parts = {key: site[key] for key in site if key not in ("access_token", "code")}
            row = {**row, "site": open_parts}
        return {**row, **context}


class AppFilters(TypedDict, total=False):
    """Filters of GET /apps; what a server does not know, it ignores."""

    mode: str | None  # one mode exactly; Dify 1.0 groups them
    name: str | None  # part of the name; Dify cuts it at 30 characters
    tag_ids: Sequence[str]
    is_created_by_me: bool | None
    creator_ids: Sequence[str]  # since 1.14
    sort_by: str  # newest servers only; earliest_created unless told otherwise


class Apps:
    """`dify.apps`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def list(self, **filters: Unpack[AppFilters]) -> Iterator[App]:
        """All apps, each once. Raises UnexpectedAnswer for a row that fails validation."""
        return iterate(self.walk(**filters), endpoint="GET /apps")

    def walk(self, **filters: Unpack[AppFilters]) -> PageWalk[App]:
        """The list as a walk that can prove itself."""
        return PageWalk(
            lambda page, limit: self.page(page, limit, **filters), key=lambda app: app.app_id
        )

    def page(self, page: int = 1, limit: int = 100, **filters: Unpack[AppFilters]) -> Page[App]:
        """GET /apps: one page, limit 1 to 100."""
        query: Query = {
            "page": page,
            "limit": limit,
            "mode": filters.get("mode"),
            "name": filters.get("name"),
            "is_created_by_me": filters.get("is_created_by_me"),
            "creator_ids": filters.get("creator_ids"),
            "sort_by": filters.get("sort_by", "earliest_created"),
            **self._tag_query(filters.get("tag_ids", ())),
        }
        return page_of(App, self._session.get("/apps", query=query), endpoint="GET /apps")

    def get(self, app_id: str) -> AppDetail:
        """GET /apps/{app_id}. Raises AppGone."""
        answer = self._session.get("/apps/{app_id}", app_id=app_id)
        return parse_one(AppDetail, answer, endpoint="GET /apps/{app_id}")

    def _tag_query(self, tag_ids: Sequence[str]) -> Query:
        if not tag_ids:
            return {}
        if self._session.version >= REPEATED_TAGS_SINCE:
            return {"tag_ids": tag_ids}
        if self._session.version >= INDEXED_TAGS_SINCE:
            return {f"tag_ids[{number}]": tag_id for number, tag_id in enumerate(tag_ids)}
        return {"tag_ids": ",".join(tag_ids)}
