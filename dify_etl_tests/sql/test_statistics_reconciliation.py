"""The verdicts of statistics_reconciliation, rule by rule, from rows written by hand."""

import re
import shlex
from datetime import timedelta
from typing import Any

import pytest

from dify_etl_tests.sql.hand_written import DAY, NOON, RUN_ENDED, HandWritten, models_behind

MART = "marts.statistics_reconciliation"
CONSOLE: dict[str, Any] = {
    "from_source": "console",
    "from_end_user_id": None,
    "from_account_id": "ada",
}
# Figures of one message as `HandWritten.message` writes it.
OF_ONE = {"daily_messages": 1, "daily_conversations": 1, "daily_end_users": 1, "token_count": 30}


def row_of(warehouse: HandWritten, metric: str = "daily_messages") -> dict[str, Any]:
    """The row of a metric."""
    return warehouse.one_row_of(MART, f"metric = '{metric}'")


def verdict(warehouse: HandWritten, metric: str = "daily_messages") -> str:
    """What came of a metric."""
    return str(row_of(warehouse, metric)["verdict"])


def talk(warehouse: HandWritten, name: str, messages: int = 1, **values: Any) -> None:
    """A listed conversation of some messages at noon."""
    warehouse.add("raw.conversations", conversation_id=name, app_id="app", created_at=NOON)
    for _ in range(messages):
        warehouse.message(name, **values)


def dify_counts(warehouse: HandWritten, version: str = "1.12.1", **changed: float) -> None:
    """Dify's figures of one message, but for those that are named."""
    for metric, value in (OF_ONE | changed).items():
        warehouse.dify_says(metric, value, server_version=version)


@pytest.fixture
def chatflow(warehouse: HandWritten) -> HandWritten:
    """An advanced-chat app whose day was read whole by one run."""
    warehouse.app("advanced-chat")
    warehouse.read_day()
    warehouse.end_run()
    return warehouse


@pytest.fixture
def chat(warehouse: HandWritten) -> HandWritten:
    """The same for a chat app."""
    warehouse.app("chat")
    warehouse.read_day()
    warehouse.end_run()
    return warehouse


@pytest.fixture
def workflow(warehouse: HandWritten) -> HandWritten:
    """The same for a workflow app."""
    warehouse.app("workflow")
    warehouse.read_day()
    warehouse.end_run()
    return warehouse


def test_same_figure_is_equal(chatflow: HandWritten) -> None:
    """Both sides and their difference are shown."""
    chatflow.message()
    chatflow.dify_says("daily_messages", 1, unit="messages")
    row = row_of(chatflow)
    assert (row["dify_figure"], row["our_figure"], row["difference"]) == (1, 1, 0)
    assert (row["unit"], row["verdict"]) == ("messages", "equal")


def test_lost_row_differs(chatflow: HandWritten) -> None:
    """One message less than Dify counts differs, and the command reads the app again."""
    chatflow.message()
    chatflow.dify_says("daily_messages", 2)
    row = row_of(chatflow)
    assert (row["verdict"], row["difference"]) == ("differs", -1)
    assert row["command"] == (
        "dify-etl sync --full --app app --feed daily_statistics "
        "--feed conversations --feed messages"
    )


def test_command_is_one_word_per_id(warehouse: HandWritten) -> None:
    """People paste it into a shell: what a server calls its app is no command there."""
    odd = "x'; touch y #"
    warehouse.app("chat", odd)
    warehouse.read_day(app_id=odd)
    warehouse.end_run()
    warehouse.message(app_id=odd)
    warehouse.dify_says("daily_messages", 2, app_id=odd)
    command = row_of(warehouse)["command"]
    assert shlex.split(command)[:5] == ["dify-etl", "sync", "--full", "--app", odd]


def test_figure_without_rows_differs(chatflow: HandWritten) -> None:
    """Dify has a figure for a day without a row of ours."""
    chatflow.dify_says("daily_messages", 2)
    row = row_of(chatflow)
    assert (row["verdict"], row["our_figure"], row["difference"]) == ("differs", None, -2)


