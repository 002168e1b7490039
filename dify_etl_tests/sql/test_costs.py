"""Where the money of marts.costs comes from, and whose it is: rows written by hand."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from json import dumps
from typing import Any

import pytest

from dify_etl_tests.sql.hand_written import DAY, NOON, RUN_ENDED, HandWritten

MART = "marts.costs"
EDITOR = {"from_source": "console", "from_end_user_id": None, "from_account_id": "editor"}
Found = dict[tuple[Any, ...], Decimal | None]


def costs(warehouse: HandWritten, *columns: str, where: str = "true") -> Found:
    """The price by these columns; rows with the same values must not come twice."""
    found: Found = {}
    for row in warehouse.rows_of(MART, where):
        key = tuple(row[name] for name in columns)
        assert key not in found
        found[key] = row["total_price"]
    return found


def in_figure(warehouse: HandWritten) -> Decimal:
    """What the rows of Dify's figure add up to."""
    rows = warehouse.rows_of(MART, "is_in_dify_figure AND total_price IS NOT NULL")
    return sum((row["total_price"] for row in rows), Decimal(0))


def model_call(
    model: str = "gpt-4o", prompt: int = 1000, answer: int = 100, currency: str = "USD"
) -> dict[str, Any]:
    """A node that asked a model at 2.5 and 10 for a million tokens."""
    price = prompt * Decimal("0.0000025") + answer * Decimal("0.00001")
    usage = {
        "prompt_tokens": prompt,
        "prompt_unit_price": "2.5",
        "prompt_price_unit": "0.000001",
        "completion_tokens": answer,
        "completion_unit_price": "10",
        "completion_price_unit": "0.000001",
        "currency": currency,
    }
    told = {"model_provider": "langgenius/openai/openai", "model_name": model, "usage": usage}
    return {
        "process_data": dumps(told),
        "total_tokens": prompt + answer,
        "total_price": price,
        "currency": currency,
    }


def show_prices(warehouse: HandWritten, model: str = "gpt-4o", currency: str = "USD") -> None:
    """Let a workflow of this workspace show what a model costs."""
    warehouse.app("workflow", "flow")
    run = warehouse.run(app_id="flow")
    warehouse.node(run, app_id="flow", **model_call(model, currency=currency))


def charged(price: str, invoke_from: str | None) -> dict[str, Any]:
    """What Dify's database tells of a message to gpt-4o; an account explores and debugs."""
    told = {"charged_price": price, "charged_currency": "USD", "invoke_from": invoke_from}
    model = {"model_provider": "langgenius/openai/openai", "model_id": "gpt-4o"}
    return told | model | (EDITOR if invoke_from in ("explore", "debugger") else {})


@pytest.fixture
def chat(warehouse: HandWritten) -> HandWritten:
    """A chat app with the model gpt-4o whose day was read."""
    warehouse.app("chat", model="gpt-4o")
    warehouse.read_day()
    return warehouse


@pytest.fixture
def chatflow(warehouse: HandWritten) -> HandWritten:
    """An advanced-chat app whose day was read."""
    warehouse.app("advanced-chat")
    warehouse.read_day()
    return warehouse


def test_price_is_that_of_the_message(chat: HandWritten) -> None:
    """What a message tells is taken as it is, with its model and person."""
    chat.message(total_price="0.0000123", total_tokens=30, currency="USD")
    row = chat.one_row_of(MART)
    told = ("model", "provider", "model_source", "person_id", "price_source", "currency")
    assert [row[name] for name in told] == [
        *("gpt-4o", "langgenius/openai/openai", "app configuration", "user", "message", "USD")
    ]
    assert (row["total_price"], row["is_estimate"]) == (Decimal("0.0000123"), False)
    assert (row["messages"], row["prompt_tokens"], row["completion_tokens"]) == (1, 10, 20)


def test_price_of_the_database_comes_first(chat: HandWritten) -> None:
    """What was charged, with its model, whatever the message tells; nothing is estimated."""
    chat.message(
        total_price="0.5",
        total_tokens=30,
        currency="USD",
        charged_price="0.0000124",
        charged_currency="RMB",
        model_provider="langgenius/deepseek/deepseek",
        model_id="deepseek-chat",
        invoke_from="web-app",
    )
    row = chat.one_row_of(MART, "is_in_dify_figure")
    told = ("model", "provider", "model_source", "price_source", "currency", "is_estimate")
    assert [row[name] for name in told] == [
        *("deepseek-chat", "langgenius/deepseek/deepseek", "message", "database", "RMB", False)
    ]
    assert row["total_price"] == Decimal("0.0000124")


