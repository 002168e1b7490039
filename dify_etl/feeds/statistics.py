"""Feed daily_statistics: Dify's own figures per app, day and metric; each change is kept.

The days are those of the account's zone. They are asked with a day more on both sides and cut by
date: the first of two midnights cannot be asked for, and Dify's rules of the zone may be older.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from decimal import Decimal
from functools import partial

import polars as pl

from dify_etl.dify.errors import AppGone, NoSuchEndpoint
from dify_etl.dify.statistics import DailyStatistic, OddFigure, StatisticMetric
from dify_etl.raw.frames import records_frame
from dify_etl.raw.tables import raw_table
from dify_etl.sync.days import days_to_read, is_over
from dify_etl.sync.feed_loader import UNKNOWN_MODE, FeedLoader
from dify_etl.sync.fetching import FetchLimits, fetch
from dify_etl.sync.known_apps import KnownApp, known_apps
from dify_etl.sync.report import FeedReport, Slice
from dify_etl.sync.run import Sync
from dify_etl.sync.windows import Window, windows_of
from dify_etl.time_zones import ONE_DAY, utc_now
from dify_etl.warehouse.tables import frame

FEED = "daily_statistics"


@dataclass(frozen=True)
class Task:
    """All figures of one app over its days."""

    app: KnownApp
    windows: tuple[Window, ...]

    @property
    def days(self) -> tuple[date, ...]:
        """The days of all windows."""
        return tuple(day for window in self.windows for day in window.days)


def read_daily_statistics(sync: Sync) -> FeedReport:
    """GET every statistics endpoint that answers for the app's mode, once per stretch of days."""
    with FeedLoader(sync, FEED) as loader:
        apps = {app.app_id: app for app in known_apps(sync)}
        tasks = [
            Task(apps[one.app_id], tuple(windows_of(one.due, sync.rules.zone)))
            for one in days_to_read(sync, FEED, tuple(apps))
            if one.due
        ]
        loader.expect(len(tasks))
        for fetched in fetch(tasks, partial(_read, sync), FetchLimits(sync.rules.workers)):
            if fetched.error is not None:
                loader.fail(fetched.task.app.app_id, fetched.task.days, fetched.error)
            elif fetched.result is not None:
                _load(loader, fetched.task, fetched.result)
            loader.step()
        return loader.report()


@dataclass(frozen=True)
class Answered:
    """The figures of one app; of an unknown mode, `silent` are the endpoints without an answer;
    `lacking` says of endpoints that the server has not what it answered, by their metric.
    """

    figures: tuple[DailyStatistic, ...]
    odd: tuple[OddFigure, ...] = ()
    silent: tuple[str, ...] = ()
    lacking: Mapping[StatisticMetric, NoSuchEndpoint] = field(default_factory=dict)

    @property
    def unread(self) -> set[str]:
        """The figures of endpoints that the server has not."""
        return {figure.metric for metric in self.lacking for figure in metric.figures}


def _read(sync: Sync, task: Task) -> Answered:
    figures: list[DailyStatistic] = []
    odd: list[OddFigure] = []
    silent: dict[str, None] = {}
    lacking: dict[StatisticMetric, NoSuchEndpoint] = {}
    for window in task.windows:
        for metric in _metrics(task.app):
            if metric in lacking:
                continue
            try:
                answered = sync.dify.statistics.daily(
                    task.app.app_id, metric, window.start - ONE_DAY, window.end + ONE_DAY
                )
            except AppGone:
                if task.app.is_known_mode:
                    raise
                silent[metric.path] = None
            except NoSuchEndpoint as error:
                lacking[metric] = error  # the other figures need it not
            else:
                figures += (one for one in answered.records if window.has(one.statistic_date))
                odd += (one for one in answered.odd if one.day is None or window.has(one.day))
    return Answered(tuple(figures), tuple(odd), tuple(silent), lacking)


def _metrics(app: KnownApp) -> tuple[StatisticMetric, ...]:
    """The endpoints of the app's mode; all of them when nobody knows the mode."""
    return StatisticMetric.of_mode(app.mode) if app.is_known_mode else tuple(StatisticMetric)


