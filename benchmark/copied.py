"""A world many times over, for sizes that would be slow to build: each row stands for `copies`.

Ids differ in their first eight digits, so a page of a copy is the page of its original with some
bytes replaced. Only conversations and their messages are copied; runs are not to be asked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import parse_qsl, urlencode

import orjson

from benchmark.rendered import RenderedDify
from dify_simulated import World

# Stands in kept answers where an id's first eight digits were; the nil UUID is left as it is.
MARK = b'"ffffffff-'
_ID = re.compile(rb'"(?!0{8}-)[0-9a-f]{8}(-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")')
_LISTS = (b"/chat-conversations", b"/completion-conversations")
_OF_A_CONVERSATION = (b"/chat-messages", b"/agent/logs")
_LOG = re.compile(rb"(.*/completion-conversations/)([0-9a-f]{8})([0-9a-f-]{28})")


class CopiedDify(RenderedDify):
    """Answers for a world whose conversations and messages exist `copies` times."""

    def __init__(self, world: World, version: str, *, copies: int) -> None:
        super().__init__(world, version)
        self._copies = copies
        self._rows: dict[bytes, list[bytes]] = {}
        self._marked: dict[bytes, bytes] = {}
        ids = (*world.conversations, *world.messages)
        self._originals = {one[8:]: one for one in ids}

    def read(self, target: bytes) -> bytes:
        """The whole HTTP answer to a GET: of copied rows where there are copies."""
        path, _, query = target.partition(b"?")
        if path.endswith(_LISTS):
            return self._list(path, dict(parse_qsl(query.decode())))
        if path.endswith(_OF_A_CONVERSATION):
            return self._of_a_conversation(path, dict(parse_qsl(query.decode())))
        if log := _LOG.fullmatch(path):
            original = self._originals[log[3].decode()].encode()
            return self._copied(log[1] + original, int(log[2], 16))
        return super().read(target)

    def ids(self) -> Iterator[tuple[str, str]]:
        """Every row that can be read, as (table, id): copies of all but runs and nodes."""
        for table, row_id in super().ids():
            if table in ("conversations", "completions", "messages"):
                for copy in range(self._copies):
                    yield table, f"{copy:08x}{row_id[8:]}"

    def _of_a_conversation(self, path: bytes, query: dict[str, str]) -> bytes:
        copy = int(query["conversation_id"][:8], 16)
        for name in ("conversation_id", "first_id", "message_id"):
            if name in query:
                query[name] = self._originals[query[name][8:]]
        return self._copied(path + b"?" + urlencode(query).encode(), copy)

    def _copied(self, target: bytes, copy: int) -> bytes:
        """What is answered to an original, with the ids of a copy."""
        if target not in self._marked:
            self._marked[target] = marked(super().read(target))
        return self._marked[target].replace(MARK, b'"%08x-' % copy)

    def _list(self, path: bytes, query: dict[str, str]) -> bytes:
        page, limit = int(query.pop("page", 1)), int(query.pop("limit", 20))
        rows = self._all_rows(path, query)
        total, first = len(rows) * self._copies, (page - 1) * limit
        wanted = (divmod(place, self._copies) for place in range(first, min(first + limit, total)))
        data = (rows[row].replace(MARK, b'"%08x-' % copy) for row, copy in wanted)
        has_more = b"true" if total > page * limit else b"false"
        numbers = b'{"page":%d,"limit":%d,"total":%d,"has_more":' % (page, limit, total)
        body = numbers + has_more + b',"data":[' + b",".join(data) + b"]}"
        return self.dated(
            b"Content-Type: application/json\r\nX-Version: %s\r\nContent-Length: %d\r\n\r\n%s"
            % (self.version.encode(), len(body), body)
        )

    def _all_rows(self, path: bytes, query: dict[str, str]) -> list[bytes]:
        """The original rows of a list with these filters, in its order, ids marked."""
        key = path + b"?" + urlencode(query).encode()
        if key not in self._rows:
            rows: list[bytes] = []
            page, has_more = 0, True
            while has_more:
                page += 1
                asked = urlencode({**query, "page": page, "limit": 100}).encode()
                body = super().read(path + b"?" + asked).partition(b"\r\n\r\n")[2]
                answer = orjson.loads(body)
                rows += [marked(orjson.dumps(row)) for row in answer["data"]]
                has_more = answer["has_more"]
            self._rows[key] = rows
        return self._rows[key]


def marked(answer: bytes) -> bytes:
    """The answer with `MARK` where ids begin; its length stays."""
    return _ID.sub(rb'"ffffffff\1', answer)