def test_what_the_database_says_is_free_is_free(chat: HandWritten) -> None:
    """A price of 0 with tokens: no unit price of elsewhere is put in its place."""
    show_prices(chat)
    chat.message(**charged("0", "service-api"), message_tokens=2000, answer_tokens=300)
    row = chat.one_row_of(MART, "app_id = 'app' AND is_in_dify_figure")
    assert (row["price_source"], row["total_price"]) == ("database", 0)


def test_nothing_known_is_counted_and_has_no_price(chat: HandWritten) -> None:
    """Without a price and without a figure of Dify's a message is unknown, never 0."""
    chat.message()
    row = chat.one_row_of(MART)
    assert (row["price_source"], row["total_price"], row["currency"]) == ("unknown", None, None)
    assert (row["messages"], row["total_tokens"]) == (1, 30)


def test_tokens_are_priced_as_the_model_showed_elsewhere(chat: HandWritten) -> None:
    """A node of another app showed what gpt-4o costs: the messages of a chat cost that."""
    show_prices(chat)
    chat.message(message_tokens=2000, answer_tokens=300)
    chat.dify_says("total_price", 0.008)
    row = chat.one_row_of(MART, "app_id = 'app'")
    assert (row["price_source"], row["is_estimate"]) == ("unit_price", True)
    assert (row["total_price"], row["currency"]) == (Decimal("0.008"), "USD")
    assert row["is_in_dify_figure"] is True


def unit_prices(prompt: str, completion: str) -> dict[str, str]:
    """Prices of 1,000 tokens, as the database tells them: in four digits."""
    return {
        "charged_prompt_unit_price": prompt,
        "charged_prompt_price_unit": "0.001",
        "charged_completion_unit_price": completion,
        "charged_completion_price_unit": "0.001",
    }


def test_unit_prices_of_the_database_price_others(chat: HandWritten) -> None:
    """A message that the API read, and Dify deleted before its database was read, costs what its
    model does by the rows of the database.
    """
    told = charged("0.0035", "web-app") | unit_prices("0.0025", "0.01")
    chat.message(**told, message_tokens=1000, answer_tokens=100)
    chat.message(message_tokens=2000, answer_tokens=300, absent_since=NOON)
    assert costs(chat, "price_source", "is_estimate") == {
        ("database", False): Decimal("0.0035"),
        ("unit_price", True): Decimal("0.008"),
    }


def test_unit_prices_that_the_database_rounded_price_nothing(chat: HandWritten) -> None:
    """0.00015 for 1,000 tokens stands as 0.0002 in Dify's table, a third too much: a price that it
    does not give is none that the model showed.
    """
    told = charged("0.00021", "web-app") | unit_prices("0.0002", "0.0006")
    chat.message(**told, message_tokens=1000, answer_tokens=100)
    chat.message(message_tokens=2000, answer_tokens=300)
    assert costs(chat, "price_source") == {
        ("database",): Decimal("0.00021"),
        ("unknown",): None,
    }


def test_prices_of_the_nearest_day_count(chat: HandWritten) -> None:
    """A model that became cheaper is priced as it was near that day."""
    show_prices(chat)
    cheap = model_call() | {"created_at": NOON + timedelta(days=9)}
    told = cheap["process_data"].replace('"2.5"', '"1.25"')
    run = chat.run(app_id="flow", created_at=NOON + timedelta(days=9))
    chat.node(run, app_id="flow", **(cheap | {"process_data": told}))
    chat.read_day(DAY + timedelta(days=7))
    for days in (0, 7):
        chat.message(message_tokens=1000, answer_tokens=0, created_at=NOON + timedelta(days=days))
    found = costs(chat, "usage_date", where="app_id = 'app'")
    assert list(found.values()) == [Decimal("0.0025"), Decimal("0.00125")]


