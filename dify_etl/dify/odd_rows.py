"""Go round rows that Dify cannot show: one takes every page that holds it with it.

From 1.16.1 such a page is a 400 that names the field (RowNotBuilt), on older servers a 400 or 500
that names nothing. So what tells a row from a wrong parameter or a server in trouble is what is
answered beside it.
"""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, TypeVar

from dify_etl.dify.errors import DifyError, DifyUnavailable, Refused, RowNotBuilt
from dify_etl.dify.http.suspected_rows import unrepeated_500
from dify_etl.dify.record import Page, Record

R = TypeVar("R", bound=Record)

BEYOND = 99_999  # the highest page number that Dify takes: it shows the total and no row
MOST_SMALLER = 400  # smaller pages per walk; what they cannot show stays out as a stretch
PARAMETER_CODES = (None, "invalid_param")


@dataclass(frozen=True)
class OddRows:
    """Rows that no page shows, and Dify's words for it.

    `first` and `last` are their places in a list by page number, from 1. `reached` is the second
    of the oldest row that a list by cursor showed before them; None when it showed none.
    """

    words: str
    first: int = 0
    last: int = 0
    reached: datetime | None = None

    @property
    def place(self) -> str:
        """Where they are: `position 7` or `positions 7 to 9`."""
        if self.first == self.last:
            return f"position {self.first}"
        return f"positions {self.first} to {self.last}"


class OddPage(Exception):
    """A page does not come for a row in it, and nobody shall go round it; `error` is why."""

    def __init__(self, error: DifyError) -> None:
        super().__init__(error.what)
        self.error = error


def may_be_a_row(error: DifyError) -> bool:
    """Whether a single row can be why this page does not come.

    Rights, lost sessions, missing endpoints, 502 to 504 and broken connections are no rows'.
    """
    if isinstance(error, Refused):
        return error.status == 400 and error.code in PARAMETER_CODES
    return isinstance(error, DifyUnavailable) and error.status == 500


def words_of(error: DifyError) -> str:
    """What Dify says, and what to do about it."""
    return f"{error.what}. {error.hint}"


@dataclass
class AroundOddRows(Generic[R]):
    """Ask a list by page number; where a page does not come for a row in it, ask smaller pages.

    A page of 100 is asked as 50, 25, 5 and 1, each within the one before, so that page edges fit
    and the rows beside the odd one come once. `rows` are those that came with no page.
    """

    ask: Callable[[int, int], Page[R]]
    goes_round: bool = True
    rows: list[OddRows] = field(default_factory=list)
    _smaller: int = 0

    def pages(self, number: int, size: int) -> tuple[Page[R], ...]:
        """The page, or the smaller ones instead of it, the last first.

        Before these stands one beyond the end of the list: it tells the total, and shows that the
        server answers and takes the parameters. Raises the page's error when even that fails or
        counts no row, and OddPage when it is a row and nobody shall go round it.
        """
        try:
            return (self.ask(number, size),)
        except DifyError as error:
            end = self._end(size, error)
            if not self.goes_round:
                raise OddPage(error) from error
            return (end, *self._parts(number, size, error, end.total or 0))

    def _end(self, size: int, error: DifyError) -> Page[R]:
        if not may_be_a_row(error):
            raise error
        try:
            end = self.ask(BEYOND, size)
        except DifyError as other:
            raise error from other
        if not end.total:  # without rows none is to blame, and "none" would prove a list empty
            raise error
        return end

    def _parts(self, number: int, size: int, error: DifyError, total: int) -> list[Page[R]]:
        """The pages that a page consists of; `error` is why it did not come."""
        part = _part_of(size)
        parts = size // part
        before = (number - 1) * size
        if size == 1 or self._smaller >= MOST_SMALLER:
            last = max(before + 1, min(before + size, total))
            self.rows.append(OddRows(words_of(error), before + 1, last))
            return []
        named = error.position if isinstance(error, RowNotBuilt) else None
        pages: list[Page[R]] = []
        for index in reversed(range(parts)):
            if before + index * part >= total:
                continue
            mine = (number - 1) * parts + index + 1
            if named is not None and part > 1 and named // part == index:
                found = self._parts(mine, part, _moved(error, named % part), total)
            else:
                found = self._smaller_pages(mine, part, total)
            pages += found
        return pages

    def _smaller_pages(self, number: int, size: int, total: int) -> list[Page[R]]:
        self._smaller += 1
        try:
            # A row alone is asked as patiently as any: what fails there is called odd.
            with nullcontext() if size == 1 else unrepeated_500():
                return [self.ask(number, size)]
        except DifyError as error:
            if not may_be_a_row(error):
                raise
            return self._parts(number, size, error, total)


def _part_of(size: int) -> int:
    """The largest size that divides this one."""
    return next((size // by for by in range(2, size) if size % by == 0), 1)


def _moved(error: DifyError, position: int) -> DifyError:
    """The same error as a smaller page would give it."""
    assert isinstance(error, RowNotBuilt)
    field_name = error.path.rpartition(".")[2]
    return RowNotBuilt(
        error.what,
        where=error.where,
        hint=error.hint,
        status=error.status,
        code=error.code,
        path=f"data.{position}.{field_name}",
    )


def newest_rows(
    ask: Callable[[int], Page[R]],
    limit: int,
    error: DifyError,
    newer: Callable[[int, int], int],
) -> tuple[Page[R] | None, DifyError]:
    """The rows before the first one that Dify cannot show: the largest page below `limit` that
    comes, None when not even one row does; and the error of the smallest page that does not.

    `newer(position, limit)` is how many rows come before the one that an error names, if the page
    is full. Where it errs, and where no error names a row, the limit is halved.
    """
    low, high, is_guessing = 0, limit, True
    best: Page[R] | None = None
    while high - low > 1:
        guess = _guess(error, high, newer) if is_guessing else None
        size = max(1, guess) if guess is not None and low <= guess < high else (low + high) // 2
        try:
            with unrepeated_500():
                best = ask(size)
        except DifyError as smaller:
            if not may_be_a_row(smaller):
                raise
            high, error, is_guessing = size, smaller, guess is None
        else:
            low = size
            if size == guess:
                break
    return best, error


def _guess(error: DifyError, limit: int, newer: Callable[[int, int], int]) -> int | None:
    position = error.position if isinstance(error, RowNotBuilt) else None
    return None if position is None else newer(position, limit)
