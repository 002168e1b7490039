"""Walks lose no row while the list moves, and know when they cannot be sure."""

import logging
from collections import deque
from dataclasses import replace
from datetime import timedelta
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as some

from dify_etl.dify.errors import IncompleteWalk, Refused, RowNotBuilt, UnexpectedAnswer
from dify_etl.dify.paging import CursorWalk, PageWalk, iterate
from dify_etl.dify.record import Page, Rejected
from dify_etl_tests.dify.moving_lists import START, CursorList, NumberedList, Row, row, rows


def ids(walk: PageWalk[Row] | CursorWalk[Row]) -> set[str]:
    return {row.row_id for page in walk for row in page.records}


@pytest.mark.parametrize("count", [0, 1, 99, 100, 101, 350])
def test_page_walk_proves_a_list_at_rest(count: int) -> None:
    """A list that does not move is read once and proven."""
    moving = NumberedList(rows(*range(count)))
    walk = moving.walk()

    assert len(ids(walk)) == count
    assert walk.proof.is_proven
    assert (walk.proof.rows, walk.proof.tries) == (count, 1)


def test_page_walk_goes_from_the_last_page_to_the_first() -> None:
    """The first page is asked for the total, then the pages from the end."""
    moving = NumberedList(rows(*range(250)))

    ids(moving.walk())

    assert [page for page, _ in moving.asked] == [1, 3, 2, 1]


def test_rows_that_leave_shift_no_other_row_out_of_sight() -> None:
    """Rows that leave the front between two requests do not hide rows that stay."""
    moving = NumberedList(rows(*range(300)))
    stay = {row.row_id for row in moving.rows[5:]}
    moving.moves = {2: lambda rows: rows.__delitem__(slice(0, 5))}
    walk = moving.walk()

    assert stay <= ids(walk)


def test_page_walk_goes_again_with_another_page_size() -> None:
    """A total that moves proves nothing: the walk is repeated with other page edges."""
    moving = NumberedList(rows(*range(150)))
    moving.moves = {1: lambda rows: rows.append(row(999))}
    walk = moving.walk()

    assert len(ids(walk)) == 151
    assert {limit for _, limit in moving.asked} == {100, 98}
    assert (walk.proof.is_proven, walk.proof.tries) == (True, 2)


def test_total_that_moved_proves_nothing() -> None:
    """All rows of the first total were seen, but one left meanwhile: the walk is repeated."""
    moving = NumberedList(rows(*range(250)))
    moving.moves = {2: lambda rows: rows.__delitem__(0)}
    walk = moving.walk()

    ids(walk)

    assert (walk.proof.is_proven, walk.proof.tries, walk.proof.total_last) == (True, 2, 249)


def test_page_walk_tells_both_figures_when_it_cannot_prove() -> None:
    """A list that never rests ends unproven, with its rows and both totals."""
    moving = NumberedList(rows(*range(150)))
    moving.moves = {request: lambda rows: rows.append(row(len(rows))) for request in range(20)}
    walk = moving.walk()

    ids(walk)

    assert not walk.proof.is_proven
    assert walk.proof.tries == 3
    assert "total" in walk.proof.reason


def test_row_missed_at_a_page_edge_is_found_by_the_next_try() -> None:
    """A server that orders ties anew with each page size may hide a row from one walk only."""
    full = rows(*range(150))
    moving = NumberedList(full)

    def hiding(page: int, limit: int) -> Page[Row]:
        found = moving(page, limit)
        kept = tuple(row for row in found.records if limit != 100 or row.row_id != "row-120")
        return Page(kept, page=page, limit=limit, total=150)

    walk = PageWalk(hiding, key=lambda row: row.row_id)

    assert len(ids(walk)) == 150
    assert (walk.proof.is_proven, walk.proof.tries) == (True, 2)


def test_pages_asked_together_are_proven_or_walked_again_in_order() -> None:
    """A row that leaves while pages are asked at once is no loss: the next walk keeps the order."""
    still, moving = NumberedList(rows(*range(250))), NumberedList(rows(*range(450)))
    moving.moves = {3: lambda rows: rows.__delitem__(0)}
    walks = [
        PageWalk(one, key=lambda row: row.row_id, together=lambda ask, pages: map(ask, pages[::-1]))
        for one in (still, moving)
    ]

    found = [ids(walk) for walk in walks]

    assert [walk.proof.tries for walk in walks] == [1, 2]
    assert found[0] == {row.row_id for row in still.rows}
    assert {row.row_id for row in moving.rows} <= found[1]
    assert still.asked == [(1, 100), (2, 100), (3, 100), (1, 100)]
    assert moving.asked[-6:] == [(1, 98), (5, 98), (4, 98), (3, 98), (2, 98), (1, 98)]


