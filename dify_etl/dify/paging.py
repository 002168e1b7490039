"""Walk lists that change while they are read, without losing a row.

A walk is iterated for its pages as they arrive, and afterwards tells in `proof` what was proven.
Rows may come twice; none is lost silently.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from typing import Generic, Protocol, TypeVar

from dify_etl.dify.errors import (
    DifyError,
    IncompleteWalk,
    NotFound,
    Refused,
    RowNotBuilt,
    UnexpectedAnswer,
)
from dify_etl.dify.http.bounds import AnswerBounds
from dify_etl.dify.odd_rows import (
    BEYOND,
    AroundOddRows,
    OddRows,
    may_be_a_row,
    newest_rows,
    words_of,
)
from dify_etl.dify.record import Page, Record, unexpected

R = TypeVar("R", bound=Record)
Pages = tuple[Page[R], ...]
MapPages = Callable[[Callable[[int], Pages[R]], Sequence[int]], Iterable[Pages[R]]]
log = logging.getLogger(__name__)

# The same size repeats the same loss at the page edges; a size with divisors can be cut into pages.
PAGE_SIZES = (100, 98, 96)
MAX_LIMIT = 100  # Dify's bound; beyond it some lists truncate silently
CURSOR_TRIES = 3  # a cursor row may be deleted between two requests
MOST_PAGES_OF_A_SECOND = 100  # in a row; Dify itself goes on behind that second
MOST_STALE_PAGES = 20  # in a row without a new row: then the total means nothing
MOST_PAGES = AnswerBounds().pages


@dataclass(frozen=True)
class WalkProof:
    """What a walk can say for itself: distinct rows, Dify's totals, the verdict and why.

    `crowded` are the seconds that may hold rows which were not shown, when that is the only doubt.
    `odd` are the rows that Dify cannot show.
    """

    rows: int = 0
    total_first: int | None = None
    total_last: int | None = None
    tries: int = 0
    is_proven: bool = False
    reason: str = "the walk has not ended"
    crowded: tuple[datetime, ...] = ()
    odd: tuple[OddRows, ...] = ()


@dataclass
class PageWalk(Generic[R]):
    """Walk a page-number list from the last page to the first.

    Rows that leave the list while we read shift the rest towards the pages not read yet, so none
    is skipped. Proven means: distinct ids equal `total` before and after. Otherwise the walk is
    repeated with another page size, and all rows found count together.

    `together` is a `map` that may ask several pages at once. Only the first walk uses it: when the
    list stands still it is proven as well, and when it moves the next walk keeps the order.

    Rows that Dify cannot show are gone round with smaller pages: the others come, and the walk is
    not proven. Unless `goes_round`, OddPage is raised instead.

    A total that promises more than comes is believed for MOST_STALE_PAGES pages in a row. Raises
    UnexpectedAnswer after `most_pages`.
    """

    ask: Callable[[int, int], Page[R]]
    key: Callable[[R], str]
    page_sizes: Sequence[int] = PAGE_SIZES
    together: MapPages[R] = map
    goes_round: bool = True
    most_pages: int = MOST_PAGES
    proof: WalkProof = field(default_factory=WalkProof, init=False)

    def __iter__(self) -> Iterator[Page[R]]:
        union: set[str] = set()
        self.proof = WalkProof()
        for tries, size in enumerate(self.page_sizes, start=1):
            found: set[str] = set()
            totals: list[int | None] = []
            around = AroundOddRows(self.ask, self.goes_round)
            stale = odd = 0
            for page in self._pages(size, around, self.together if tries == 1 else map):
                ids = ids_of(page, self.key)
                is_new = bool(ids - found) or len(around.rows) > odd
                stale, odd = 0 if is_new else stale + 1, len(around.rows)
                found |= ids
                totals.append(page.total)
                yield page
                bound_pages(len(totals), self.most_pages)
                if stale >= MOST_STALE_PAGES:
                    break
            union |= found
            self.proof = _verdict(found, union, totals, tries, around.rows, stale)
            is_lying = stale >= MOST_STALE_PAGES  # to pages of another size as well
            if self.proof.is_proven or is_lying or _all_but_odd(self.proof):
                return

    def in_order(self, page: Page[R]) -> Sequence[R]:
        """The records of a page in the order of the walk."""
        return page.records

    def _pages(
        self, size: int, around: AroundOddRows[R], ask_all: MapPages[R]
    ) -> Iterator[Page[R]]:
        first = around.pages(1, size)
        yield from first
        last = min(-(-(first[0].total or 0) // size), BEYOND)
        if last > 1:
            for pages in ask_all(lambda number: around.pages(number, size), range(last, 1, -1)):
                yield from pages
            yield from around.pages(1, size)


def _verdict(
    found: set[str],
    union: set[str],
    totals: list[int | None],
    tries: int,
    odd: Sequence[OddRows],
    stale: int,
) -> WalkProof:
    first, last = totals[0], totals[-1]
    is_proven = (
        not odd and first is not None and first == last and first in (len(found), len(union))
    )
    reason = f"{len(union)} distinct rows, total {first} before and {last} after"
    if stale >= MOST_STALE_PAGES:
        reason += f"; {stale} pages in a row brought no new row, so no more were asked"
    if odd:
        places = dict.fromkeys(one.place for one in odd)
        missing = max(1, (last or 0) - len(union))
        listed = ", ".join(list(places)[:3]) + (" and more" if len(places) > 3 else "")
        reason = f"{missing} of {last} rows stay out, at {listed}: {odd[-1].words}"
    return WalkProof(
        rows=len(union),
        total_first=first,
        total_last=last,
        tries=tries,
        is_proven=is_proven,
        reason="" if is_proven else reason,
        odd=tuple(odd),
    )


def _all_but_odd(proof: WalkProof) -> bool:
    """Whether the rows that came and those that Dify cannot show are all there are: then another
    walk would only meet the odd ones again.
    """
    places = {place for one in proof.odd for place in range(one.first, one.last + 1)}
    is_still = proof.total_first == proof.total_last
    return bool(places) and is_still and proof.rows + len(places) == proof.total_last


@dataclass
class CursorWalk(Generic[R]):
    """Walk a first_id or last_id list from the newest row to the oldest.

    Dify's cursor is strict (`created_at <`) at one-second resolution: rows that share the cursor's
    second are skipped. So the cursor is the oldest row of a newer second, and ties are read twice.
    `at` gives a row's created_at, `stop` ends early (older than the window, known row met).

    At a row that Dify cannot show the walk ends with the rows newer than it: what is older is
    reached only from an older row's id, with which another walk may begin (`entries`: the best
    first, the next when a row is gone). To find that row soon: `is_newest_first` tells how Dify
    sorts a page, and `expected` how many rows there are, if it is known.

    Raises UnexpectedAnswer when pages bring new rows, most of which are not older, and after
    `most_pages`.
    """

    ask: Callable[[str | None, int], Page[R]]
    key: Callable[[R], str]
    at: Callable[[R], datetime]
    stop: Callable[[Page[R]], bool] = lambda page: False
    limit: int = MAX_LIMIT
    entries: Sequence[str | None] = (None,)
    is_newest_first: bool = False
    expected: int | None = None
    most_pages: int = MOST_PAGES
    proof: WalkProof = field(default_factory=WalkProof, init=False)
    _asked_at: str | None = field(default=None, init=False)

    def __iter__(self) -> Iterator[Page[R]]:
        self.proof = WalkProof()
        seen: set[str] = set()
        doubts: dict[datetime | None, str] = {}
        cursors: Sequence[str | None] = self.entries
        limit = self.limit
        reached: datetime | None = None
        crowded = 0
        newest: datetime | None = None  # the second of the cursor, than which no row is newer
        for pages in count(1):
            bound_pages(pages, self.most_pages)
            try:
                page = self._ask_any(cursors, limit)
            except DifyError as error:
                page, odd = self._before_odd(error, limit, seen)
                seen |= ids_of(page, self.key)
                yield page
                reached = min((self._second(row) for row in page.records), default=reached)
                self.proof = _ended_at(odd, len(seen), reached)
                return
            is_known = ids_of(page, self.key) <= seen
            seen |= ids_of(page, self.key)
            yield page
            reached = min((self._second(row) for row in page.records), default=reached)
            if self.stop(page) or self._is_last(page, limit, doubts, is_known=is_known):
                break
            if newest is not None and self._is_newer(page, newest):
                cursors = self._left_of(
                    cursors, _repeated(page) if is_known else _not_older(newest)
                )
                continue
            if newer := self._rows_of_newer_seconds(page):
                if is_known:
                    raise _repeated(page)
                cursors = [self.key(row) for row in newer[:CURSOR_TRIES]]
                newest = self._second(newer[:CURSOR_TRIES][-1])
            elif limit < MAX_LIMIT:
                limit = MAX_LIMIT
            else:
                doubts |= self._doubt(page)
                if not page.records or is_known or not page.has_more:
                    break
                crowded = crowded + 1 if reached == newest else 1
                if crowded > MOST_PAGES_OF_A_SECOND:
                    raise _not_older(self._second(page.records[0]))
                cursors = [self.key(page.records[0])]
                newest = self._second(page.records[0])
        self.proof = WalkProof(
            rows=len(seen),
            tries=1,
            is_proven=not doubts,
            reason="; ".join(doubts.values()),
            crowded=tuple(second for second in doubts if second and None not in doubts),
        )

    def _is_last(
        self, page: Page[R], limit: int, doubts: dict[datetime | None, str], *, is_known: bool
    ) -> bool:
        """Whether nothing is to be asked for behind this page: it is short and promises no more, or
        it does, and nothing came of the last promise, which is noted among the doubts.

        A server, or a proxy before it, may show fewer rows per page than are asked for.
        """
        if page.row_count >= limit:
            return False
        is_vain = bool(page.has_more) and (is_known or not page.row_count)
        if is_vain:
            told = f"has_more with a page of {page.row_count} rows, and no further row came"
            doubts[None] = told
        return is_vain or not page.has_more

    def in_order(self, page: Page[R]) -> Sequence[R]:
        """The records of a page, newest first, however Dify sorts them inside it."""
        newest_last = page.records[::-1]
        return sorted(newest_last, key=self.at, reverse=True)

    def _ask_any(self, cursors: Sequence[str | None], limit: int) -> Page[R]:
        """Ask with the best cursor; when its row is gone meanwhile, with the next newer one."""
        *spare, last = cursors[:CURSOR_TRIES]
        for cursor in spare:
            self._asked_at = cursor
            try:
                return self.ask(cursor, limit)
            except RowNotBuilt:
                raise
            except (NotFound, Refused) as error:
                log.debug("cursor %s is gone (%s), asking with a newer one", cursor, error.what)
        self._asked_at = last
        return self.ask(last, limit)

    def _left_of(
        self, cursors: Sequence[str | None], error: UnexpectedAnswer
    ) -> Sequence[str | None]:
        """The cursors after the one that led back: its row's id may be that of a newer row, too.

        Raises the error when there are none.
        """
        left = cursors[list(cursors).index(self._asked_at) + 1 :]
        if not left:
            raise error
        return left

    def _before_odd(
        self, error: DifyError, limit: int, seen: set[str]
    ) -> tuple[Page[R], DifyError]:
        """The rows between the cursor and the one that Dify cannot show, and the error of that.

        Raises the page's error when no row is to blame for it.
        """
        if not may_be_a_row(error):
            raise error

        def newer(position: int, limit: int) -> int:
            """How many rows of a page come before the named one."""
            left = limit if seen or not self.expected else self.expected
            return position if self.is_newest_first else min(limit, left) - 1 - position

        cursor = self._asked_at
        page, odd = newest_rows(lambda size: self.ask(cursor, size), limit, error, newer)
        if page is None and not isinstance(odd, RowNotBuilt) and not (seen and self._answers()):
            raise error
        return page or Page(()), odd

    def _answers(self) -> bool:
        """Whether the newest row, which came before, comes again: then the server is well."""
        try:
            return bool(self.ask(self.entries[0], 1).row_count)
        except DifyError:
            return False

    def _rows_of_newer_seconds(self, page: Page[R]) -> list[R]:
        """The rows that are newer than the page's oldest second, oldest first."""
        if not page.records:
            return []
        oldest = min(self._second(row) for row in page.records)
        newer = [row for row in reversed(page.records) if self._second(row) > oldest]
        return sorted(newer, key=self._second)

    def _is_newer(self, page: Page[R], than: datetime) -> bool:
        """Whether most of its rows are: a single one may have a time that is wrong."""
        newer = sum(self._second(row) > than for row in page.records)
        return 2 * newer > len(page.records)

    def _second(self, row: R) -> datetime:
        return self.at(row).replace(microsecond=0)

    def _doubt(self, page: Page[R]) -> dict[datetime | None, str]:
        """The second that a page could not show whole, and why; None: nobody knows which."""
        rows = page.row_count
        if not page.records:
            return {None: f"none of the {rows} rows of a page could be read"}
        second = self._second(page.records[0])
        return {second: f"{rows} rows in one second ({second:%Y-%m-%d %H:%M:%S} UTC): maybe more"}