def test_rows_without_a_figure_differ(chatflow: HandWritten) -> None:
    """Rows of ours on a day for which Dify shows no figure, or shows none any more."""
    chatflow.message()
    chatflow.dify_says("token_count", None)
    assert verdict(chatflow) == "differs"
    assert verdict(chatflow, "token_count") == "differs"


def test_day_whose_statistics_were_not_read_has_no_row(chatflow: HandWritten) -> None:
    """Nothing is said of a day until Dify was asked for its figures."""
    chatflow.message(created_at=NOON + timedelta(days=1))
    chatflow.read_day(DAY + timedelta(days=1), feeds=("messages",))
    assert chatflow.rows_of(MART) == []


def test_days_of_another_zone_have_no_row(chatflow: HandWritten) -> None:
    """Figures that were read for another zone's days are of other days."""
    chatflow.dify_says("daily_messages", 5, account_timezone="UTC")
    assert chatflow.rows_of(MART) == []


@pytest.mark.parametrize(
    ("version", "mode", "expected"),
    [
        ("1.12.1", "chat", "explained"),
        ("1.9.0", "completion", "explained"),
        ("1.8.1", "chat", "differs"),
        ("1.12.1", "advanced-chat", "differs"),
    ],
)
def test_debugging_is_left_out_since_1_9(
    warehouse: HandWritten, version: str, mode: str, expected: str
) -> None:
    """Lists hold debugging and figures do not; those of chatflows never hold it."""
    warehouse.app(mode)
    warehouse.read_day()
    talk(warehouse, "asked")
    talk(warehouse, "debugged", messages=2, message_tokens=7, **CONSOLE)
    dify_counts(warehouse, version)
    row = row_of(warehouse)
    assert row["verdict"] == expected
    assert expected == "differs" or row["left_out_rows"] == 2


def test_reason_names_rows_rule_and_version(chat: HandWritten) -> None:
    """How many of which rows, which version, and since when it counts so."""
    talk(chat, "asked")
    talk(chat, "debugged", messages=2, **CONSOLE)
    talk(chat, "old", message_tokens=3)
    dify_counts(chat)
    assert row_of(chat)["reason"] == (
        "Dify 1.12.1 leaves out 2 messages of accounts as debugging and 1 messages as old rows "
        "without invoke_from (its rule since 1.9.0); they are marked in marts.conversation_days."
    )


def test_explored_rows_are_counted(chat: HandWritten) -> None:
    """Of two talks of accounts the tokens tell which one was debugging."""
    talk(chat, "asked")
    talk(chat, "debugged", message_tokens=5, **CONSOLE)
    talk(chat, "explored", message_tokens=6, **CONSOLE)
    dify_counts(chat, daily_messages=2, daily_conversations=2, token_count=30 + 26)
    rows = chat.rows_of("marts.conversation_days", "left_out_reason IS NOT NULL")
    assert [(row["conversation_id"], row["left_out_reason"]) for row in rows] == [
        ("debugged", "debugging")
    ]


@pytest.mark.parametrize("talks", [1, 12])
def test_database_tells_which_talks_are_left_out(chat: HandWritten, talks: int) -> None:
    """Of equal talks of accounts those are left out that are debugging by Dify's database, of few
    and of many, and that is certain. Prices that it tells are no price that Dify does not show.
    """
    charged: dict[str, Any] = {"charged_price": "0.01", "charged_currency": "USD"}
    for number in range(talks):
        talk(chat, f"a{number:02}", **CONSOLE, **charged, invoke_from="debugger")
        talk(chat, f"b{number:02}", **CONSOLE, **charged, invoke_from="explore")
    talk(chat, "old", **charged)
    told: dict[str, Any] = {"daily_messages": talks, "daily_conversations": talks}
    dify_counts(chat, **told, daily_end_users=0, token_count=30 * talks)
    chat.dify_says("total_price", talks / 100)
    chat.dify_says("average_session_interactions", 1)
    rows = chat.rows_of("marts.conversation_days")
    assert {row["conversation_id"]: row["left_out_reason"] for row in rows} == {
        **{f"a{number:02}": "debugging" for number in range(talks)},
        **{f"b{number:02}": None for number in range(talks)},
        "old": "no invoke_from",
    }
    assert {row["is_certain"] for row in rows} == {True}
    assert row_of(chat)["reason"] == (
        f"Dify 1.12.1 leaves out {talks} messages of accounts as debugging and 1 messages as old "
        "rows without invoke_from (its rule since 1.9.0); they are marked in "
        "marts.conversation_days."
    )
    verdicts = {row["metric"]: row["verdict"] for row in chat.rows_of(MART)}
    assert verdicts["total_price"] == verdicts["average_session_interactions"] == "equal"
    assert verdicts["daily_messages"] == verdicts["token_count"] == "explained"


