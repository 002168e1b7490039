"""What must hold after every night, and what in the end, whatever happened.

After a night: a proven slice, whichever night proved it, holds every row of its day as Dify has it,
as far as the row stands still since before that night; what is not held is named in the ledger; no
row that was held is lost. So a difference is told as not proven, or is younger than `read_at`.
In the end: the warehouse equals the world, and no slice is in doubt without a reason.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from dify_etl.feeds.feedback import EXPORTED_SINCE
from dify_etl.raw.tables import raw_table
from dify_etl.sync.rights import NOT_SHOWN
from dify_etl.time_zones import local_date
from dify_etl_tests.sync.comparison import EXPECTED, IN_PART, KEYS, held_rows
from dify_etl_tests.sync.expected_values import Row, Told, version_of
from dify_etl_tests.sync.workplace import Workplace

Key = tuple[Any, ...]
Rows = dict[Key, Row]
Slot = tuple[str, str | None, date | None]  # feed, app, local day: what one slice speaks for

TABLES_OF = {
    "talk": ("conversations", "messages", "message_feedbacks", "message_citations"),
    "runs": ("conversations", "messages", "workflow_runs", "node_executions"),
    "workspace": (
        *("apps", "members", "app_api_keys", "dataset_api_keys", "datasets", "documents"),
        *("annotations", "daily_statistics"),
    ),
}
# The feed whose slices speak for a table that has none of its own, and the column of its day.
PARTS = ("message_feedbacks", "message_citations")
OF_THE_WORKSPACE = ("apps", "members", "dataset_api_keys", "datasets", "documents")
OF_AN_APP = ("app_api_keys", "annotations")
# What came after the upper bound of the walks is read, but nobody says that it is all.
UNJUDGED = timedelta(minutes=3)


class Past:
    """What Dify had at the moments at which somebody looked: since when each row stands still."""

    def __init__(self) -> None:
        self.moments = 0
        self.now: dict[str, Rows] = {}
        self.ever: dict[tuple[str, Key], Row] = {}  # as they were when they were seen last
        self._since: dict[tuple[str, Key], int] = {}

    def look(self, rows: dict[str, Rows]) -> int:
        """One more moment; answers its number."""
        self.moments += 1
        for name, found in rows.items():
            before = self.now.get(name, {})
            for key, row in found.items():
                self.ever[name, key] = row
                if key not in before or before[key] != row:
                    self._since[name, key] = self.moments
            for key in before.keys() - found.keys():
                self._since[name, key] = self.moments
        self.now = rows
        return self.moments

    def since(self, name: str, key: Key) -> int:
        """The moment from which on the row is as it is, or gone; 0: it was never seen."""
        return self._since.get((name, key), 0)


@dataclass(frozen=True)
class NightBegun:
    """The begin of a night: the last moment before it, and what it may prove: rows up to a time."""

    moment: int
    until: datetime


@dataclass(frozen=True)
class Truth:
    """What Dify has at a moment, and how many rows are held, absent ones too; per table."""

    rows: dict[str, Rows]
    held: dict[str, int]

    @classmethod
    def of(cls, place: Workplace, family: str) -> "Truth":
        """The world as the account that reads may see it, and the warehouse's counts."""
        names = TABLES_OF[family]
        counted = [f"(SELECT count(*) FROM raw.{name})" for name in names]
        (counts,) = place.rows(f"SELECT {', '.join(counted)}")
        return cls(rows_in_dify(place, family), dict(zip(names, counts, strict=True)))


def rows_in_dify(place: Workplace, family: str) -> dict[str, Rows]:
    """What the account that reads would see at this moment, per table."""
    told = Told(place.world, version_of(place.version), place.rules.completion_detail)
    return {name: keyed(name, told.rows(EXPECTED[name])) for name in TABLES_OF[family]}


def keyed(name: str, rows: list[Row]) -> Rows:
    """Rows by the key of their table."""
    key = KEYS[name] if name == "daily_statistics" else raw_table(name).key
    return {tuple(row[column] for column in key): row for row in rows}


