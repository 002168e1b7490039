"""/agent/{id}/statistics/summary: the sums of a window, and the same day by day."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from decimal import Decimal

from dify_etl.time_zones import zone_of
from dify_simulated.endpoints.agent_messages import logged_conversations, window_of
from dify_simulated.endpoints.agents import SINCE
from dify_simulated.server.calls import Call, Route
from dify_simulated.server.parameters import Parameter
from dify_simulated.world.rows import JsonObject, Message

Figures = Callable[[list[Message]], JsonObject]


def summarise(call: Call) -> object:
    """GET /agent/{id}/statistics/summary: debugging talks count nowhere."""
    call.agent()
    asked = call.query(
        "AgentStatisticsQuery", Parameter("start"), Parameter("end"), Parameter("source")
    )
    zone = zone_of(call.account.timezone)
    rows = [
        one for _, talk in logged_conversations(call, window_of(asked, call), []) for one in talk
    ]
    days: defaultdict[str, list[Message]] = defaultdict(list)
    for row in rows:
        days[f"{row.created_at.astimezone(zone):%F}"].append(row)
    charts = {
        name: [{"date": day, **figures(days[day])} for day in sorted(days)]
        for name, figures in _charts(call).items()
    }
    return {"source": "all", "summary": _summary(rows, call), "charts": charts}


def _summary(rows: list[Message], call: Call) -> JsonObject:
    return {
        "total_messages": len(rows),
        "total_conversations": _conversations(rows),
        "total_end_users": _end_users(rows),
        "total_tokens": _tokens(rows),
        "total_price": _price(rows),
        "currency": "USD",
        "average_session_interactions": _per_conversation(rows),
        "average_response_time": _response_time(rows),
        "tokens_per_second": _tps(rows),
        "user_satisfaction_rate": _satisfaction(rows, call),
    }


def _charts(call: Call) -> dict[str, Figures]:
    return {
        "daily_messages": lambda rows: {"message_count": len(rows)},
        "daily_conversations": lambda rows: {"conversation_count": _conversations(rows)},
        "daily_end_users": lambda rows: {"terminal_count": _end_users(rows)},
        "token_usage": lambda rows: {
            "token_count": _tokens(rows),
            "total_price": _price(rows),
            "currency": "USD",
        },
        "average_session_interactions": lambda rows: {"interactions": _per_conversation(rows)},
        "average_response_time": lambda rows: {"latency": _response_time(rows)},
        "tokens_per_second": lambda rows: {"tps": _tps(rows)},
        "user_satisfaction_rate": lambda rows: {"rate": _satisfaction(rows, call)},
    }


def _conversations(rows: list[Message]) -> int:
    return len({row.conversation_id for row in rows})


def _end_users(rows: list[Message]) -> int:
    return len({row.from_end_user_id for row in rows} - {None})


def _tokens(rows: list[Message]) -> int:
    return sum(row.message_tokens + row.answer_tokens for row in rows)


def _price(rows: list[Message]) -> str:
    return str(sum((row.total_price or Decimal(0) for row in rows), Decimal(0)))


def _per_conversation(rows: list[Message]) -> float:
    return round(len(rows) / _conversations(rows), 2) if rows else 0.0


def _seconds(rows: list[Message]) -> float:
    return sum(row.provider_response_latency for row in rows)


def _response_time(rows: list[Message]) -> float:
    return round(1000 * _seconds(rows) / len(rows), 4) if rows else 0.0


def _tps(rows: list[Message]) -> float:
    seconds = _seconds(rows)
    return round(sum(row.answer_tokens for row in rows) / seconds, 4) if seconds else 0.0


def _satisfaction(rows: list[Message], call: Call) -> float:
    """Likes per hundred messages."""
    world = call.world
    liked = [
        row
        for row in rows
        for feedback_id in world.feedbacks_of_message.get(row.id, ())
        if world.feedbacks[feedback_id].rating == "like"
    ]
    return round(100 * len(liked) / len(rows), 2) if rows else 0.0


ROUTES = (Route("GET", "/agent/<uuid:agent_id>/statistics/summary", summarise, since=SINCE),)
