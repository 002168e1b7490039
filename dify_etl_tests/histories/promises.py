"""What must hold after every night, and what in the end, whatever happened.

After a night: a slice that the night proved holds every row of its day as Dify has it, as far as
the row was there before the night and was not touched during it; no row that was held is lost.
In the end: the warehouse equals the world, and no slice is in doubt without a reason.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from dify_etl.normalise.raw_tables import raw_table
from dify_etl.sync.feedback_export import EXPORTED_SINCE
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
    meanwhile: Sequence[dict[str, Rows]],
    began: datetime,
) -> list[str]:
    """What a night has broken, in words; `began` is when it began, by the world's clock.

    `meanwhile` is what Dify had after each change during the night.
    """
    after = Truth.of(place, family)
    lost = [
        f"{name}: {before.held[name]} rows were held, now {after.held[name]}"
        for name in before.held
        if after.held[name] < before.held[name]
    ]
    proven = _slots(place, f"state = 'proven' AND run_id = 'night {place.runs}'")
    held = dict(zip(before.rows, _held(place, tuple(before.rows)), strict=True))
    judge = Judge(place, proven, began - UNJUDGED)
    for name, rows in held.items():
        had = [moment[name] for moment in (before.rows, *meanwhile, after.rows)]
        lost += judge.unlike(name, keyed(name, rows), had)
        if len(keyed(name, rows)) != len(rows):
            lost.append(f"{name}: a key is held twice")
    return lost


def _slots(place: Workplace, which: str) -> set[Slot]:
    """Slices for which the SQL condition holds."""
    return set(place.rows(f"SELECT feed, app_id, slice_date FROM ops.slices WHERE {which}"))


def _held(place: Workplace, names: tuple[str, ...]) -> list[list[Row]]:
    """The rows that are there; a figure without a value is one that Dify shows no more."""
    return [
        [row for row in rows if name != "daily_statistics" or row["value"] is not None]
        for name, rows in zip(names, held_rows(place, names), strict=True)
    ]


@dataclass(frozen=True)
class Judge:
    """Compares rows of some slices; rows that came after `until` are left out."""

    place: Workplace
    slots: set[Slot]
    until: datetime

    def unlike(self, name: str, held: Rows, had: Sequence[Rows]) -> Iterator[str]:
        """Rows that stood still during the night, in a proven slice, and are held otherwise."""
        for key, row in had[0].items():
            if all(rows.get(key) == row for rows in had[1:]) and self.judges(name, row):
                yield from (f"proven, but {line}" for line in unequal(name, key, row, held))
        if name == "daily_statistics":
            return  # a message that came and went during the night was counted, rightly, between
        for key in held.keys() - set[Key]().union(*had):
            if self.judges(name, held[key]):
                yield f"proven, but {name} has {key}, which Dify has no more"

    def judges(self, name: str, row: Row) -> bool:
        """Whether the row is of these slices and old enough."""
        at = row.get("message_created_at") or row.get("created_at")
        is_settled = not isinstance(at, datetime) or at < self.until
        # Counts may hide a rating that moved: only the weekly export speaks for ratings.
        is_exported = name != "message_feedbacks" or (name, row["app_id"], None) in self.slots
        return is_settled and is_exported and self._slot(name, row) in self.slots

    def _slot(self, name: str, row: Row) -> Slot:
        if name in OF_THE_WORKSPACE:
            return (name, None, None)
        if name in OF_AN_APP:
            return (name, row["app_id"], None)
        if name == "daily_statistics":
            return (name, row["app_id"], date.fromisoformat(row["statistic_date"]))
        feed, column = ("messages", "message_created_at") if name in PARTS else (name, "created_at")
        return (feed, row["app_id"], local_date(row[column], self.place.rules.zone))


def unequal(name: str, key: Key, expected: Row, held: Rows) -> Iterator[str]:
    """How the held row of a key differs, in words; `detail_of` is a note of the sync's own."""
    found = held.get(key)
    if found is None:
        yield f"{name} lacks {key}"
        return
    table = raw_table(name)
    for column, value in expected.items():
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


def unlike_in_the_end(place: Workplace, family: str) -> list[str]:
    """How the warehouse differs from the world once it rests, and slices still in doubt.

    A row of an unproven slice that Dify deleted may stay unnoticed: the slice says why.
    """
    truth = Truth.of(place, family)
    unsaid = {"message_feedbacks"} if version_of(place.version) < EXPORTED_SINCE else set()
    names = tuple(name for name in truth.rows if name not in unsaid)
    unsure = Judge(place, _slots(place, "state = 'unproven'"), place.world.now())
    found = []
    for name, rows in zip(names, _held(place, names), strict=True):
        expected, held = truth.rows[name], keyed(name, rows)
        if name == "daily_statistics":
            expected, held = _lately(place, expected), _lately(place, held)
        found += [line for key, row in expected.items() for line in unequal(name, key, row, held)]
        found += [
            f"{name} has {key} too much"
            for key in held.keys() - expected.keys()
            if not unsure.judges(name, held[key])
        ]
    doubts = place.rows(
        "SELECT feed, state, slice_date::VARCHAR, reason FROM ops.slices "
        "WHERE state IN ('failed', 'incomplete') OR (state <> 'proven' AND reason IS NULL)"
    )
    return [*found, *(f"in doubt: {line}" for line in doubts)]


def _lately(place: Workplace, rows: Rows) -> Rows:
    """Figures of the look-back: Dify's older ones may change, and are not asked again."""
    zone, rules = place.rules.zone, place.rules
    first = local_date(place.world.now(), zone) - timedelta(days=rules.lookback_days)
    return {key: row for key, row in rows.items() if row["statistic_date"] >= first.isoformat()}
