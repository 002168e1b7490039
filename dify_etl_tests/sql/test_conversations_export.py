"""exports.conversations: one row per question and answer, from rows written by hand."""

from decimal import Decimal
from typing import Any

import pytest

from dify_etl_tests.sql.hand_written import NOON, HandWritten

VIEW = "exports.conversations"


def talk(warehouse: HandWritten, conversation_id: str = "talk", **values: Any) -> None:
    """A conversation of that end user or account."""
    plain = {"app_id": "app", "from_source": "api", "created_at": NOON, "name": "A talk"}
    warehouse.add("raw.conversations", conversation_id=conversation_id, **(plain | values))


def test_a_row_tells_app_question_answer_and_price(warehouse: HandWritten) -> None:
    """The row of a message brings the names of its app and talk, and money to the digit."""
    warehouse.app("chat")
    talk(warehouse, from_end_user_id="user", from_end_user_session_id="ann")
    warehouse.message(query="=1+1", answer="2", total_price="0.0000123", currency="USD")
    row = warehouse.one_row_of(VIEW)
    assert (row["app_name"], row["app_mode"], row["conversation_name"]) == ("app", "chat", "A talk")
    assert (row["question"], row["answer"]) == ("=1+1", "2")
    assert (row["total_price"], row["currency"]) == (Decimal("0.0000123"), "USD")
    assert (row["prompt_tokens"], row["answer_tokens"]) == (10, 20)
    assert (row["created_at"], str(row["created_date"])) == (NOON, "2026-03-02")


def test_what_dify_does_not_tell_is_null(warehouse: HandWritten) -> None:
    """A message without usage has no price and no tokens, not zero; its talk may be missing."""
    warehouse.message(message_tokens=None, answer_tokens=None)
    row = warehouse.one_row_of(VIEW)
    told = ("app_name", "person", "prompt_tokens", "answer_tokens", "total_price", "user_rating")
    assert [row[name] for name in told] == [None] * 6


def test_who_asked(warehouse: HandWritten) -> None:
    """By the rule of stg_people: the session id of an end user, the name of an account (of a member
    that of today), and nobody for DEFAULT-USER.
    """
    warehouse.add("raw.members", account_id="member", name="Eva")
    callers: dict[str, dict[str, Any]] = {
        "by user": {"from_end_user_id": "user"},
        "by nobody": {"from_end_user_id": "default"},
        "by account": {"from_account_id": "gone", "from_end_user_id": None},
        "by member": {"from_account_id": "member", "from_end_user_id": None},
    }
    names = {
        "by user": {"from_end_user_session_id": "ann@example.com"},
        "by nobody": {"from_end_user_session_id": "DEFAULT-USER"},
        "by account": {"from_account_name": "Max"},
        "by member": {"from_account_name": "Eva before"},
    }
    for one, caller in callers.items():
        talk(warehouse, one, **caller, **names[one])
        warehouse.message(one, **caller)
    rows = warehouse.rows_of(VIEW)
    assert {row["conversation_id"]: (row["person"], row["person_kind"]) for row in rows} == {
        "by user": ("ann@example.com", "end_user"),
        "by nobody": (None, "nobody"),
        "by account": ("Max", "account"),
        "by member": ("Eva", "account"),
    }


def test_ratings_of_users_and_editors_stand_in_the_row(warehouse: HandWritten) -> None:
    """Several ratings make no second row; a withdrawn one is not told."""
    warehouse.message(message_id="rated")
    warehouse.like("rated", content="Thanks", from_end_user_id="user", position=1)
    for position, (name, rating) in enumerate([("Eva", "dislike"), ("Max", "like")], start=2):
        editor = {"from_account_id": name, "from_account_name": name, "from_source": "admin"}
        warehouse.like("rated", rating=rating, content=f"by {name}", position=position, **editor)
    warehouse.like("rated", from_end_user_id="gone", rating="dislike", absent_since=NOON)
    row = warehouse.one_row_of(VIEW)
    assert (row["user_rating"], row["user_comment"]) == ("like", "Thanks")
    assert (row["admin_rating"], row["admin_names"]) == ("dislike, like", "Eva, Max")
    assert row["admin_comment"] == "by Eva, by Max"


def test_one_id_in_two_apps_is_no_other_row(warehouse: HandWritten) -> None:
    """Ids are an app's: a talk or rating of another app with the same id adds nothing."""
    warehouse.message(message_id="same")
    talk(warehouse, app_id="other app", from_end_user_session_id="somebody else")
    warehouse.like("same", app_id="other app")
    row = warehouse.one_row_of(VIEW)
    assert (row["person"], row["user_rating"]) == (None, None)


def test_workspace_and_absence_are_told(warehouse: HandWritten) -> None:
    """Each row says of which workspace it is, and whether Dify has it no more."""
    warehouse.add("ops.source", server_origin="http://dify.test", workspace_id="workspace")
    warehouse.message(absent_since=NOON)
    row = warehouse.one_row_of(VIEW)
    assert (row["workspace_id"], row["is_absent"]) == ("workspace", True)


def test_price_of_basic_apps_is_that_of_the_database(warehouse: HandWritten) -> None:
    """The console tells it of chatflows alone."""
    warehouse.app("chat")
    warehouse.message(charged_price="0.01", charged_currency="RMB")
    row = warehouse.one_row_of(VIEW)
    assert (row["total_price"], row["currency"]) == (Decimal("0.01"), "RMB")


@pytest.mark.parametrize(
    ("tokens", "told"), [((0, 0), (None, None)), ((10, 20), (Decimal(0), "USD"))]
)
def test_price_of_nothing_is_no_price(
    warehouse: HandWritten, tokens: tuple[int, int], told: tuple[object, object]
) -> None:
    """Dify writes 0 when a question is asked: without tokens it is none, as in marts.costs."""
    warehouse.app("chat")
    spent: dict[str, Any] = dict(zip(("message_tokens", "answer_tokens"), tokens, strict=True))
    warehouse.message(status="error", charged_price="0", charged_currency="USD", **spent)
    row = warehouse.one_row_of(VIEW)
    assert (row["total_price"], row["currency"]) == told