def test_database_tells_a_part_of_a_talk(chat: HandWritten) -> None:
    """Messages of one conversation from before callers were noted, and from after: Dify counts the
    conversation, and of its messages those that have a caller.
    """
    chat.add("raw.conversations", conversation_id="long", app_id="app", created_at=NOON)
    for invoke_from in (None, None, "service-api"):
        chat.message("long", charged_price="0.01", charged_currency="USD", invoke_from=invoke_from)
    dify_counts(chat)
    chat.dify_says("average_session_interactions", 1)
    assert {row["verdict"] for row in chat.rows_of(MART, "metric LIKE 'daily%'")} == {
        *("equal", "explained")
    }
    row = row_of(chat, "average_session_interactions")
    assert (row["verdict"], row["our_figure"], row["left_out_rows"]) == ("explained", 3, 2)


def test_what_the_database_does_not_tell_is_found_by_the_figures(chat: HandWritten) -> None:
    """Of talks that the API brought the rest of the figures tells which are debugging."""
    talk(chat, "a", **CONSOLE, charged_currency="USD", invoke_from="debugger")
    talk(chat, "b", **CONSOLE, message_tokens=7)
    talk(chat, "c", **CONSOLE, message_tokens=8)
    dify_counts(chat, daily_end_users=0, token_count=28)
    found = chat.rows_of("marts.conversation_days", "NOT is_counted")
    assert [row["conversation_id"] for row in found] == ["a", "b"]


def test_end_users_tell_which_talk_is_left_out(warehouse: HandWritten) -> None:
    """Unopened logs tell no tokens: that an end user is lacking shows that Explore was counted and
    an old row was not.
    """
    warehouse.app("completion")
    warehouse.read_day()
    warehouse.end_run()
    unopened: dict[str, Any] = {"message_id": None, "message_tokens": None, "answer_tokens": None}
    talk(warehouse, "asked", **unopened, from_end_user_id="ada")
    talk(warehouse, "again", **unopened, from_end_user_id="ada")
    talk(warehouse, "old", **unopened, from_end_user_id="bob")
    talk(warehouse, "explored", **unopened, **CONSOLE)
    dify_counts(warehouse, daily_messages=3, daily_conversations=3, daily_end_users=1)
    found = warehouse.rows_of("marts.conversation_days", "NOT is_counted")
    assert [(row["conversation_id"], row["left_out_reason"]) for row in found] == [
        ("old", "no invoke_from")
    ]
    assert verdict(warehouse, "daily_end_users") == "explained"


def test_of_many_talks_the_one_whose_end_user_is_lacking(chat: HandWritten) -> None:
    """Of more than ten equal talks that is left out with which as many end users go."""
    for number in range(11):
        talk(chat, f"talk {number:02}", from_end_user_id="ada")
    talk(chat, "talk 11", from_end_user_id="bob")
    dify_counts(chat, daily_messages=11, daily_conversations=11, daily_end_users=1, token_count=330)
    found = chat.rows_of("marts.conversation_days", "NOT is_counted")
    assert [row["conversation_id"] for row in found] == ["talk 11"]