def test_rejected_row_counts_as_received() -> None:
    """A row that could not be parsed is no reason to call the walk incomplete."""
    bad = Rejected("GET /x", 1, "row-bad", "at", "wrong", "{}")
    walk = PageWalk(
        lambda page, limit: Page((row(1),), (bad,), total=2), key=lambda row: row.row_id
    )

    ids(walk)

    assert walk.proof.is_proven


@given(
    seconds=some.lists(some.integers(0, 12), max_size=60),
    limit=some.integers(1, 20),
)
def test_cursor_walk_never_loses_a_tie_silently(seconds: list[int], limit: int) -> None:
    """However many rows share a second, each is read, or the proof says that some may be missing.

    The limit grows to 100 when a page lies in one second, so here nothing may be missing.
    """
    moving = CursorList(rows(*seconds))
    walk = moving.walk(limit)

    assert ids(walk) == {row.row_id for row in moving.rows}
    assert walk.proof.is_proven


def test_cursor_is_a_row_of_a_newer_second() -> None:
    """Rows that share the oldest second of a page are read twice instead of never."""
    moving = CursorList(rows(9, 8, 8, 7, 7, 7, 6))

    ids(moving.walk(limit=4))

    assert moving.asked[1] == ("row-2", 4)


@pytest.mark.parametrize("most", [1, 3, 20])
def test_pages_shorter_than_asked_for_are_followed_to_the_end(most: int) -> None:
    """A server, or a proxy, that shows fewer rows a page than asked for, and says that it has more:
    the rest is read, or the proof says that some may be missing.
    """
    moving = CursorList(rows(*range(2 * most + 3), *[90] * 7))
    walk = moving.walk(limit=100)
    walk.ask = lambda cursor, limit: moving(cursor, min(limit, most))

    found = ids(walk)

    assert walk.proof.is_proven is (found == {row.row_id for row in moving.rows})
    assert {row.row_id for row in moving.rows if row.at < START + timedelta(seconds=90)} <= found
    assert walk.proof.is_proven is (most == 20)


def test_promise_of_more_without_a_row_proves_nothing() -> None:
    """A page that says there are more rows, and behind which no row comes."""
    moving = CursorList(rows(*range(7)))
    walk = moving.walk(limit=100)
    walk.ask = lambda cursor, limit: replace(moving(cursor, limit), has_more=True)

    assert len(ids(walk)) == 7
    assert not walk.proof.is_proven
    assert "has_more" in walk.proof.reason
    assert len(moving.asked) < 4


def test_ties_cut_by_the_last_page_are_asked_for() -> None:
    """has_more is false although rows of the cursor's own second are left: they are found."""
    moving = CursorList(rows(*[5] * 3, *[4] * 3))

    assert len(ids(moving.walk(limit=5))) == 6


def test_more_ties_than_a_page_holds_are_confessed() -> None:
    """When 100 rows share a second, older rows are still read and the proof says incomplete."""
    moving = CursorList(rows(*[50] * 130, 10, 9))
    walk = moving.walk()

    found = ids(walk)

    assert {"row-130", "row-131"} <= found
    assert not walk.proof.is_proven
    assert "in one second" in walk.proof.reason


def test_deleted_cursor_row_is_replaced_by_a_newer_one() -> None:
    """The row that the cursor names may be deleted between two requests."""
    moving = CursorList(rows(*range(20)))
    moving.moves = {1: lambda rows: rows.__delitem__(11)}
    walk = moving.walk(limit=10)

    assert len(ids(walk)) == 20
    assert moving.asked[2] == ("row-12", 10)


def test_server_that_ignores_the_cursor_is_an_error() -> None:
    """The same full page again is told, not walked for ever."""
    moving = CursorList(rows(*range(30)), is_deaf=True)

    with pytest.raises(UnexpectedAnswer, match="came again"):
        ids(moving.walk(limit=10))


def test_cursor_walk_stops_where_it_is_told() -> None:
    """Older pages than wanted are not asked for."""
    moving = CursorList(rows(*range(100)))
    walk = moving.walk(limit=10)
    walk.stop = lambda page: any(row.row_id == "row-75" for row in page.records)

    ids(walk)

    assert len(moving.asked) == 3
    assert walk.proof.is_proven


def test_pages_arrive_one_by_one() -> None:
    """A walk asks for a page when it is wanted, so that memory stays bounded."""
    moving = CursorList(rows(*range(100)))

    next(iter(moving.walk(limit=10)))

    assert len(moving.asked) == 1
    assert not moving.walk().proof.is_proven