def broken_promises(
    place: Workplace,
    family: str,
    before: Truth,
    past: Past,
    nights: dict[str, NightBegun],
) -> list[str]:
    """What a night has broken, in words; `nights` are all of them by their run's id, it the last.

    `past` has looked at the world before it, after each change during it, and after it.
    """
    after = Truth.of(place, family)
    lost = [
        f"{name}: {before.held[name]} rows were held, now {after.held[name]}"
        for name in before.held
        if after.held[name] < before.held[name]
    ]
    slices = place.rows("SELECT feed, app_id, slice_date, state, reason, run_id FROM ops.slices")
    lost += [f"without a reason: {row}" for row in slices if row[3] != "proven" and not row[4]]
    proven = {row[:3]: nights[row[5]] for row in slices if row[3] == "proven"}
    judge = Judge(place, proven, past)
    told = {row[:3]: row[3] for row in slices}
    odd = _odd_ids(place)
    for name, rows in zip(before.rows, _held(place, tuple(before.rows)), strict=True):
        held = keyed(name, rows)
        lost += judge.unlike(name, held, odd)
        lost += judge.unnamed(name, held, told, last(nights))
        if len(held) != len(rows):
            lost.append(f"{name}: a key is held twice")
    return lost


def last(nights: dict[str, NightBegun]) -> NightBegun:
    """The night that began last."""
    return nights[next(reversed(nights))]


def _odd_ids(place: Workplace) -> frozenset[str]:
    """Objects with an entry in quarantine for a field of theirs."""
    waiting = "SELECT record_id FROM ops.quarantine WHERE resolved_at IS NULL AND odd_fields <> ''"
    return frozenset(record_id for (record_id,) in place.rows(waiting))


def _held(place: Workplace, names: tuple[str, ...]) -> list[list[Row]]:
    """The rows that are there; a figure without a value is one that Dify shows no more."""
    return [
        [row for row in rows if name != "daily_statistics" or row["value"] is not None]
        for name, rows in zip(names, held_rows(place, names), strict=True)
    ]


@dataclass(frozen=True)
class Judge:
    """Compares rows of some slices, each with the begin of the night that it is judged by; rows
    that came after its time, or were touched since, are left out.
    """

    place: Workplace
    slots: dict[Slot, NightBegun]
    past: Past

    def unlike(self, name: str, held: Rows, odd: frozenset[str]) -> Iterator[str]:
        """Rows that stand still since the night that proved their slice, and are held otherwise.

        `odd` as in `unequal`.
        """
        for key, row in self.past.now[name].items():
            if self.judges(name, key, row):
                yield from (f"proven, but {line}" for line in unequal(name, key, row, held, odd))
        if name == "daily_statistics":
            return  # a message that came and went during the night was counted, rightly, between
        for key in held.keys() - self.past.now[name].keys():
            if self.judges(name, key, held[key]) and self._is_listed_since(name, key, held[key]):
                yield f"proven, but {name} has {key}, which Dify has no more"

    def unnamed(
        self, name: str, held: Rows, told: dict[Slot, str], tonight: NightBegun
    ) -> Iterator[str]:
        """Rows that are missing, stand still since before tonight, and of which no slice speaks:
        neither their own, nor that of the feed or of the list of apps.

        `told` is the state of every slice.
        """
        if told.get(("apps", None, None)) != "proven" or (name, None, None) in told:
            return
        today = local_date(tonight.until, self.place.rules.zone)
        for key, row in self.past.now[name].items():
            slot = self.slot(name, row)
            if key in held or slot in told or (slot[2] or today) > today:
                continue
            if self.past.since(name, key) <= tonight.moment and is_before(row, tonight.until):
                yield f"no slice speaks of {name} {key}, which is missing"

    def judges(self, name: str, key: Key, row: Row) -> bool:
        """Whether the row is of these slices, old enough, and stands still."""
        night = self.night_of(name, row)
        return (
            night is not None
            and self.past.since(name, key) <= night.moment
            and (is_before(row, night.until))
        )

    def _is_listed_since(self, name: str, key: Key, row: Row) -> bool:
        """Whether the deletion of a message could be seen: it moves no time, and only the list of
        the day on which its conversation began tells one message less.
        """
        talk = self.past.ever.get(("conversations", (row.get("conversation_id"),)))
        if name == "conversations" or talk is None:
            return True
        listed = self.slots.get(self.slot("conversations", talk))
        return listed is not None and self.past.since(name, key) <= listed.moment

    def night_of(self, name: str, row: Row) -> NightBegun | None:
        """The night by which the row's slice is judged; None when it is none of these slices."""
        night = self.slots.get(self.slot(name, row))
        if name != "message_feedbacks" or night is None:
            return night
        # Counts may hide a rating that moved: only the weekly export speaks for ratings.
        exported = self.slots.get((name, row["app_id"], None))
        return exported and min(night, exported, key=lambda one: one.moment)

    def slot(self, name: str, row: Row) -> Slot:
        """The slice that speaks for the row."""
        if name in OF_THE_WORKSPACE:
            return (name, None, None)
        if name in OF_AN_APP:
            return (name, row["app_id"], None)
        if name == "daily_statistics":
            return (name, row["app_id"], date.fromisoformat(row["statistic_date"]))
        feed, column = ("messages", "message_created_at") if name in PARTS else (name, "created_at")
        return (feed, row["app_id"], local_date(row[column], self.place.rules.zone))