def test_what_is_left_out_must_fit_in_every_figure(chat: HandWritten) -> None:
    """A message more or less, or other tokens, are not excused by debugging of the same day."""
    talk(chat, "asked")
    talk(chat, "debugged", messages=2, **CONSOLE)
    dify_counts(chat, token_count=31)
    assert verdict(chat, "daily_messages") == "explained"
    assert verdict(chat, "token_count") == "differs"


def test_many_talks_are_tried_by_twos(chat: HandWritten) -> None:
    """Of more than ten talks two old ones are found, or all but two."""
    for number in range(12):
        talk(chat, f"talk {number:02}", message_tokens=10 + number * number)
    lacking = sum(20 + 10 + number * number for number in (3, 7))
    total = sum(30 + number * number for number in range(12))
    dify_counts(chat, daily_messages=10, daily_conversations=10, token_count=total - lacking)
    found = chat.rows_of("marts.conversation_days", "NOT is_counted")
    assert [row["conversation_id"] for row in found] == ["talk 03", "talk 07"]
    assert verdict(chat) == "explained"


def test_many_talks_are_tried_but_for_two(chat: HandWritten) -> None:
    """Figures that count two of twelve tell which two."""
    for number in range(12):
        talk(chat, f"talk {number:02}", message_tokens=10 + number * number)
    counted = sum(20 + 10 + number * number for number in (3, 7))
    dify_counts(chat, daily_messages=2, daily_conversations=2, token_count=counted)
    found = chat.rows_of("marts.conversation_days", "is_counted")
    assert [row["conversation_id"] for row in found] == ["talk 03", "talk 07"]
    assert {row["is_certain"] for row in found} == {True}


@pytest.mark.parametrize("others", [2, 12])
@pytest.mark.parametrize("values", [CONSOLE, {}], ids=["accounts", "others"])
def test_one_of_several_equal_talks_is_left_out_without_certainty(
    chat: HandWritten, values: dict[str, Any], others: int
) -> None:
    """Each of them would fit: the first is taken, and that it is not certain is said. The same of
    few and of many.
    """
    for number in range(others):
        talk(chat, f"equal {number:02}", **values)
    talk(chat, "unlike", message_tokens=77, **values)
    told: dict[str, Any] = {"daily_messages": others, "daily_conversations": others}
    dify_counts(chat, **told, token_count=30 * (others - 1) + 97)
    rows = chat.rows_of("marts.conversation_days")
    assert [row["conversation_id"] for row in rows if not row["is_counted"]] == ["equal 00"]
    assert {row["is_certain"] for row in rows} == {False}


def test_one_of_unlike_talks_is_left_out_with_certainty(chat: HandWritten) -> None:
    """No other would fit."""
    talk(chat, "one", message_tokens=5, **CONSOLE)
    talk(chat, "other", message_tokens=6, **CONSOLE)
    dify_counts(chat, daily_messages=1, daily_conversations=1, token_count=26)
    rows = chat.rows_of("marts.conversation_days")
    assert [row["conversation_id"] for row in rows if not row["is_counted"]] == ["one"]
    assert {row["is_certain"] for row in rows} == {True}


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"daily_messages": 9, "daily_conversations": 9}, "explained"),
        ({"daily_messages": 11, "daily_conversations": 9}, "differs"),
    ],
)
def test_of_too_many_talks_the_number_must_fit(
    chat: HandWritten, told: dict[str, Any], expected: str
) -> None:
    """Of which three of twelve are left out nothing is known, but each has a message at least."""
    for number in range(12):
        talk(chat, f"talk {number:02}", message_tokens=10 + number * number)
    dify_counts(chat, **told, token_count=1)
    assert verdict(chat) == expected
    assert verdict(chat, "daily_conversations") == "explained"
    assert chat.rows_of("marts.conversation_days", "NOT is_counted") == []