def test_of_two_days_as_near_the_earlier_counts(chat: HandWritten) -> None:
    """So that a later night changes no price of a day that is settled."""
    for days, unit in ((-2, '"2.5"'), (2, '"1.25"')):
        at = NOON + timedelta(days=days)
        call = model_call() | {"created_at": at}
        run = chat.run(app_id="flow", created_at=at)
        told = call["process_data"].replace('"2.5"', unit)
        chat.node(run, app_id="flow", **(call | {"process_data": told}))
    chat.app("workflow", "flow")
    chat.message(message_tokens=1000, answer_tokens=0)
    assert costs(chat, "app_id", where="app_id = 'app'") == {("app",): Decimal("0.0025")}


def test_rest_of_the_figure_is_shared_out_by_tokens(chat: HandWritten) -> None:
    """Dify tells the day alone: each person gets the part of its tokens, to the last digit."""
    for person, tokens in (("ada", 10), ("bob", 20), ("eve", 40)):
        chat.message(from_end_user_id=person, message_tokens=tokens, answer_tokens=0)
    chat.dify_says("total_price", 0.0000101)
    chat.dify_says("token_count", 70)
    found = costs(chat, "person_id", "price_source", "is_estimate", "currency")
    assert found == {
        ("ada", "allocated", True, "unknown"): Decimal("0.0000014"),
        ("bob", "allocated", True, "unknown"): Decimal("0.0000029"),
        ("eve", "allocated", True, "unknown"): Decimal("0.0000058"),
    }
    assert in_figure(chat) == Decimal("0.0000101")


def test_remainder_goes_to_the_largest_rows(chat: HandWritten) -> None:
    """Three equal shares of 0.0000100: the first by id gets the digit that is left."""
    for number in range(3):
        chat.message(message_id=f"m{number}", from_end_user_id=f"p{number}")
    chat.dify_says("total_price", 0.0000100)
    chat.dify_says("token_count", 90)
    found = costs(chat, "person_id")
    assert [str(found[f"p{number}",])[:9] for number in range(3)] == [
        *("0.0000034", "0.0000033", "0.0000033")
    ]


def test_console_rows_take_no_share(chat: HandWritten) -> None:
    """They may be debugging: what Dify counted of them stays unattributed."""
    chat.message(message_tokens=30, answer_tokens=0)
    chat.message(
        from_source="console",
        from_end_user_id=None,
        from_account_id="editor",
        message_tokens=10,
        answer_tokens=0,
    )
    chat.dify_says("total_price", 0.004)
    chat.dify_says("token_count", 40)
    assert costs(chat, "person_id", "price_source", "difference_reason") == {
        ("user", "allocated", None): Decimal("0.003"),
        ("editor", "unknown", "console"): None,
        (None, "unattributed", None): Decimal("0.001"),
    }


def test_console_rows_are_priced_by_unit_price(chat: HandWritten) -> None:
    """They stand beside Dify's figure, as estimates."""
    show_prices(chat)
    chat.message(from_source="console", from_end_user_id=None, from_account_id="editor")
    row = chat.one_row_of(MART, "app_id = 'app'")
    assert (row["price_source"], row["is_in_dify_figure"]) == ("unit_price", False)
    assert (row["difference_reason"], row["total_price"]) == ("console", Decimal("0.000225"))


def test_database_tells_exploring_from_debugging(chat: HandWritten) -> None:
    """Dify's figure counts Explore, and neither debugging nor rows of which it has no caller; whom
    the database names is who pays, and nothing is shared out or left to nobody.
    """
    chat.message(**charged("0.01", "service-api"))
    chat.message(**charged("0.02", "explore"))
    chat.message(**charged("0.04", "debugger"))
    chat.message(**charged("0.08", None), from_end_user_id="old user")
    chat.dify_says("total_price", 0.03)
    assert costs(chat, "person_id", "is_in_dify_figure", "difference_reason") == {
        ("user", True, None): Decimal("0.01"),
        ("editor", True, None): Decimal("0.02"),
        ("editor", False, "debugging"): Decimal("0.04"),
        ("old user", False, "no invoke_from"): Decimal("0.08"),
    }
    assert {row["price_source"] for row in chat.rows_of(MART)} == {"database"}
    day = chat.one_row_of("marts.app_daily_cost")
    assert (day["total_price"], day["unattributed_share"]) == (Decimal("0.03"), 0)


