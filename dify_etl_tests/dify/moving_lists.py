"""Small pretend lists that behave like Dify's: ties, strict cursors, rows that come and go."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from dify_etl.dify.errors import NotFound
from dify_etl.dify.paging import CursorWalk, PageWalk
from dify_etl.dify.record import Id, Page, Record

START = datetime(2026, 11, 20, tzinfo=UTC)


class Row(Record):
    row_id: Id
    at: datetime


def row(number: int, second: int | None = None) -> Row:
    when = START + timedelta(seconds=number if second is None else second)
    return Row(row_id=f"row-{number}", at=when)


def rows(*seconds: int) -> list[Row]:
    """One row per second given; rows may share a second."""
    return [row(number, second) for number, second in enumerate(seconds)]


@dataclass
class NumberedList:
    """Answers page and limit; `moves` changes the rows before the given request (from 0)."""

    rows: list[Row]
    moves: dict[int, Callable[[list[Row]], None]] = field(default_factory=dict)
    asked: list[tuple[int, int]] = field(default_factory=list)

    def __call__(self, page: int, limit: int) -> Page[Row]:
        if move := self.moves.get(len(self.asked)):
            move(self.rows)
        self.asked.append((page, limit))
        first = (page - 1) * limit
        found = tuple(self.rows[first : first + limit])
        total = len(self.rows)
        return Page(found, page=page, limit=limit, total=total, has_more=total > page * limit)

    def walk(self) -> PageWalk[Row]:
        return PageWalk(self, key=lambda row: row.row_id)


@dataclass
class CursorList:
    """Answers a cursor and a limit like chat-messages: newest rows first, strictly older."""

    rows: list[Row]
    is_deaf: bool = False
    moves: dict[int, Callable[[list[Row]], None]] = field(default_factory=dict)
    asked: list[tuple[str | None, int]] = field(default_factory=list)

    def __call__(self, cursor: str | None, limit: int) -> Page[Row]:
        if move := self.moves.get(len(self.asked)):
            move(self.rows)
        self.asked.append((cursor, limit))
        older = self._older(None if self.is_deaf else cursor)
        return Page(tuple(older[:limit]), limit=limit, has_more=len(older) > limit)

    def _older(self, cursor: str | None) -> list[Row]:
        newest_first = sorted(self.rows, key=lambda row: row.at, reverse=True)
        if cursor is None:
            return newest_first
        for row in self.rows:
            if row.row_id == cursor:
                return [older for older in newest_first if older.at < row.at]
        raise NotFound("gone", where="list", hint="none", status=404)

    def walk(self, limit: int = 100) -> CursorWalk[Row]:
        return CursorWalk(self, key=lambda row: row.row_id, at=lambda row: row.at, limit=limit)
