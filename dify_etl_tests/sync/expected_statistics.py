"""Dify's own daily figures, counted from the rows of a world."""

from collections import defaultdict
from collections.abc import Iterator
from decimal import ROUND_HALF_UP, Decimal

from dify_etl.time_zones import zone_of
from dify_etl_tests.sync.expected_values import Row, Told
from dify_simulated.world.rows import Message, WorkflowRun

Figures = dict[str, Decimal]
Key = tuple[str, str]  # app and local day


def daily_statistics(told: Told) -> Iterator[Row]:
    """The latest figure of every app, day and metric, in the account's zone."""
    asked, began, runs = _by_day(told)
    figures: defaultdict[Key, Figures] = defaultdict(dict)
    for key, messages in asked.items():
        figures[key] |= _of_messages(told, key[0], messages)
    for key, counts in began.items():
        figures[key]["average_session_interactions"] = _rounded(sum(counts) / len(counts), 2)
    for key, of_day in runs.items():
        figures[key] |= _of_runs(told, key[0], of_day)
    for (app_id, day), found in figures.items():
        for metric, value in found.items():
            yield {"app_id": app_id, "statistic_date": day, "metric": metric, "value": value}


def _by_day(
    told: Told,
) -> tuple[dict[Key, list[Message]], dict[Key, list[int]], dict[Key, list[WorkflowRun]]]:
    zone = zone_of(told.world.account.timezone)
    asked, began, runs = defaultdict(list), defaultdict(list), defaultdict(list)
    per_conversation: defaultdict[str, int] = defaultdict(int)
    for message in told.world.messages.values():
        if _counts(told, message):
            asked[message.app_id, f"{message.created_at.astimezone(zone):%F}"].append(message)
            per_conversation[message.conversation_id] += 1
    for conversation_id, count in per_conversation.items():
        row = told.world.conversations[conversation_id]
        if row.mode != "completion":
            began[row.app_id, f"{row.created_at.astimezone(zone):%F}"].append(count)
    for run in told.world.workflow_runs.values():
        if run.triggered_from == "app-run":
            runs[run.app_id, f"{run.created_at.astimezone(zone):%F}"].append(run)
    return asked, began, runs


def _counts(told: Told, message: Message) -> bool:
    """Debugging counts up to 1.8."""
    return message.invoke_from != "debugger" or not told.since(1, 9)


def _of_messages(told: Told, app_id: str, rows: list[Message]) -> Figures:
    seconds = sum(row.provider_response_latency for row in rows)
    answered = sum(row.answer_tokens for row in rows)
    used = [row for row in rows if row.invoke_from != "debugger" or not told.since(1, 7)]
    price = sum((row.total_price or Decimal(0) for row in rows), Decimal(0))
    figures = {
        "daily_messages": Decimal(len(rows)),
        "daily_end_users": Decimal(len({row.from_end_user_id for row in rows} - {None})),
        "token_count": Decimal(sum(row.message_tokens for row in rows) + answered),
        "total_price": price.quantize(Decimal("1e-7")),
        "user_satisfaction_rate": _satisfaction(told, rows),
        "tokens_per_second": _rounded(answered / seconds, 4) if seconds else Decimal(0),
    }
    if used:
        conversations = {row.conversation_id for row in used}
        figures["daily_conversations"] = Decimal(len(conversations))
    if told.mode(app_id) == "completion":
        figures["average_response_time"] = _rounded(1000 * seconds / len(rows), 4)
    return figures


def _satisfaction(told: Told, rows: list[Message]) -> Decimal:
    """Likes of 1,000 messages; a message that two people like counts twice in both."""
    likes = []
    for row in rows:
        given = [told.world.feedbacks[i] for i in told.world.feedbacks_of_message[row.id]]
        likes.append(len([one for one in given if one.rating == "like"]))
    return _rounded(1000 * sum(likes) / sum(max(count, 1) for count in likes), 2)


def _of_runs(told: Told, app_id: str, rows: list[WorkflowRun]) -> Figures:
    creators = len({row.created_by for row in rows})
    figures = {
        "workflow_daily_runs": Decimal(len(rows)),
        "workflow_daily_terminals": Decimal(creators),
        "workflow_token_count": Decimal(sum(row.total_tokens for row in rows)),
    }
    if told.mode(app_id) == "workflow":
        per_creator = _rounded(len(rows) / creators, 2)
        figures["workflow_average_app_interactions"] = per_creator
    return figures


def _rounded(value: float, digits: int) -> Decimal:
    return Decimal(str(value)).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP)