def test_iterating_by_hand_gives_each_record_once() -> None:
    """Plain iteration hides that ties are read twice."""
    moving = CursorList(rows(3, 3, 2, 2, 1, 1))

    found = [row.row_id for row in iterate(moving.walk(limit=3), endpoint="GET /x")]

    assert len(found) == len(set(found)) == 6


def test_iterating_by_hand_stops_at_a_bad_record() -> None:
    """Who reads by hand has no quarantine: the bad record is named."""
    bad = Rejected("GET /x", 0, "row-7", "at", "wrong", None)
    walk = PageWalk(lambda page, limit: Page[Row]((), (bad,), total=1), key=lambda row: row.row_id)

    with pytest.raises(UnexpectedAnswer, match=r"row-7.*at"):
        list(iterate(walk, endpoint="GET /x"))


def test_unproven_list_warns_or_raises(caplog: pytest.LogCaptureFixture) -> None:
    """An incomplete list is a warning by default, an error when strict."""
    moving = CursorList(rows(*[5] * 120))

    with caplog.at_level(logging.WARNING):
        list(iterate(moving.walk(), endpoint="GET /x"))
    with pytest.raises(IncompleteWalk, match="one second"):
        list(iterate(moving.walk(), endpoint="GET /x", strict=True))

    assert "could not be proven complete" in caplog.text


def refused(position: int | None) -> Refused:
    """What Dify says of a page with a row that it cannot show; newer servers name its place."""
    code = "invalid_param"
    if position is None:
        return Refused("bad", where="GET /list", hint="none", status=400, code=code)
    path = f"data.{position}.files"
    return RowNotBuilt("bad", where="GET /list", hint="none", status=400, code=code, path=path)


@given(
    count=some.integers(1, 330),
    odd=some.sets(some.integers(0, 329), min_size=1, max_size=4),
    is_named=some.booleans(),
)
def test_page_walk_goes_round_odd_rows(count: int, odd: set[int], is_named: bool) -> None:
    """All rows come but those that no page shows, whose places and number are told."""
    odd = {number for number in odd if number < count} or {0}
    moving = NumberedList(rows(*range(count)))

    def ask(page: int, limit: int) -> Page[Row]:
        answer = moving(page, limit)
        first = (page - 1) * limit
        places = sorted(place - first for place in odd if first <= place < first + limit)
        if places:
            raise refused(places[0] if is_named else None)
        return answer

    walk = PageWalk(ask, key=lambda row: row.row_id)

    assert ids(walk) == {f"row-{number}" for number in range(count) if number not in odd}
    assert not walk.proof.is_proven
    assert {one.first for one in walk.proof.odd} == {place + 1 for place in odd}
    assert all(one.first == one.last for one in walk.proof.odd)
    assert walk.proof.reason.startswith(f"{len(odd)} of {count} rows stay out, at position ")
    assert len(moving.asked) <= 12 + 35 * len(odd)


@given(
    count=some.integers(2, 250),
    odd=some.integers(0, 249),
    is_named=some.booleans(),
    is_counted=some.booleans(),
)
def test_cursor_walk_ends_just_before_an_odd_row(
    count: int, odd: int, is_named: bool, is_counted: bool
) -> None:
    """Every newer row comes, whether Dify names the row's place or not; the walk is not proven."""
    odd = min(odd, count - 2)  # from the newest; a walk whose first row is odd is told apart below
    moving = CursorList(rows(*range(count)))

    def ask(cursor: str | None, limit: int) -> Page[Row]:
        answer = moving(cursor, limit)
        places = [place for place, row in enumerate(answer.records) if row.at == odd_at]
        if places:  # chat-messages show the oldest first
            raise refused(len(answer.records) - 1 - places[0] if is_named else None)
        return Page(answer.records[::-1], limit=limit, has_more=answer.has_more)

    odd_at = row(count - 1 - odd).at
    walk = CursorWalk(ask, key=lambda row: row.row_id, at=lambda row: row.at)
    walk.expected = count if is_counted else None

    if odd == 0 and not is_named:
        with pytest.raises(Refused):
            ids(walk)
        return
    assert ids(walk) == {f"row-{number}" for number in range(count - odd, count)}
    assert not walk.proof.is_proven
    assert len(walk.proof.odd) == 1
    assert len(moving.asked) <= 18


def test_page_that_fails_is_no_empty_list() -> None:
    """A list that counts no row beyond its end, but does not show its first page, proves nothing:
    else everything that is held of it would seem to be gone.
    """

    def ask(page: int, limit: int) -> Page[Row]:
        if page == 1:
            raise Refused("bad", where="GET /list", hint="none", status=400)
        return Page((), page=page, limit=limit, total=0)

    walk = PageWalk(ask, key=lambda row: row.row_id)
    with pytest.raises(Refused):
        ids(walk)
    assert not walk.proof.is_proven


