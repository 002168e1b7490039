"""The eight statistics over messages and the four over workflow runs, computed from the rows.

Days are local days of the asking account; days without rows are absent; the end is exclusive.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal

from dify_etl.time_zones import zone_of
from dify_simulated.endpoints.apps import CHAT_MODES
from dify_simulated.server.calls import Call, Route
from dify_simulated.server.parameters import Parameter
from dify_simulated.server.time_windows import EndRule, TimeWindow, read_window
from dify_simulated.world.rows import Conversation, JsonObject, Message, WorkflowRun

Days = dict[str, list[Message]]


def _window(call: Call) -> TimeWindow:
    asked = call.query("StatisticTimeRangeQuery", Parameter("start"), Parameter("end"))
    return read_window(
        asked.text("start"),
        asked.text("end"),
        zone=call.account.timezone,
        rule=EndRule.SECOND_0_EXCLUDED,
        version=call.version,
    )


def _local_date(call: Call) -> Callable[[datetime], str]:
    zone = zone_of(call.account.timezone)
    return lambda at: at.astimezone(zone).strftime("%Y-%m-%d")


def _messages_by_day(call: Call, *, drops_debugger: bool) -> Days:
    window, date = _window(call), _local_date(call)
    index = call.world.messages_of_app[call.app.id]
    low, high = index.between(window.start, window.end, end_inclusive=False)
    days: Days = defaultdict(list)
    for _, message_id in index.entries[low:high]:
        row = call.world.messages[message_id]
        if not drops_debugger or counts(row.invoke_from):
            days[date(row.created_at)].append(row)
    return days


def counts(invoke_from: str | None) -> bool:
    """`invoke_from <> 'debugger'`, which in SQL drops nulls too."""
    return invoke_from not in (None, "debugger")


def _daily(call: Call, show: Callable[[list[Message]], JsonObject]) -> JsonObject:
    days = _messages_by_day(call, drops_debugger=call.version.since(1, 9))
    return {"data": [{"date": date, **show(days[date])} for date in sorted(days)]}


def daily_messages(call: Call) -> object:
    """GET …/statistics/daily-messages: all messages, failed ones too."""
    return _daily(call, lambda rows: {"message_count": len(rows)})


def daily_conversations(call: Call) -> object:
    """GET …/statistics/daily-conversations: conversations that were active that day."""
    days = _messages_by_day(call, drops_debugger=call.version.since(1, 7))
    data = [
        {"date": date, "conversation_count": len({row.conversation_id for row in days[date]})}
        for date in sorted(days)
    ]
    return {"data": data}


def daily_end_users(call: Call) -> object:
    """GET …/statistics/daily-end-users: accounts are not counted."""
    return _daily(
        call,
        lambda rows: {
            "terminal_count": len({row.from_end_user_id for row in rows} - {None}),
        },
    )


def token_costs(call: Call) -> object:
    """GET …/statistics/token-costs: the price as text with seven digits, always in "USD"."""
    return _daily(
        call,
        lambda rows: {
            "token_count": sum(row.message_tokens + row.answer_tokens for row in rows),
            "total_price": _price(rows),
            "currency": "USD",
        },
    )


def _price(rows: list[Message]) -> str:
    """Zero prints as 0E-7: Python's Decimal, seven digits from NUMERIC(10, 7)."""
    total = sum((row.total_price or Decimal(0) for row in rows), Decimal(0))
    return str(total.quantize(Decimal("0.0000001")))


def user_satisfaction_rate(call: Call) -> object:
    """GET …/statistics/user-satisfaction-rate: likes per mille of messages.

    Messages are joined with likes of users and admins: one that both like counts twice.
    """
    return _daily(call, lambda rows: {"rate": _rate(rows, call)})


def _rate(rows: list[Message], call: Call) -> float:
    likes = [_likes(row, call) for row in rows]
    return _rounded(1000 * sum(likes) / sum(max(count, 1) for count in likes), 2)


def _likes(row: Message, call: Call) -> int:
    given = call.world.feedbacks_of_message.get(row.id, ())
    return sum(call.world.feedbacks[i].rating == "like" for i in given)


def average_response_time(call: Call) -> object:
    """GET …/statistics/average-response-time: milliseconds; completion apps only."""
    return _daily(
        call,
        lambda rows: {
            "latency": _rounded(
                1000 * sum(row.provider_response_latency for row in rows) / len(rows), 4
            )
        },
    )


def tokens_per_second(call: Call) -> object:
    """GET …/statistics/tokens-per-second: the ratio of two sums; 0 without latency."""
    return _daily(call, lambda rows: {"tps": _tps(rows)})


def _tps(rows: list[Message]) -> float:
    seconds = sum(row.provider_response_latency for row in rows)
    return _rounded(sum(row.answer_tokens for row in rows) / seconds, 4) if seconds else 0.0


