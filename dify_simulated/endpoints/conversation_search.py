"""Which conversations a list shows, in which order, and how many there are."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from dify_simulated.server.calls import Call
from dify_simulated.server.time_windows import TimeWindow
from dify_simulated.world.indexes import Entry, page_of, sorted_by_time
from dify_simulated.world.rows import Conversation


@dataclass(frozen=True)
class Found:
    """One page. `total` is what the answer claims, which is not always the number of rows."""

    rows: list[Conversation]
    total: int


@dataclass(frozen=True)
class ConversationSearch:
    """The filters of a list. Without keyword and the like an index answers, else a scan."""

    call: Call
    window: TimeWindow
    keyword: str
    annotation_status: str
    message_count: int

    def page(self, *, sort_by: str, offset: int, limit: int) -> Found:
        """One page of the conversations of the app. `sort_by` as in the query."""
        column, descending = sort_by.removeprefix("-"), sort_by.startswith("-")
        world, app_id = self.call.world, self.call.app.id
        by_update = column == "updated_at"
        index = (world.conversations_updated if by_update else world.conversations_created)[app_id]
        low, high = index.between(
            self.window.start, self.window.end, end_inclusive=self.window.end_inclusive
        )
        if not self._scans():
            entries = index.entries
            ids = page_of(
                entries, low=low, high=high, offset=offset, limit=limit, descending=descending
            )
            return Found([world.conversations[row_id] for row_id in ids], high - low)
        entries = [entry for entry in index.entries[low:high] if self._matches(entry[1])]
        entries += self._deleted(by_update=by_update)
        return self._page_of_scan(entries, offset=offset, limit=limit, descending=descending)

    def _scans(self) -> bool:
        return bool(
            self.keyword
            or self.annotation_status != "all"
            or self.message_count
            or self._shows_deleted()
        )

    def _shows_deleted(self) -> bool:
        """1.0 lists what was deleted softly."""
        world = self.call.world
        return not self.call.version.since(1, 7) and bool(
            world.deleted_conversations.get(self.call.app.id)
        )

    def _deleted(self, *, by_update: bool) -> list[Entry]:
        if not self._shows_deleted():
            return []
        world = self.call.world
        rows = (world.conversations[i] for i in world.deleted_conversations[self.call.app.id])
        entries = [(row.updated_at if by_update else row.created_at, row.id) for row in rows]
        return [entry for entry in entries if self._in_window(entry[0]) and self._matches(entry[1])]

    def _in_window(self, at: datetime) -> bool:
        start, end = self.window.start, self.window.end
        if start is not None and at < start:
            return False
        if end is None:
            return True
        return at <= end if self.window.end_inclusive else at < end

    def _page_of_scan(
        self, entries: list[Entry], *, offset: int, limit: int, descending: bool
    ) -> Found:
        """With annotation_status=annotated a conversation counts once per annotation (to 1.12).

        The pages are cut from that longer list and shown without repetition: short pages.
        """
        world = self.call.world
        ids = sorted_by_time(entries, limit, descending=descending)
        if self.annotation_status == "annotated" and not self.call.version.since(1, 13):
            ids = [i for i in ids for _ in world.annotations_of_conversation[i]]
        shown = dict.fromkeys(ids[offset : offset + limit])
        return Found([world.conversations[row_id] for row_id in shown], len(ids))

    def _matches(self, conversation_id: str) -> bool:
        world = self.call.world
        annotated = bool(world.annotations_of_conversation.get(conversation_id))
        if self.annotation_status != "all" and annotated != (self.annotation_status == "annotated"):
            return False
        if self.message_count > len(world.messages_of_conversation.get(conversation_id, ())):
            return False
        return not self.keyword or self._has_keyword(world.conversations[conversation_id])

    def _has_keyword(self, row: Conversation) -> bool:
        """In name, introduction, session id, questions or answers; `%` is a wildcard to 1.11."""
        world = self.call.world
        wanted = self.keyword.lower()
        if not self.call.version.since(1, 12):
            wanted = wanted.replace("%", "")
        user = world.end_users.get(row.from_end_user_id or "")
        texts = [row.name, row.introduction, user.session_id if user else ""]
        for message_id in world.messages_of_conversation.get(row.id, ()):
            message = world.messages[message_id]
            texts += [message.query, message.answer]
        return any(wanted in text.lower() for text in texts)