@pytest.mark.parametrize("is_read", [True, False])
def test_database_tells_exploring_on_days_without_a_figure(
    warehouse: HandWritten, is_read: bool
) -> None:
    """Where Dify told no figure, or the day is not over, Explore is in the sum all the same."""
    warehouse.app("agent-chat", model="gpt-4o")
    warehouse.read_day(is_settled=is_read)
    warehouse.message(**charged("0.02", "explore"))
    warehouse.message(**charged("0.04", "debugger"))
    day = warehouse.one_row_of("marts.app_daily_cost")
    assert (day["total_price"], day["other_price"]) == (Decimal("0.02"), Decimal("0.04"))


def test_old_servers_count_what_the_database_calls_debugging(chat: HandWritten) -> None:
    """Up to 1.8 neither a debugger nor a missing caller takes a row out of Dify's figure."""
    chat.message(**charged("0.04", "debugger"))
    chat.message(**charged("0.08", None))
    chat.dify_says("total_price", 0.12, server_version="1.8.1")
    assert costs(chat, "person_id", "is_in_dify_figure") == {
        ("editor", True): Decimal("0.04"),
        ("user", True): Decimal("0.08"),
    }


def test_old_servers_count_debugging(chat: HandWritten) -> None:
    """Up to 1.8 a row from the console is in Dify's figure as every other."""
    chat.message(from_source="console", from_end_user_id=None, from_account_id="editor")
    chat.dify_says("total_price", 0.004, server_version="1.8.1")
    assert costs(chat, "person_id", "is_in_dify_figure") == {("editor", True): Decimal("0.004")}


def test_estimates_beyond_the_figure_stand_beside_it(chat: HandWritten) -> None:
    """Rows without invoke_from look like all others, and Dify leaves them out since 1.9."""
    show_prices(chat)
    for person in ("ada", "bob"):
        chat.message(from_end_user_id=person, message_tokens=400, answer_tokens=0)
    chat.dify_says("total_price", 0.001)
    found = costs(chat, "person_id", "difference_reason", where="app_id = 'app'")
    assert found == {
        (person, reason): Decimal("0.0005")
        for person in ("ada", "bob")
        for reason in (None, "beyond figure")
    }


def test_largest_figure_counts(chat: HandWritten) -> None:
    """Deletions make past days shrink: the figure that knew most rows is the one to meet."""
    early, late = RUN_ENDED - timedelta(days=3), RUN_ENDED
    chat.message(absent_since=RUN_ENDED - timedelta(days=1))
    chat.message()
    chat.dify_says("total_price", 0.004, read_at=early)
    chat.dify_says("total_price", 0.001, read_at=late)
    assert in_figure(chat) == Decimal("0.004")


def test_rows_deleted_before_dify_counted_stand_beside_its_figure(chatflow: HandWritten) -> None:
    """A message that was gone when Dify counted is not in its figure, and was charged."""
    chatflow.message(total_price="0.25", currency="USD")
    chatflow.message(total_price="0.5", currency="USD", absent_since=NOON)
    chatflow.dify_says("total_price", 0.25)
    assert costs(chatflow, "is_in_dify_figure", "difference_reason") == {
        (True, None): Decimal("0.25"),
        (False, "deleted"): Decimal("0.5"),
    }


def test_messages_that_are_there_come_first(chatflow: HandWritten) -> None:
    """What is there is in the figure whole; of what was deleted later, what is left of it."""
    chatflow.message(message_id="there", total_price="0.25", currency="USD")
    gone: dict[str, Any] = {
        "absent_since": RUN_ENDED + timedelta(days=1),
        "from_end_user_id": "gone",
    }
    chatflow.message(message_id="gone", total_price="0.5", currency="USD", **gone)
    chatflow.dify_says("total_price", 0.5)
    assert costs(chatflow, "person_id", "is_in_dify_figure", "difference_reason") == {
        ("user", True, None): Decimal("0.25"),
        ("gone", True, None): Decimal("0.25"),
        ("gone", False, "beyond figure"): Decimal("0.25"),
    }