def _ended_at(error: DifyError, rows: int, reached: datetime | None) -> WalkProof:
    """The proof of a walk that ended at a row that Dify cannot show."""
    words = words_of(error)
    return WalkProof(
        rows=rows,
        tries=1,
        reason=f"rows are missing behind the {rows} newest: {words}",
        odd=(OddRows(words, reached=reached),),
    )


class Walk(Protocol[R]):
    """What the walks have in common: pages, their order, and what was proven."""

    @property
    def proof(self) -> WalkProof:
        """What the walk can say for itself, once it has ended."""

    @property
    def key(self) -> Callable[[R], str]:
        """What tells its rows apart."""

    def __iter__(self) -> Iterator[Page[R]]: ...

    def in_order(self, page: Page[R]) -> Sequence[R]:
        """The records of a page in the order of the walk."""


def iterate(walk: Walk[R], *, endpoint: str, strict: bool = False) -> Iterator[R]:
    """The distinct records of a walk, for reading by hand.

    Raises UnexpectedAnswer for a record that fails validation. A list that could not be proven
    complete is logged as a warning, or raises IncompleteWalk when `strict`.
    """
    seen: set[str] = set()
    for page in walk:
        for rejected in page.rejected:
            raise unexpected(rejected)
        for record in walk.in_order(page):
            if walk.key(record) not in seen:
                seen.add(walk.key(record))
                yield record
    if not walk.proof.is_proven:
        _doubted(walk.proof, endpoint, strict)


