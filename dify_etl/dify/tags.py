"""Tags of apps: listed, made, and given to apps."""

from collections.abc import Mapping, Sequence
from typing import Any

from dify_etl.dify import routes
from dify_etl.dify.errors import NoSuchEndpoint, NotSent
from dify_etl.dify.http.session import Session
from dify_etl.dify.http.writes import Written, record_written
from dify_etl.dify.lists import batch_of
from dify_etl.dify.record import Batch, JsonRow, Record, aliased, optional

LONGEST_NAME = 50


class Tag(Record):
    """A tag of apps."""

    tag_id: str = aliased("id", description="id of the tag")
    name: str = aliased("name", description="its name")
    kind: str = aliased("type", description="app, or knowledge for datasets")
    binding_count: str | None = optional(description="how many apps have it, as text")

    @classmethod
    def prepare(cls, row: JsonRow, context: Mapping[str, Any]) -> JsonRow:
        """Lists tell the count as text, the answer to a new tag as a number."""
        count = row.get("binding_count")
        return {**row, "binding_count": None if count is None else str(count), **context}


class Tags:
    """`dify.tags`. Writes take an editor."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def of_apps(self) -> Batch[Tag]:
        """GET /tags?type=app: all at once, those that no app has too."""
        answer = self._session.get(routes.TAGS, query={"type": "app"})
        return batch_of(Tag, {"data": answer}, endpoint=f"GET {routes.TAGS}")

    def create(self, name: str) -> Written[Tag]:
        """POST /tags: one more tag of apps; a second one of the same name is another tag.

        NotSent for a name of more than 50 characters, or of none.
        """
        if not name.strip() or len(name) > LONGEST_NAME:
            raise NotSent(
                f"a tag's name has 1 to {LONGEST_NAME} characters, not {len(name)}",
                where=f"POST {routes.TAGS}",
                hint="Give another name.",
            )
        written = self._session.write("POST", routes.TAGS, body={"name": name, "type": "app"})
        return record_written(written, Tag, endpoint=f"POST {routes.TAGS}")

    def give(self, app_id: str, tag_ids: Sequence[str]) -> Written[None]:
        """POST /tag-bindings: the app has these tags too; those that it has already stay.

        Older servers know the route as /tag-bindings/create, and answer 404 to this one.
        """
        body = {"tag_ids": [*tag_ids], "target_id": app_id, "type": "app"}
        try:
            return self._session.write("POST", routes.TAG_BINDINGS, body=body).holding(None)
        except NoSuchEndpoint:
            return self._session.write("POST", routes.OLDER_TAG_BINDINGS, body=body).holding(None)