def test_money_of_unopened_logs_is_unattributed(warehouse: HandWritten) -> None:
    """Lists of completion apps tell no tokens: what is left of the day has no person."""
    warehouse.app("completion", model="gpt-4o")
    warehouse.read_day()
    warehouse.message("opened", message_tokens=30, answer_tokens=0)
    warehouse.message("closed", message_id=None, message_tokens=None, answer_tokens=None)
    warehouse.dify_says("total_price", 0.004)
    warehouse.dify_says("token_count", 40)
    assert costs(warehouse, "price_source", "person_id", "model", "messages") == {
        ("allocated", "user", "gpt-4o", 1): Decimal("0.003"),
        ("unattributed", None, "gpt-4o", 0): Decimal("0.001"),
        ("unknown", "user", "gpt-4o", 1): None,
    }


def test_day_without_a_row_of_ours_is_unattributed(chat: HandWritten) -> None:
    """Dify tells a figure for a day of which all messages are gone."""
    chat.dify_says("total_price", 0.004)
    row = chat.one_row_of(MART)
    assert (row["price_source"], row["total_price"]) == ("unattributed", Decimal("0.004"))


def test_chatflow_is_charged_once_by_model(chatflow: HandWritten) -> None:
    """A message's price is shared out over the models of its nodes, not added to theirs."""
    run = chatflow.run()
    chatflow.message(workflow_run_id=run, total_price="0.0105", total_tokens=3300, currency="USD")
    chatflow.node(run, **model_call("gpt-4o"))
    chatflow.node(run, **model_call("gpt-4o-mini", prompt=2000, answer=200))
    chatflow.dify_says("total_price", 0.0105)
    assert costs(chatflow, "model", "price_source", "messages") == {
        ("gpt-4o", "message", 0): Decimal("0.0035"),
        ("gpt-4o-mini", "message", 1): Decimal("0.007"),
    }


def test_nodes_of_a_message_that_says_0_stand_beside_the_figure(chatflow: HandWritten) -> None:
    """The model was paid, and neither the message nor Dify's figure knows."""
    run = chatflow.run(status="failed")
    chatflow.message(
        workflow_run_id=run,
        total_price="0",
        total_tokens=0,
        currency="USD",
        message_tokens=0,
        answer_tokens=0,
        status="error",
    )
    chatflow.node(run, **model_call())
    chatflow.dify_says("total_price", 0)
    row = chatflow.one_row_of(MART)
    assert (row["price_source"], row["difference_reason"]) == ("nodes", "message says 0")
    assert (row["total_price"], row["total_tokens"]) == (Decimal("0.0035"), 1100)


def test_nodes_stand_in_for_messages_without_usage(chatflow: HandWritten) -> None:
    """Up to 1.3 chatflows show no usage: the nodes are what Dify's figure adds up."""
    run = chatflow.run()
    chatflow.message(workflow_run_id=run, message_tokens=1000, answer_tokens=100)
    chatflow.node(run, **model_call())
    chatflow.dify_says("total_price", 0.0035, server_version="1.0.0")
    row = chatflow.one_row_of(MART)
    assert (row["price_source"], row["is_in_dify_figure"]) == ("nodes", True)
    assert (row["person_id"], row["model"], row["is_estimate"]) == ("user", "gpt-4o", False)


def test_debugging_of_a_chatflow_stands_beside_the_figure(chatflow: HandWritten) -> None:
    """No list shows its message, its run is there."""
    run = chatflow.run(triggered_from="debugging")
    chatflow.node(run, **model_call())
    row = chatflow.one_row_of(MART)
    assert (row["is_in_dify_figure"], row["difference_reason"]) == (False, "debugging")


def test_debugging_of_a_workflow_is_no_figure_either(warehouse: HandWritten) -> None:
    """Dify has no figure of money for workflows: what people used is the figure."""
    warehouse.app("workflow")
    warehouse.read_day()
    warehouse.node(warehouse.run(triggered_from="debugging"), **model_call())
    warehouse.node(warehouse.run(), **model_call("gpt-4o-mini"))
    assert costs(warehouse, "model", "is_in_dify_figure", "difference_reason") == {
        ("gpt-4o", False, "debugging"): Decimal("0.0035"),
        ("gpt-4o-mini", True, None): Decimal("0.0035"),
    }