def test_one_of_thousands_of_talks_is_left_out(chat: HandWritten) -> None:
    """Their pairs are millions, and only one in thousands of these is of any use."""
    many = 2000
    talk(chat, "talk ", message_tokens=10, message_id="message ")
    for table, other in (
        ("raw.conversations", ""),
        ("raw.messages", ", message_id || n AS message_id, message_tokens + n AS message_tokens"),
    ):
        chat.execute(
            f"CREATE TABLE other AS SELECT t.* REPLACE (conversation_id || n AS conversation_id"
            f"{other}) FROM {table} AS t, range(1, {many}) AS r(n)"
        )
        chat.execute(f"INSERT INTO {table} FROM other")
        chat.execute("DROP TABLE other")
    tokens = sum(30 + number for number in range(many) if number != 77)
    dify_counts(chat, daily_messages=many - 1, daily_conversations=many - 1, token_count=tokens)
    found = chat.rows_of("marts.conversation_days", "NOT is_counted")
    assert [row["conversation_id"] for row in found] == ["talk 77"]
    assert found[0]["is_certain"]
    query = models_behind("marts.conversation_days")[-1].query
    ((_, profile),) = chat.database.rows(f"EXPLAIN (ANALYZE, FORMAT json) {query}")
    joined = [int(rows) for rows in re.findall(r'"intermediate_rows": (\d+)', profile)]
    assert many <= max(joined) <= 10 * many


def test_unlisted_talk_is_no_debugging(chat: HandWritten) -> None:
    """A talk that no list of Dify shows is explained by no rule."""
    talk(chat, "asked")
    chat.message("invented", message_tokens=3)
    dify_counts(chat)
    assert verdict(chat) == "differs"
    assert verdict(chat, "daily_conversations") == "differs"


def test_day_of_nothing_but_debugging_is_explained(chat: HandWritten) -> None:
    """Dify shows no figure for a day on which somebody only debugged."""
    talk(chat, "debugged", **CONSOLE)
    assert verdict(chat) == "explained"
    assert verdict(chat, "daily_end_users") == "equal"
    assert verdict(chat, "tokens_per_second") == "explained"


@pytest.mark.parametrize(
    ("version", "told", "expected"),
    [("1.6.0", 1, "differs"), ("1.7.0", 1, "explained"), ("1.7.2", 3, "differs")],
)
def test_conversations_leave_debugging_out_since_1_7(
    chat: HandWritten, version: str, told: int, expected: str
) -> None:
    """Two years before the other figures; more than are held is never explained."""
    talk(chat, "asked")
    talk(chat, "debugged", **CONSOLE)
    dify_counts(chat, version, daily_conversations=told, daily_messages=2)
    assert verdict(chat, "daily_conversations") == expected
    assert verdict(chat, "daily_messages") == "equal"


@pytest.mark.parametrize(("told", "expected"), [(3, "explained"), (4, "differs")])
def test_debugging_of_chatflows_shows_in_its_runs(
    chatflow: HandWritten, told: int, expected: str
) -> None:
    """Before 1.9 Dify counts it, no list shows its messages, and each is a run."""
    chatflow.message()
    for _ in range(2):
        chatflow.run(triggered_from="debugging", created_by_account_id="ada")
    dify_counts(chatflow, "1.7.2", daily_messages=told)
    assert verdict(chatflow) == expected


@pytest.mark.parametrize(
    "metric",
    ["user_satisfaction_rate", "tokens_per_second", "average_session_interactions"],
)
def test_rates_of_a_day_of_debugging_alone(chatflow: HandWritten, metric: str) -> None:
    """Before 1.9 a day on which a chatflow was debugged and not used has all figures."""
    chatflow.run(triggered_from="debugging", total_tokens=5)
    chatflow.dify_says("daily_messages", 1, server_version="1.0.0")
    chatflow.dify_says(metric, 2.5, server_version="1.0.0")
    assert verdict(chatflow) == "explained"
    assert verdict(chatflow, metric) == "explained"


def test_runs_that_old_servers_list_nowhere(workflow: HandWritten) -> None:
    """Before 1.9.2 a run that another workflow called has no log row, and is counted."""
    workflow.run()
    for metric, value in (("workflow_daily_runs", 2), ("workflow_token_count", 250)):
        workflow.dify_says(metric, value, server_version="1.7.2")
    workflow.dify_says("workflow_daily_terminals", 1, server_version="1.7.2")
    row = row_of(workflow, "workflow_daily_runs")
    assert (row["verdict"], row["unlisted_rows"]) == ("explained", 1)