def average_session_interactions(call: Call) -> object:
    """GET …/statistics/average-session-interactions: by the day of the conversation's creation.

    The messages of its whole life count, so the value of a past day keeps rising.
    """
    window, date = _window(call), _local_date(call)
    world = call.world
    days: dict[str, list[int]] = defaultdict(list)
    for row in _conversations(window, call):
        rows = (world.messages[i] for i in world.messages_of_conversation.get(row.id, ()))
        dropping = call.version.since(1, 9)
        count = sum(not dropping or counts(message.invoke_from) for message in rows)
        if count:
            days[date(row.created_at)].append(count)
    data = [
        {"date": day, "interactions": _rounded(sum(days[day]) / len(days[day]), 2)}
        for day in sorted(days)
    ]
    return {"data": data}


def _conversations(window: TimeWindow, call: Call) -> list[Conversation]:
    """Those of the app created in the window, also the ones that no list shows."""
    world = call.world
    index = world.conversations_created[call.app.id]
    low, high = index.between(window.start, window.end, end_inclusive=False)
    listed = [world.conversations[row_id] for _, row_id in index.entries[low:high]]
    unlisted = [world.conversations[i] for i in world.unlisted_conversations[call.app.id]]
    start, end = window.start, window.end
    return listed + [
        row
        for row in unlisted
        if (start is None or row.created_at >= start) and (end is None or row.created_at < end)
    ]


def _rounded(value: float, digits: int) -> float:
    """Half up, as NUMERIC rounds in PostgreSQL."""
    return float(Decimal(str(value)).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP))


def _runs_by_day(call: Call) -> dict[str, list[WorkflowRun]]:
    """Runs with triggered_from app-run, whatever their status, in no promised order of days."""
    window, date = _window(call), _local_date(call)
    index = call.world.runs_of_app[call.app.id, "app-run"]
    low, high = index.between(window.start, window.end, end_inclusive=False)
    days: dict[str, list[WorkflowRun]] = defaultdict(list)
    for _, run_id in index.entries[low:high]:
        row = call.world.workflow_runs[run_id]
        days[date(row.created_at)].append(row)
    return days


def _daily_runs(call: Call, show: Callable[[list[WorkflowRun]], JsonObject]) -> JsonObject:
    days = _runs_by_day(call)
    return {"data": [{"date": date, **show(days[date])} for date in sorted(days)]}


def workflow_daily_conversations(call: Call) -> object:
    """GET …/workflow/statistics/daily-conversations: runs."""
    return _daily_runs(call, lambda rows: {"runs": len(rows)})


def workflow_daily_terminals(call: Call) -> object:
    """GET …/workflow/statistics/daily-terminals: accounts and end users alike."""
    return _daily_runs(call, lambda rows: {"terminal_count": len({row.created_by for row in rows})})


def workflow_token_costs(call: Call) -> object:
    """GET …/workflow/statistics/token-costs: the sum of a bigint, printed as text; no price."""
    return _daily_runs(
        call, lambda rows: {"token_count": str(sum(row.total_tokens for row in rows))}
    )


def average_app_interactions(call: Call) -> object:
    """GET …/workflow/statistics/average-app-interactions: runs per creator; days unordered."""
    days = _runs_by_day(call)
    shuffled = sorted(days, key=lambda date: date[::-1])
    return {"data": [{"date": date, "interactions": _per_creator(days[date])} for date in shuffled]}


def _per_creator(rows: list[WorkflowRun]) -> float:
    return _rounded(len(rows) / len({row.created_by for row in rows}), 2)


_STATISTICS = "/apps/<uuid:app_id>/statistics"
_WORKFLOW_STATISTICS = "/apps/<uuid:app_id>/workflow/statistics"

ROUTES = (
    Route("GET", f"{_STATISTICS}/daily-messages", daily_messages),
    Route("GET", f"{_STATISTICS}/daily-conversations", daily_conversations),
    Route("GET", f"{_STATISTICS}/daily-end-users", daily_end_users),
    Route("GET", f"{_STATISTICS}/token-costs", token_costs),
    Route("GET", f"{_STATISTICS}/user-satisfaction-rate", user_satisfaction_rate),
    Route(
        "GET",
        f"{_STATISTICS}/average-session-interactions",
        average_session_interactions,
        modes=CHAT_MODES,
    ),
    Route(
        "GET",
        f"{_STATISTICS}/average-response-time",
        average_response_time,
        modes=("completion",),
    ),
    Route("GET", f"{_STATISTICS}/tokens-per-second", tokens_per_second),
    Route("GET", f"{_WORKFLOW_STATISTICS}/daily-conversations", workflow_daily_conversations),
    Route("GET", f"{_WORKFLOW_STATISTICS}/daily-terminals", workflow_daily_terminals),
    Route("GET", f"{_WORKFLOW_STATISTICS}/token-costs", workflow_token_costs),
    Route(
        "GET",
        f"{_WORKFLOW_STATISTICS}/average-app-interactions",
        average_app_interactions,
        modes=("workflow",),
    ),
)