def test_nodes_that_cost_more_than_their_message(chatflow: HandWritten) -> None:
    """The message's part is in Dify's figure; what its nodes cost beyond that is not."""
    run = chatflow.run()
    for number in range(3):
        chatflow.node(run, node_execution_id=f"n{number}", **model_call())
    chatflow.message(workflow_run_id=run, total_price="0.0070001", total_tokens=1, currency="USD")
    chatflow.dify_says("total_price", 0.02)
    assert costs(chatflow, "price_source", "is_in_dify_figure", "difference_reason") == {
        ("message", True, None): Decimal("0.0070001"),
        ("nodes", False, "nodes beyond message"): Decimal("0.0034999"),
        ("unattributed", True, None): Decimal("0.0129999"),
    }


def test_iterations_and_loops_repeat_their_nodes(warehouse: HandWritten) -> None:
    """What is around a node tells the sum of what is inside: only the inside counts."""
    warehouse.app("workflow")
    warehouse.read_day()
    run = warehouse.run()
    for kind in ("llm", "iteration", "loop", "tool", "knowledge-retrieval"):
        warehouse.node(run, node_type=kind, total_price="0.25", currency="USD", total_tokens=5)
    row = warehouse.one_row_of(MART)
    assert (row["total_price"], row["node_executions"]) == (Decimal("0.75"), 3)
    assert (row["total_tokens"], row["is_in_dify_figure"]) == (15, True)


@pytest.mark.parametrize(("is_held", "payer"), [(True, "inner"), (False, "app")])
def test_workflow_as_a_tool_is_charged_once(
    warehouse: HandWritten, is_held: bool, payer: str
) -> None:
    """The tool repeats the run inside: it counts where that run is held, else with the tool."""
    warehouse.app("workflow")
    warehouse.read_day()
    warehouse.app("workflow", "inner")
    warehouse.read_day(app_id="inner")
    told = {"total_tokens": 1000, "total_price": "0.01", "currency": "USD"}
    warehouse.node(warehouse.run(), node_type="tool", tool_provider_type="workflow", **told)
    if is_held:
        inside = NOON + timedelta(seconds=1)
        run = warehouse.run(app_id="inner", created_at=inside)
        warehouse.node(run, app_id="inner", created_at=inside, **told)
    assert costs(warehouse, "app_id") == {(payer,): Decimal("0.01")}


def test_zero_that_was_never_computed_is_no_currency(chatflow: HandWritten) -> None:
    """A fixed answer says 0 USD in an app that is charged in RMB: no row of USD."""
    free: dict[str, Any] = {"message_tokens": 0, "answer_tokens": 0, "total_tokens": 0}
    chatflow.message(total_price="0.0018", total_tokens=1500, currency="RMB")
    chatflow.message(total_price="0.0018", total_tokens=1500, currency="RMB")
    chatflow.message(total_price="0", currency="USD", **free)
    chatflow.dify_says("total_price", 0.0036)
    assert costs(chatflow, "currency", "price_source", "messages") == {
        ("RMB", "message", 2): Decimal("0.0036"),
        (None, "unknown", 1): None,
    }


def test_currencies_of_a_day_are_not_compared(chatflow: HandWritten) -> None:
    """Dify adds dollars and yuan: nothing is shared out, and the reason says so."""
    chatflow.message(total_price="1", currency="USD")
    chatflow.message(total_price="7", currency="RMB")
    chatflow.message()
    chatflow.dify_says("total_price", 9)
    assert costs(chatflow, "currency", "is_in_dify_figure", "difference_reason") == {
        ("USD", True, "mixed currencies"): 1,
        ("RMB", True, "mixed currencies"): 7,
        (None, True, "mixed currencies"): None,
    }


def test_message_of_two_currencies_costs_what_its_nodes_do(chatflow: HandWritten) -> None:
    """Dify adds nodes as if they were of one currency, and names that of the last one."""
    run = chatflow.run()
    chatflow.node(run, **model_call("gpt-4o", currency="USD"))
    chatflow.node(run, **model_call("yi", prompt=2000, answer=0, currency="RMB"))
    told: dict[str, Any] = {"workflow_run_id": run, "message_tokens": 3000, "answer_tokens": 100}
    chatflow.message(total_price="0.0085", total_tokens=3100, currency="RMB", **told)
    chatflow.dify_says("total_price", 0.0085)
    assert costs(chatflow, "model", "currency", "is_in_dify_figure", "difference_reason") == {
        ("gpt-4o", "USD", True, "mixed currencies"): Decimal("0.0035"),
        ("yi", "RMB", True, "mixed currencies"): Decimal("0.005"),
    }
    rows = chatflow.rows_of(MART)
    assert sum(row["total_tokens"] for row in rows) == 3100