def test_total_that_promises_more_than_comes_is_not_believed_for_ever() -> None:
    """A total of a million over twelve rows ends after a few pages, unproven."""
    moving = NumberedList(rows(*range(12)))
    asked: list[int] = []

    def ask(page: int, limit: int) -> Page[Row]:
        asked.append(page)
        return Page(moving(page, limit).records, total=1_000_000)

    walk = PageWalk(ask, key=lambda row: row.row_id)

    assert len(ids(walk)) == 12
    assert len(asked) < 30
    assert not walk.proof.is_proven
    assert "brought no new row" in walk.proof.reason


def test_total_beyond_any_figure_is_not_believed() -> None:
    """The first page comes; the rest is asked for a while."""
    walk = PageWalk(
        lambda page, limit: Page(tuple(rows(1)), total=10**18), key=lambda row: row.row_id
    )

    assert len(ids(walk)) == 1
    assert not walk.proof.is_proven


def test_total_beyond_the_last_page_number_is_not_asked_for() -> None:
    """Dify refuses page numbers beyond 99,999: that refusal is not taken for odd rows there."""
    asked: list[int] = []

    def ask(page: int, limit: int) -> Page[Row]:
        asked.append(page)
        assert len(asked) < 100, "the walk has no end"
        if page > 99_999:
            raise Refused("Dify answers 400", where="GET /x", hint="", status=400)
        return Page(tuple(rows(1) if page == 1 else ()), total=1_773_329_420_000)

    walk = PageWalk(ask, key=lambda row: row.row_id)

    assert len(ids(walk)) == 1
    assert not walk.proof.is_proven


def _endless(step: int) -> CursorWalk[Row]:
    """A list that always has a full page of new rows, each page `step` seconds after the last."""
    numbers = count()

    def ask(cursor: str | None, limit: int) -> Page[Row]:
        page = next(numbers)
        found = (row(100 * page + place, 1000 + step * page - place) for place in range(limit))
        return Page(tuple(found), has_more=True)

    return CursorWalk(ask, key=lambda row: row.row_id, at=lambda row: row.at, most_pages=50)


@pytest.mark.parametrize(
    ("step", "pages", "told"),
    [(-100, 50, "DIFY_ETL_MAX_PAGES"), (100, 4, "not older"), (0, 4, "not older")],
)
def test_list_without_an_end_ends(step: int, pages: int, told: str) -> None:
    """One that gets no older ends after three cursors, one that gets ever older at the bound."""
    taken: list[Page[Row]] = []
    with pytest.raises(UnexpectedAnswer, match=told):
        deque(map(taken.append, _endless(step)), maxlen=0)
    assert len(taken) == pages


def test_id_that_leads_back_is_left_for_another_cursor() -> None:
    """The best cursor of a page is the id of a newer row: from there the server would go back."""
    listed = [row(number, -number) for number in range(250)]

    def ask(cursor: str | None, limit: int) -> Page[Row]:
        places = [place for place, one in enumerate(listed) if one.row_id == cursor]
        begin = places[0] + 1 if places else 0
        shown = [row(20, -98) if place == 98 else one for place, one in enumerate(listed)]
        return Page(tuple(shown[begin : begin + limit]), has_more=begin + limit < len(listed))

    walk = CursorWalk(ask, key=lambda row: row.row_id, at=lambda row: row.at)

    assert ids(walk) == {one.row_id for place, one in enumerate(listed) if place != 98}


def test_pages_of_a_numbered_list_are_bounded() -> None:
    """A list that has a new row on every page for ever is left at the bound, with its name."""
    numbers = count()
    walk = PageWalk(
        lambda page, limit: Page((row(next(numbers)),), total=10**9),
        key=lambda row: row.row_id,
        most_pages=50,
    )

    with pytest.raises(UnexpectedAnswer, match="DIFY_ETL_MAX_PAGES"):
        ids(walk)


def test_second_without_an_end_ends() -> None:
    """Full pages of new rows in one second, one after another: a hundred are taken."""
    numbers = count()
    walk = CursorWalk(
        lambda cursor, limit: Page(
            tuple(row(next(numbers), 0) for _ in range(limit)), has_more=True
        ),
        key=lambda row: row.row_id,
        at=lambda row: row.at,
    )
    taken: list[Page[Row]] = []

    with pytest.raises(UnexpectedAnswer, match="not older"):
        deque(map(taken.append, walk), maxlen=0)
    assert len(taken) == 101