@pytest.mark.parametrize(
    ("version", "node_of", "expected"),
    [
        ("1.7.2", None, "explained"),
        ("1.7.2", "run 1", "explained"),
        ("1.7.2", "a lost run", "differs"),
        ("1.9.2", None, "differs"),
    ],
)
def test_run_that_its_nodes_name_is_lost(
    workflow: HandWritten, version: str, node_of: str | None, expected: str
) -> None:
    """No rule explains a missing run whose nodes are held; since 1.9.2 all runs are listed."""
    workflow.run(workflow_run_id="run 1")
    if node_of is not None:
        workflow.node(node_of)
    for metric, value in (
        ("workflow_daily_runs", 2),
        ("workflow_token_count", 250),
        ("workflow_daily_terminals", 1),
    ):
        workflow.dify_says(metric, value, server_version=version)
    assert verdict(workflow, "workflow_daily_runs") == expected


def test_run_too_many_differs(workflow: HandWritten) -> None:
    """Rules explain runs that are missing here, never one that Dify does not count."""
    workflow.run()
    workflow.run()
    workflow.dify_says("workflow_daily_runs", 1, server_version="1.7.2")
    assert verdict(workflow, "workflow_daily_runs") == "differs"


def test_runs_of_unknown_creators(workflow: HandWritten) -> None:
    """A run whose creator is gone may be of one more person, and of no two."""
    workflow.run()
    workflow.run(created_by_end_user_id=None)
    workflow.dify_says("workflow_daily_runs", 2)
    workflow.dify_says("workflow_daily_terminals", 2)
    assert verdict(workflow, "workflow_daily_terminals") == "explained"
    workflow.dify_says("workflow_daily_terminals", 3, read_at=RUN_ENDED + timedelta(seconds=1))
    assert verdict(workflow, "workflow_daily_terminals") == "differs"


@pytest.mark.parametrize(("tokens", "expected"), [(45, "explained"), (29, "differs")])
def test_unopened_logs_tell_no_tokens(warehouse: HandWritten, tokens: int, expected: str) -> None:
    """That there are messages is known; their tokens are what the others leave, if they do."""
    warehouse.app("completion")
    warehouse.read_day(feeds=("daily_statistics", "conversations"))
    warehouse.read_day(feeds=("messages",), state="unproven")
    talk(warehouse, "opened")
    closed: dict[str, Any] = {"message_id": None, "message_source": "list", "latency_seconds": None}
    talk(warehouse, "closed", message_tokens=None, answer_tokens=None, **closed)
    dify_counts(warehouse, daily_messages=2, daily_conversations=2, token_count=tokens)
    assert verdict(warehouse) == "equal"
    assert verdict(warehouse, "token_count") == expected


def test_lost_completion_log_differs(warehouse: HandWritten) -> None:
    """The lists of completion apps prove the number of messages, opened or not."""
    warehouse.app("completion")
    warehouse.read_day(feeds=("daily_statistics", "conversations"))
    warehouse.read_day(feeds=("messages",), state="unproven")
    warehouse.message(message_id=None)
    warehouse.dify_says("daily_messages", 2)
    assert verdict(warehouse) == "differs"


@pytest.mark.parametrize(
    ("marks", "words"),
    [
        ({"state": "incomplete", "reason": "98 of 100"}, "not read whole (messages): 98 of 100"),
        ({"is_settled": False}, "less than 24 hours after its end"),
        ({"run_id": "earlier", "read_at": RUN_ENDED - timedelta(days=1)}, "by a later run"),
    ],
)
def test_difference_may_be_late(warehouse: HandWritten, marks: dict[str, Any], words: str) -> None:
    """Reads that are unproven, too early, or older than Dify's figure; the reason says which."""
    warehouse.app("advanced-chat")
    warehouse.read_day(feeds=("daily_statistics",))
    warehouse.read_day(feeds=("messages",), **marks)
    warehouse.message()
    warehouse.dify_says("daily_messages", 2)
    row = row_of(warehouse)
    assert row["verdict"] == "late"
    assert words in row["reason"]


