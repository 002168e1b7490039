"""Daily statistics of an app: eight endpoints for messages, four for workflow runs.

Long form: one record per local day and figure. Days without rows are not sent at all.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, Field

from dify_etl.dify.http.session import Session
from dify_etl.dify.lists import batch_of
from dify_etl.dify.record import Batch, Id, Record, Rejected, aliased, optional
from dify_etl.dify.time_parameters import exact_minute

CHATS = frozenset({"chat", "agent-chat", "advanced-chat", "agent"})
MESSAGE_MODES = CHATS | {"completion"}
RUN_MODES = frozenset({"advanced-chat", "workflow"})


@dataclass(frozen=True)
class Figure:
    """One number of an answer: Dify's key, our name for the metric, and its unit."""

    key: str
    metric: str
    unit: str


class StatisticMetric(Enum):
    """A statistics endpoint: its path, its figures, and the app modes that have rows there."""

    DAILY_MESSAGES = (
        "statistics/daily-messages",
        (Figure("message_count", "daily_messages", "messages"),),
        MESSAGE_MODES,
    )
    DAILY_CONVERSATIONS = (
        "statistics/daily-conversations",
        (Figure("conversation_count", "daily_conversations", "conversations with a message"),),
        MESSAGE_MODES,
    )
    DAILY_END_USERS = (
        "statistics/daily-end-users",
        (Figure("terminal_count", "daily_end_users", "end users"),),
        MESSAGE_MODES,
    )
    TOKEN_COSTS = (
        "statistics/token-costs",
        (
            Figure("token_count", "token_count", "tokens"),
            Figure("total_price", "total_price", "currency"),
        ),
        MESSAGE_MODES,
    )
    AVERAGE_SESSION_INTERACTIONS = (
        "statistics/average-session-interactions",
        (Figure("interactions", "average_session_interactions", "messages per conversation"),),
        CHATS,
    )
    USER_SATISFACTION_RATE = (
        "statistics/user-satisfaction-rate",
        (Figure("rate", "user_satisfaction_rate", "likes per 1,000 messages"),),
        MESSAGE_MODES,
    )
    AVERAGE_RESPONSE_TIME = (
        "statistics/average-response-time",
        (Figure("latency", "average_response_time", "milliseconds"),),
        frozenset({"completion"}),
    )
    TOKENS_PER_SECOND = (
        "statistics/tokens-per-second",
        (Figure("tps", "tokens_per_second", "tokens per second"),),
        MESSAGE_MODES,
    )
    WORKFLOW_DAILY_RUNS = (
        "workflow/statistics/daily-conversations",
        (Figure("runs", "workflow_daily_runs", "runs"),),
        RUN_MODES,
    )
    WORKFLOW_DAILY_TERMINALS = (
        "workflow/statistics/daily-terminals",
        (Figure("terminal_count", "workflow_daily_terminals", "users"),),
        RUN_MODES,
    )
    WORKFLOW_TOKEN_COSTS = (
        "workflow/statistics/token-costs",
        (Figure("token_count", "workflow_token_count", "tokens"),),
        RUN_MODES,
    )
    WORKFLOW_AVERAGE_APP_INTERACTIONS = (
        "workflow/statistics/average-app-interactions",
        (Figure("interactions", "workflow_average_app_interactions", "runs per user"),),
        frozenset({"workflow"}),
    )

    def __init__(self, path: str, figures: tuple[Figure, ...], modes: frozenset[str]) -> None:
        self.path = path  # below the app
        self.figures = figures  # what a row of the answer holds beside its day
        self.modes = modes  # others get an empty list or AppGone

    @classmethod
    def of_mode(cls, mode: str) -> "tuple[StatisticMetric, ...]":
        """The endpoints worth asking for an app of this mode."""
        return tuple(metric for metric in cls if mode in metric.modes)


_FIGURES = {figure.metric: figure for metric in StatisticMetric for figure in metric.figures}


def _day(value: object) -> object:
    return date.fromisoformat(value) if isinstance(value, str) else value


class DailyStatistic(Record):
    """One figure of one local day (GET statistics/*, workflow/statistics/*)."""

    app_id: Id = Field(description="id of the app")
    metric: str = Field(description="which figure, as daily_messages")
    statistic_date: Annotated[date, BeforeValidator(_day)] = aliased(
        "date", description="local day in the time zone of the account that asked"
    )
    value: Annotated[Decimal, Field(strict=False)] = Field(description="the figure, in `unit`")
    unit: str = Field(description="unit of the value")
    currency: str | None = optional(description="currency of a price; Dify always says USD")

    @classmethod
    def prepare(cls, row: dict[str, Any], context: Mapping[str, Any]) -> dict[str, Any]:
        """Take one figure out of the row of a day: the context names the metric."""
        figure = _FIGURES[context["metric"]]
        return {
            "app_id": context["app_id"],
            "date": row.get("date"),
            "metric": figure.metric,
            "unit": figure.unit,
            "value": row.get(figure.key),
            "currency": row.get("currency") if figure.unit == "currency" else None,
        }


@dataclass(frozen=True)
class OddFigure:
    """A figure that could not be read; `day` is None when its day is what is odd."""

    day: date | None
    metric: str
    rejected: Rejected


@dataclass(frozen=True)
class DailyFigures(Batch[DailyStatistic]):
    """The figures of one answer, and those that could not be read by day and metric."""

    odd: tuple[OddFigure, ...] = ()


class Statistics:
    """`dify.statistics`."""

    def __init__(self, session: Session, zone: Callable[[], ZoneInfo]) -> None:
        self._session = session
        self._zone = zone

    def daily(
        self,
        app_id: str,
        metric: StatisticMetric,
        start: datetime | None = None,
        end: datetime | None = None,
    ) -> DailyFigures:
        """GET one endpoint for `[start, end)`, aware instants; `end` is exclusive at its minute.

        Days are days of the account's zone: give their midnights. Without bounds, the whole
        history. Today's figures, and past ones after late feedback or deletion, still change.
        A figure that is null or otherwise odd costs itself alone. Raises UnexpectedAnswer when the
        answer holds no list, AppGone for some other modes.
        """
        route = f"/apps/{{app_id}}/{metric.path}"
        zone = self._zone()
        query = {"start": exact_minute(start, zone), "end": exact_minute(end, zone)}
        answer = self._session.get(route, query=query, app_id=app_id)
        found: list[DailyStatistic] = []
        odd: list[OddFigure] = []
        for figure in metric.figures:
            context = {"app_id": app_id, "metric": figure.metric}
            batch = batch_of(DailyStatistic, answer, endpoint=f"GET {route}", context=context)
            found.extend(batch.records)
            odd += [_odd(one, answer["data"], figure) for one in batch.rejected]
        return DailyFigures(tuple(found), tuple(one.rejected for one in odd), tuple(odd))


def _odd(rejected: Rejected, rows: list[Any], figure: Figure) -> OddFigure:
    """Which figure was rejected: Dify gives it no id, so day and metric name it."""
    row = rows[rejected.position]
    told = row.get("date") if isinstance(row, dict) else None
    try:
        day = date.fromisoformat(told) if isinstance(told, str) else None
    except ValueError:
        day = None
    named = f"{day.isoformat() if day else 'no day'}/{figure.metric}"
    return OddFigure(day, figure.metric, replace(rejected, record_id=named))