def test_nodes_of_a_free_message_are_in_no_figure_of_two_currencies(chatflow: HandWritten) -> None:
    """Nothing is left of such a day's figure that they could be in."""
    run = chatflow.run()
    chatflow.node(run, **model_call())
    chatflow.message(workflow_run_id=run, message_tokens=0, answer_tokens=0, status="error")
    chatflow.message(total_price="1", total_tokens=30, currency="USD")
    chatflow.message(total_price="7", total_tokens=30, currency="RMB")
    chatflow.dify_says("total_price", 8)
    assert in_figure(chatflow) == 8
    found = costs(chatflow, "price_source", "is_in_dify_figure", "difference_reason", "currency")
    assert found["nodes", False, "message says 0", "USD"] == Decimal("0.0035")


@pytest.mark.parametrize("status", ["normal", "error", "paused"])
def test_tokens_beyond_the_nodes_get_their_share(chatflow: HandWritten, status: str) -> None:
    """A message that tells no price has more tokens than its nodes tell: the rest of the figure is
    its, and its person's, also when it failed.
    """
    run = chatflow.run()
    chatflow.node(run, **model_call())
    told: dict[str, Any] = {"workflow_run_id": run, "message_tokens": 1500, "answer_tokens": 300}
    chatflow.message(from_end_user_id="ada", status=status, **told)
    chatflow.dify_says("total_price", 0.0095)
    chatflow.dify_says("token_count", 1800)
    rows = chatflow.rows_of(MART)
    assert {row["price_source"]: (row["total_price"], row["person_id"]) for row in rows} == {
        "nodes": (Decimal("0.0035"), "ada"),
        "allocated": (Decimal("0.006"), "ada"),
    }
    sums = [sum(row[name] for row in rows) for name in ("prompt_tokens", "completion_tokens")]
    assert (*sums, sum(row["messages"] for row in rows)) == (1500, 300, 1)


def test_currency_of_a_share_is_that_of_the_model(chat: HandWritten) -> None:
    """A model that showed a price, though none of a unit, tells the currency: not Dify's "USD"."""
    chat.app("workflow", "flow")
    chat.read_day(app_id="flow")
    run = chat.run(app_id="flow")
    told = {"model_provider": "langgenius/openai/openai", "model_name": "gpt-4o"}
    chat.node(
        *(run,),
        app_id="flow",
        process_data=dumps(told),
        total_price="3",
        currency="RMB",
        total_tokens=9,
    )
    chat.message()
    chat.dify_says("total_price", 0.5, currency="USD")
    assert costs(chat, "price_source", "currency", where="app_id = 'app'") == {
        ("allocated", "RMB"): Decimal("0.5")
    }


def test_model_that_was_charged_in_two_currencies_tells_none(chat: HandWritten) -> None:
    """Which of both a share is of, nobody knows."""
    chat.app("workflow", "flow")
    chat.read_day(app_id="flow")
    told = {"model_provider": "langgenius/openai/openai", "model_name": "gpt-4o"}
    for currency in ("RMB", "USD"):
        charged = {"total_price": "3", "currency": currency, "total_tokens": 9}
        chat.node(chat.run(app_id="flow"), app_id="flow", process_data=dumps(told), **charged)
    chat.message()
    chat.dify_says("total_price", 0.5)
    assert costs(chat, "price_source", "currency", where="app_id = 'app'") == {
        ("allocated", "unknown"): Decimal("0.5")
    }


@pytest.mark.parametrize("name", ["gpt-4o", "langgenius/openai/openai", "openai"])
def test_currency_may_be_told_by_a_setting(chat: HandWritten, name: str) -> None:
    """DIFY_ETL_CURRENCIES names a model or its provider."""
    chat.add("ops.model_currencies", model=name, currency="EUR")
    chat.message()
    chat.dify_says("total_price", 0.5)
    assert costs(chat, "currency") == {("EUR",): Decimal("0.5")}