def test_change_after_the_figure_is_late(chatflow: HandWritten) -> None:
    """A message that was found deleted after the run still counts in the older figure."""
    chatflow.message()
    chatflow.message(absent_since=RUN_ENDED + timedelta(hours=1))
    chatflow.dify_says("daily_messages", 2)
    row = row_of(chatflow)
    assert row["verdict"] == "late"
    assert row["reason"].startswith("1 rows of the day changed")


def test_deleted_rows_that_dify_still_counts(chatflow: HandWritten) -> None:
    """Messages of a conversation that is gone may stay in Dify's tables."""
    chatflow.message()
    chatflow.message(absent_since=NOON)
    chatflow.dify_says("daily_messages", 2)
    row = row_of(chatflow)
    assert (row["verdict"], row["absent_rows"]) == ("explained", 1)


@pytest.mark.parametrize(("rate", "expected"), [(333.34, "equal"), (333.40, "differs")])
def test_rounding_is_no_difference(chatflow: HandWritten, rate: float, expected: str) -> None:
    """Rates agree when they agree but for the last digit that Dify shows."""
    for name in ("liked", "plain", "other"):
        chatflow.message(message_id=name)
    chatflow.like("liked")
    chatflow.dify_says("user_satisfaction_rate", rate)
    assert verdict(chatflow, "user_satisfaction_rate") == expected


PRICED: dict[str, Any] = {"total_price": "0.5", "total_tokens": 30, "currency": "USD"}


@pytest.mark.parametrize(
    ("told", "expected"), [("0.5", "equal"), ("0.4999999", "differs"), ("0.5000001", "differs")]
)
def test_prices_are_compared_to_the_last_digit(
    chatflow: HandWritten, told: str, expected: str
) -> None:
    """Where every message tells its price, a digit too many or too few differs."""
    chatflow.message(**PRICED)
    chatflow.dify_says("total_price", float(told))
    assert verdict(chatflow, "total_price") == expected


def test_shared_out_price_is_explained(chat: HandWritten) -> None:
    """Messages of chat apps tell no price: what they are given is told."""
    chat.message()
    chat.dify_says("total_price", 0.25)
    row = row_of(chat, "total_price")
    assert (row["verdict"], row["untold_rows"], row["difference"]) == ("explained", 1, 0)


@pytest.mark.parametrize(("told", "expected"), [(9, "explained"), (7, "differs")])
def test_day_of_two_currencies(chatflow: HandWritten, told: float, expected: str) -> None:
    """Nothing is shared out to a message without a price, and the others cost no more than Dify
    says: a sum that is too large is no matter of currencies.
    """
    chatflow.message(**PRICED | {"total_price": "1"})
    chatflow.message(**PRICED | {"total_price": "7", "currency": "RMB"})
    chatflow.message()
    chatflow.dify_says("total_price", told)
    row = row_of(chatflow, "total_price")
    assert row["verdict"] == expected
    assert expected == "differs" or row["reason"] == (
        "Dify 1.12.1 adds currencies as if they were one, so nothing is shared out: it shows no "
        "price of 1 messages."
    )


def test_figure_that_shrank_is_explained(chatflow: HandWritten) -> None:
    """Money that Dify forgot with a deleted row was charged all the same."""
    chatflow.message(**PRICED)
    chatflow.message(**(PRICED | {"total_price": "0.25"}), absent_since=NOON)
    chatflow.dify_says("total_price", 0.75, read_at=NOON)
    chatflow.dify_says("total_price", 0.5)
    row = row_of(chatflow, "total_price")
    assert (row["verdict"], row["difference"]) == ("explained", pytest.approx(0.25))


def test_mart_has_the_workspace(chatflow: HandWritten) -> None:
    """Homes with several workspaces tell their rows apart."""
    chatflow.execute("UPDATE ops.source SET workspace_id = 'acme'")
    chatflow.message()
    assert row_of(chatflow)["workspace_id"] == "acme"