def _load(loader: FeedLoader, task: Task, answered: Answered) -> None:
    """Append the figures that are new or differ from the latest ones; null for those that went."""
    sync, figures = loader.sync, answered.figures
    reason = None
    if answered.silent:
        reason = UNKNOWN_MODE.format(mode=task.app.mode, where=", ".join(answered.silent))
    latest = _latest(sync, task.app.app_id, task.days)
    fresh = {(one.statistic_date, one.metric): one for one in figures}
    changed = _changed(fresh.values(), latest)
    table = raw_table(FEED)
    rows = records_frame(table, DailyStatistic, changed)
    wrong = {(one.day, one.metric) for one in answered.odd}
    wrong |= {(None, metric) for metric in answered.unread}
    gone = [
        (day, metric)
        for (day, metric), value in latest.items()
        if value is not None
        and (day, metric) not in fresh
        and not {(day, metric), (None, metric)} & wrong
    ]
    rows = pl.concat([rows, _gone_frame(task.app.app_id, gone, rows)])
    counted = Counter(one.statistic_date for one in figures)
    with loader.commit():
        loader.load_frame(table, _stamped(sync, rows))
        loader.count_unchanged(FEED, len(fresh) - len(changed))
        for one in answered.odd:
            at = None if one.day is None else _noon(sync, one.day)
            loader.quarantine(task.app.app_id, [one.rejected], at=at)
        lacks = "; ".join(str(error) for error in answered.lacking.values())
        if lacks:
            loader.close_slices(
                [Slice(task.app.app_id, day, "failed", reason=lacks) for day in task.days]
            )
            return
        loader.close_slices(
            [
                Slice.judged(
                    task.app.app_id,
                    day,
                    counted[day],
                    doubt=reason,
                    requests=len(_metrics(task.app)) * len(task.windows),
                    is_settled=is_over(sync, day),
                )
                for day in task.days
            ]
        )


def load_figures(loader: FeedLoader, figures: Sequence[DailyStatistic]) -> None:
    """Figures that differ from those that are held; call it inside a transaction."""
    for one in figures:
        latest = _latest(loader.sync, one.app_id, [one.statistic_date])
        rows = records_frame(raw_table(FEED), DailyStatistic, _changed([one], latest))
        loader.load_frame(raw_table(FEED), _stamped(loader.sync, rows))


def _noon(sync: Sync, day: date) -> datetime:
    """An instant that is of this local day in every zone's rules."""
    return datetime.combine(day, time(12), sync.rules.zone)


_NEVER = Decimal("NaN")  # equals nothing, not even a null figure


def _value(figure: DailyStatistic) -> Decimal:
    """The figure as the warehouse keeps it: ten decimals."""
    return figure.value.quantize(Decimal("1e-10"))


_Latest = Mapping[tuple[date, str], Decimal | None]


def _changed(figures: Iterable[DailyStatistic], latest: _Latest) -> list[DailyStatistic]:
    return [
        one
        for one in figures
        if latest.get((one.statistic_date, one.metric), _NEVER) != _value(one)
    ]


def _latest(sync: Sync, app_id: str, days: Collection[date]) -> _Latest:
    """The latest figure per day and metric over these days."""
    rows = sync.database.rows(
        """SELECT statistic_date, metric, arg_max(struct_pack(value := value), read_at).value
        FROM raw.daily_statistics WHERE app_id = ? AND account_timezone = ? GROUP BY ALL""",
        [app_id, _zone(sync)],
    )
    return {(day, metric): value for day, metric, value in rows if day in days}


def _zone(sync: Sync) -> str:
    """The account's zone by the name that is pinned: it may have another one by now."""
    return str(sync.database.value("SELECT timezone FROM ops.source"))


def _gone_frame(app_id: str, gone: Sequence[tuple[date, str]], like: pl.DataFrame) -> pl.DataFrame:
    """Rows without a value, in the shape of `like`."""
    units = {figure.metric: figure.unit for metric in StatisticMetric for figure in metric.figures}
    rows = [
        {"app_id": app_id, "statistic_date": day, "metric": metric, "unit": units.get(metric)}
        for day, metric in gone
    ]
    return frame(raw_table(FEED), rows, like.columns)


def _stamped(sync: Sync, rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(
        pl.lit(_zone(sync)).alias("account_timezone"),
        pl.lit(sync.dify.server_version).alias("server_version"),
        pl.lit(utc_now()).cast(pl.Datetime("us", "UTC")).alias("read_at"),
    )
