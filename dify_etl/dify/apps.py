"""Apps of the workspace: the list, the detail, and what is done to them (app_writes.py)."""

from collections.abc import Iterator, Sequence
from typing import TypedDict, Unpack

from dify_etl.dify.app_list import AppsWalk, Modes, learn_modes
from dify_etl.dify.app_records import App
from dify_etl.dify.app_writes import AppWrites
from dify_etl.dify.errors import Refused, UnexpectedAnswer
from dify_etl.dify.http.session import Query
from dify_etl.dify.lists import page_of
from dify_etl.dify.paging import PageWalk, iterate
from dify_etl.dify.record import Page

COMMA, INDEXED, REPEATED = "comma", "indexed", "repeated"  # ?tag_ids=a,b  ?tag_ids[0]=a  ?tag_ids=a
INDEXED_SINCE = (1, 14, 0)
REPEATED_SINCE = (1, 16, 0)  # from then on the indexed form is ignored, and all apps come


class AppFilters(TypedDict, total=False):
    """Filters of GET /apps; what a server does not know, it ignores."""

    mode: str | None  # one list alone; without it the lists of all modes (Dify 1.0 groups them)
    name: str | None  # part of the name; Dify cuts it at 30 characters
    tag_ids: Sequence[str]
    is_created_by_me: bool | None
    creator_ids: Sequence[str]  # since 1.14; older servers know no such filter
    sort_by: str  # newest servers only; earliest_created unless told otherwise


class Apps(AppWrites):
    """`dify.apps`."""

    _modes: Modes | None = None

    def list(self, **filters: Unpack[AppFilters]) -> Iterator[App]:
        """All apps, each once. Raises UnexpectedAnswer for a row that fails validation."""
        return iterate(self.walk(**filters), endpoint="GET /apps")

    def walk(self, **filters: Unpack[AppFilters]) -> PageWalk[App] | AppsWalk:
        """The list as a walk that can prove itself: without a mode, the lists of all modes."""
        if filters.get("mode") is not None:
            return PageWalk(
                lambda page, limit: self.page(page, limit, **filters),
                key=lambda app: app.app_id,
                most_pages=self._session.bounds.pages,
            )

        def ask(mode: str | None, page: int, limit: int) -> Page[App]:
            asked: AppFilters = {**filters, "mode": mode}
            return self.page(page, limit, **asked)

        return AppsWalk(ask, self._accepted_modes, self._session.bounds.pages)

    def _accepted_modes(self) -> Modes:
        """Asked once per client; without filters, which no server needs for its refusal."""
        if self._modes is None:
            self._modes = learn_modes(lambda mode, page, limit: self.page(page, limit, mode=mode))
        return self._modes

    def page(self, page: int = 1, limit: int = 100, **filters: Unpack[AppFilters]) -> Page[App]:
        """GET /apps: one page, limit 1 to 100.

        Servers that do not know how a list of ids is written ignore it and send all apps: the rows
        show whether the filter was applied, and it is written in another way until it was. Raises
        UnexpectedAnswer when no way is understood.
        """
        query: Query = {
            "page": page,
            "limit": limit,
            "mode": filters.get("mode"),
            "name": filters.get("name"),
            "is_created_by_me": filters.get("is_created_by_me"),
            "sort_by": filters.get("sort_by", "earliest_created"),
        }
        tags, creators = filters.get("tag_ids", ()), filters.get("creator_ids", ())
        if not tags and not creators:
            return self._page(query)
        refused: Refused | None = None
        for way in self._ways():
            listed = {**_written(way, "tag_ids", tags), **_written(way, "creator_ids", creators)}
            try:
                found = self._page({**query, **listed})
            except Refused as error:
                refused = error
                continue
            if all(_is_asked(app, tags, creators) for app in found.records):
                return found
        raise UnexpectedAnswer(
            "the server does not filter apps by these tags or creators",
            where="GET /apps",
            hint="Take the list without this filter and choose among its rows.",
        ) from refused

    def _page(self, query: Query) -> Page[App]:
        return page_of(App, self._session.get("/apps", query=query), endpoint="GET /apps")

    def _ways(self) -> tuple[str, str, str]:
        """How lists of ids may be written, that of the server's version first."""
        version = self._session.version
        if version >= REPEATED_SINCE:
            return REPEATED, INDEXED, COMMA
        return (
            (INDEXED, COMMA, REPEATED) if version >= INDEXED_SINCE else (COMMA, INDEXED, REPEATED)
        )


def _written(way: str, name: str, ids: Sequence[str]) -> Query:
    if not ids:
        return {}
    if way == REPEATED:
        return {name: ids}
    if way == INDEXED:
        return {f"{name}[{number}]": one for number, one in enumerate(ids)}
    return {name: ",".join(ids)}


def _is_asked(app: App, tag_ids: Sequence[str], creator_ids: Sequence[str]) -> bool:
    """Whether a row is what was asked for: an app has all the tags, and one of the creators."""
    has_tags = set(tag_ids) <= app.tag_values("id")
    return has_tags and (not creator_ids or app.created_by in creator_ids)