def _doubted(proof: WalkProof, endpoint: str, strict: bool) -> None:
    if strict:
        raise IncompleteWalk(
            f"the list could not be proven complete: {proof.reason}",
            where=endpoint,
            hint="Ask again when fewer rows change, or ask for a shorter time.",
        )
    log.warning("%s could not be proven complete: %s", endpoint, proof.reason)


def ids_of(page: Page[R], key: Callable[[R], str]) -> set[str]:
    """Ids of all rows that Dify sent; a rejected row counts when its id could be read."""
    ids = {key(record) for record in page.records}
    return ids | {one.record_id for one in page.rejected if one.record_id is not None}


def bound_pages(pages: int, most: int) -> None:
    """Raise UnexpectedAnswer when a walk goes on for more pages than it may."""
    if pages > most:
        raise UnexpectedAnswer(
            f"the list did not end after {most} pages",
            where="paging",
            hint="No Dify that is known does this; DIFY_ETL_MAX_PAGES sets the bound.",
        )


def _not_older(newest: datetime) -> UnexpectedAnswer:
    return UnexpectedAnswer(
        f"behind the cursor at {newest:%Y-%m-%d %H:%M:%S} UTC came rows that are not older",
        where="cursor paging",
        hint="The server does not go on to older rows; report its version and the endpoint.",
    )


def _repeated(page: Page[R]) -> UnexpectedAnswer:
    return UnexpectedAnswer(
        f"a full page of {page.row_count} rows came again although the cursor had moved",
        where="cursor paging",
        hint="The server ignores the cursor; report the server version and the endpoint.",
    )