def is_before(row: Row, until: datetime) -> bool:
    """Whether the row was there then; rows without a time are of any."""
    at = row.get("message_created_at") or row.get("created_at")
    return not isinstance(at, datetime) or at < until


def unequal(
    name: str, key: Key, expected: Row, held: Rows, odd: frozenset[str] = frozenset()
) -> Iterator[str]:
    """How the held row of a key differs, in words; `detail_of` is a note of the sync's own.

    Fields that the row names as odd are told by that, where its id is in quarantine (`odd`).
    """
    found = held.get(key)
    if found is None:
        yield f"{name} lacks {key}"
        return
    table = raw_table(name)
    told = (found.get("odd_fields") or "").split(",") if odd.intersection(key) else ()
    for column, value in expected.items():
        if column in told:
            continue
        kept = value is None and table.column(column).keeps_last
        if (
            not kept
            and column != "detail_of"
            and not _is_equal((name, column), value, found[column])
        ):
            yield f"{name} {key}: {column} is {found[column]!r}, expected {value!r}"


def _is_equal(column: tuple[str, str], expected: Any, held: Any) -> bool:
    if column in IN_PART and isinstance(expected, dict):
        return isinstance(held, dict) and all(held[key] == expected[key] for key in expected)
    return bool(held == expected)


def unlike_in_the_end(place: Workplace, family: str, past: Past) -> list[str]:
    """How the warehouse differs from the world once it rests, and slices still in doubt.

    A row of an unproven slice that Dify deleted may stay unnoticed: the slice says why.
    """
    truth = Truth.of(place, family)
    unsaid = {"message_feedbacks"} if version_of(place.version) < EXPORTED_SINCE else set()
    names = tuple(name for name in truth.rows if name not in unsaid)
    unproven = place.rows(
        "SELECT feed, app_id, slice_date FROM ops.slices WHERE state = 'unproven'"
    )
    ended = NightBegun(past.moments, place.world.now())
    unsure = Judge(place, dict.fromkeys(unproven, ended), past)
    found = []
    for name, rows in zip(names, _held(place, names), strict=True):
        expected, held = truth.rows[name], keyed(name, rows)
        if name == "daily_statistics":
            expected, held = _lately(place, expected), _lately(place, held)
        found += [line for key, row in expected.items() for line in unequal(name, key, row, held)]
        found += [
            f"{name} has {key} too much"
            for key in held.keys() - expected.keys()
            if not unsure.judges(name, key, held[key])
        ]
    doubts = place.rows(
        "SELECT feed, state, slice_date::VARCHAR, reason FROM ops.slices "
        "WHERE state IN ('failed', 'incomplete') OR in_quarantine IS NOT NULL "
        f"OR (state <> 'proven' AND (reason IS NULL OR starts_with(reason, '{NOT_SHOWN}')))"
    )
    found += [f"in doubt: {line}" for line in doubts]
    for name in names:
        odd = f"SELECT odd_fields FROM raw.{name} WHERE absent_since IS NULL AND odd_fields <> ''"
        if any(column.name == "odd_fields" for column in raw_table(name).columns):
            found += [f"still odd in {name}: {line}" for (line,) in place.rows(odd)]
    return found


def _lately(place: Workplace, rows: Rows) -> Rows:
    """Figures of the look-back: Dify's older ones may change, and are not asked again."""
    zone, rules = place.rules.zone, place.rules
    first = local_date(place.world.now(), zone) - timedelta(days=rules.lookback_days)
    return {key: row for key, row in rows.items() if row["statistic_date"] >= first.isoformat()}
