"""Apps of the workspace: the list, the detail, and what is done to them (app_writes.py)."""

from collections.abc import Iterator, Sequence
from typing import TypedDict, Unpack

from dify_etl.dify.app_records import App
from dify_etl.dify.app_writes import AppWrites
from dify_etl.dify.lists import page_of
from dify_etl.dify.paging import PageWalk, iterate
from dify_etl.dify.record import Page
from dify_etl.dify.session import Query

INDEXED_TAGS_SINCE = (1, 14, 0)  # ?tag_ids[0]=…; a comma list before
REPEATED_TAGS_SINCE = (1, 15, 0)  # ?tag_ids=…&tag_ids=…


class AppFilters(TypedDict, total=False):
    """Filters of GET /apps; what a server does not know, it ignores."""

    mode: str | None  # one mode exactly; Dify 1.0 groups them
    name: str | None  # part of the name; Dify cuts it at 30 characters
    tag_ids: Sequence[str]
    is_created_by_me: bool | None
    creator_ids: Sequence[str]  # since 1.14
    sort_by: str  # newest servers only; earliest_created unless told otherwise


class Apps(AppWrites):
    """`dify.apps`."""

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

    def _tag_query(self, tag_ids: Sequence[str]) -> Query:
        if not tag_ids:
            return {}
        if self._session.version >= REPEATED_TAGS_SINCE:
            return {"tag_ids": tag_ids}
        if self._session.version >= INDEXED_TAGS_SINCE:
            return {f"tag_ids[{number}]": tag_id for number, tag_id in enumerate(tag_ids)}
        return {"tag_ids": ",".join(tag_ids)}
