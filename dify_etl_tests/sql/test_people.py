"""Who a person is: stg_people, and the name on what people did."""

from dify_etl_tests.sql.hand_written import HandWritten

VIEW = "staging.stg_people"


def talk(warehouse: HandWritten, end_user_id: str, session: str | None, app: str = "app") -> None:
    """A conversation of an end user with one message."""
    warehouse.add(
        "raw.conversations",
        conversation_id=f"talk of {end_user_id}",
        app_id=app,
        from_end_user_id=end_user_id,
        from_end_user_session_id=session,
    )
    warehouse.message(f"talk of {end_user_id}", app_id=app, from_end_user_id=end_user_id)


def people(warehouse: HandWritten) -> dict[str, tuple[str | None, str | None, str]]:
    """Person, name and kind by end user or account."""
    return {
        row["actor_id"]: (row["person_id"], row["person_name"], row["person_kind"])
        for row in warehouse.rows_of(VIEW)
    }


def test_person_is_the_session_across_apps(warehouse: HandWritten) -> None:
    """End users are per app: two of them with one session id are one person."""
    talk(warehouse, "one", "ada@example.com", "chat")
    talk(warehouse, "two", "ada@example.com", "other")
    ada = ("ada@example.com", "ada@example.com", "end_user")
    assert people(warehouse) == {"one": ada, "two": ada}
    assert {row["person_id"] for row in warehouse.rows_of("staging.stg_messages")} == {
        "ada@example.com"
    }


def test_equal_names_may_be_two_persons(warehouse: HandWritten) -> None:
    """With DIFY_ETL_PERSON=app the name alone makes no person."""
    warehouse.add("ops.model_settings", setting="person", value="app")
    talk(warehouse, "one", "ada", "chat")
    talk(warehouse, "two", "ada", "other")
    found = people(warehouse)
    assert (found["one"][0], found["two"][0]) == ("chat/ada", "other/ada")
    assert found["one"][1] == "ada"


def test_default_user_is_nobody(warehouse: HandWritten) -> None:
    """Callers of the API that name no user are no person, and are counted."""
    talk(warehouse, "one", "DEFAULT-USER")
    assert people(warehouse) == {"one": (None, None, "nobody")}
    row = warehouse.one_row_of("staging.stg_messages")
    assert (row["person_id"], row["person_kind"], row["end_user_id"]) == (None, "nobody", "one")


def test_visitors_of_web_apps_are_browsers(warehouse: HandWritten) -> None:
    """A run tells that an end user came by the web app; of chats the session tells it then."""
    talk(warehouse, "one", "4a1d")
    warehouse.run(
        created_by_end_user_id="two",
        created_by_end_user_session_id="4a1d",
        created_by_end_user_type="browser",
        created_by_end_user_is_anonymous=True,
    )
    assert people(warehouse) == dict.fromkeys(("one", "two"), ("4a1d", "4a1d", "browser"))


def test_end_user_that_is_gone_is_one_person(warehouse: HandWritten) -> None:
    """Dify removed it and its session with it: the id is left."""
    talk(warehouse, "one", None)
    assert people(warehouse) == {"one": ("one", None, "end_user")}


def test_account_is_a_person_by_its_name(warehouse: HandWritten) -> None:
    """Members by their name now; those who left by what was told of them."""
    warehouse.add("raw.members", account_id="a", name="Ada")
    warehouse.run(
        created_by_end_user_id=None, created_by_account_id="a", created_by_account_name="Adele"
    )
    warehouse.run(
        created_by_end_user_id=None, created_by_account_id="b", created_by_account_name="Bob"
    )
    assert people(warehouse) == {"a": ("a", "Ada", "account"), "b": ("b", "Bob", "account")}


def test_name_stands_on_what_people_did(warehouse: HandWritten) -> None:
    """Messages, runs, nodes and ratings name the person."""
    talk(warehouse, "one", "ada")
    run = warehouse.run(created_by_end_user_id="one")
    warehouse.node(run, created_by_end_user_id="one")
    warehouse.like("message 1", from_end_user_id="one")
    for view in ("messages", "workflow_runs", "node_executions", "message_feedbacks"):
        row = warehouse.one_row_of(f"staging.stg_{view}")
        assert (row["person_id"], row["person_name"], row["person_kind"]) == (
            *("ada", "ada", "end_user"),
        ), view