def test_rates_convert_into_a_second_column(chatflow: HandWritten) -> None:
    """Currencies are never added: the rate of the last day told stands beside what it makes."""
    for day, rate in ((DAY - timedelta(days=9), "0.15"), (DAY, "0.14"), (DAY.max, "9")):
        chatflow.add(
            "ops.currency_rates",
            rate_date=day,
            from_currency="RMB",
            to_currency="USD",
            rate=rate,
        )
    for price, currency in (("7", "RMB"), ("1", "USD"), ("2", "EUR")):
        chatflow.message(total_price=price, currency=currency)
    found = {
        row["currency"]: (row["converted_price"], row["converted_currency"], row["conversion_rate"])
        for row in chatflow.rows_of(MART)
    }
    assert found == {
        "RMB": (Decimal("0.98"), "USD", Decimal("0.14")),
        "USD": (1, "USD", 1),
        "EUR": (None, None, None),
    }


def test_open_day_shares_nothing_that_is_not_there(chatflow: HandWritten) -> None:
    """Today's figure may be older than the rows: they are not put beside it."""
    chatflow.execute("UPDATE ops.slices SET is_settled = false")
    chatflow.message(total_price="0.25", currency="USD")
    chatflow.message(total_price="0.5", currency="USD")
    chatflow.dify_says("total_price", 0.25)
    assert in_figure(chatflow) == Decimal("0.75")


def test_agents_tell_the_price_of_a_message(warehouse: HandWritten) -> None:
    """What a log tells is in the figure, of accounts too; debugging stands in no log."""
    warehouse.app("agent", model="gpt-4o")
    warehouse.read_day()
    by_account: dict[str, Any] = {
        "from_source": "console",
        "from_end_user_id": None,
        "from_account_id": "ada",
    }
    warehouse.message(total_price="0.25", total_tokens=30, currency="USD")
    warehouse.message(total_price="0.5", total_tokens=30, currency="USD", **by_account)
    warehouse.message(**by_account)
    warehouse.dify_says("total_price", 0.75)
    assert costs(warehouse, "person_id", "is_in_dify_figure", "difference_reason") == {
        ("user", True, None): Decimal("0.25"),
        ("ada", True, None): Decimal("0.5"),
        ("ada", False, "debugging"): None,
    }


def test_huge_prices_break_nothing(chat: HandWritten) -> None:
    """A server that tells nonsense gets its own nonsense back, and all other rows are built."""
    huge = "999999999999999999.9999999999"
    chat.message(total_price=huge, total_tokens=9 * 10**18, currency="USD")
    chat.message(message_tokens=9 * 10**18, answer_tokens=9 * 10**18)
    chat.message(**charged(huge, "web-app"), **unit_prices(huge, huge))
    chat.dify_says("total_price", 5)
    assert len(chat.rows_of(MART)) == 3


def test_same_build_gives_the_same_rows(chat: HandWritten) -> None:
    """Built twice, and with the rows in another order, the shares are the same."""
    for number in range(40):
        chat.message(message_id=f"m{number:02}", from_end_user_id=f"p{number}", answer_tokens=7)
    chat.dify_says("total_price", 0.0001234)
    first = chat.rows_of(MART)
    chat.execute("CREATE TEMP TABLE turned AS SELECT * FROM raw.messages ORDER BY message_id DESC")
    chat.execute("DELETE FROM raw.messages")
    chat.execute("INSERT INTO raw.messages SELECT * FROM turned")
    assert chat.rows_of(MART) == first
    assert in_figure(chat) == Decimal("0.0001234")


def test_workspace_stands_on_each_row(unpinned: HandWritten) -> None:
    """Rows of several workspaces can be put together."""
    zone = "Europe/Berlin"
    unpinned.add("ops.source", workspace_id="w", timezone=zone, server_version="1.12.1")
    unpinned.app("chat")
    unpinned.read_day()
    at = datetime(2026, 3, 2, 11, tzinfo=UTC)
    unpinned.message(created_at=at, created_date=date(2026, 3, 2), total_price="1", currency="USD")
    assert unpinned.one_row_of(MART)["workspace_id"] == "w"
