"""Histories that once broke a promise, as small as they could be made."""

from dify_etl.warehouse.database import Database
from dify_etl_tests.histories.history import Change, History, Night
from dify_etl_tests.histories.playing import Player

ONE_TALK = Night(before=(Change("ask"),))


def test_deleted_app_takes_its_conversations_along(database: Database) -> None:
    """Nobody lists the conversations of an app that is gone: they are marked with it."""
    nights = (ONE_TALK, Night(before=(Change("delete_app"),)))
    Player(History("talk", ("chat", "completion"), nights), database).play()


def test_slices_of_an_app_deleted_meanwhile_wait_for_nothing(database: Database) -> None:
    """An app that goes while its lists are read fails once, and is not failed for ever."""
    night = Night(before=(Change("ask"),), during=((2, Change("delete_app")),))
    Player(History("talk", ("chat", "agent-chat"), (night,)), database).play()


def test_deleted_run_takes_its_nodes_along(database: Database) -> None:
    """Nodes have no list of their own: they are marked with their run."""
    nights = (Night(before=(Change("run", count=4),)), Night(before=(Change("delete_run"),)))
    Player(History("runs", ("workflow",), nights), database).play()


def test_deleted_run_of_a_chatflow_is_marked(database: Database) -> None:
    """Its list has no total, but was shown to its end."""
    nights = (Night(before=(Change("run"),)), Night(before=(Change("delete_run"),)))
    Player(History("runs", ("advanced-chat",), nights), database).play()


def test_deleted_debugging_run_is_marked(database: Database) -> None:
    """Debugging runs have no log rows, only a list by cursor."""
    nights = (Night(before=(Change("run", pick=2),)), Night(before=(Change("delete_run"),)))
    Player(History("runs", ("workflow",), nights), database).play()


def test_run_of_a_chatflow_deleted_long_ago_is_found(database: Database) -> None:
    """The deep read goes into the middle of a list by cursor."""
    nights = (
        Night(before=(Change("run"), Change("run", after=60.0))),
        Night(hours=150.0, before=(Change("run"),)),
        Night(hours=24.0, before=(Change("delete_run"),)),
    )
    Player(History("runs", ("advanced-chat",), nights), database).play()


def test_run_beside_which_the_deep_read_enters_may_be_gone(database: Database) -> None:
    """A list is entered beside a held run: when Dify has it no more, beside the next one."""
    nights = (
        Night(before=(Change("run"), Change("run", after=60.0))),
        Night(hours=150.0, before=(Change("run"), Change("run"))),
        Night(hours=24.0, before=(Change("delete_run", pick=2), Change("delete_run"))),
    )
    Player(History("runs", ("advanced-chat",), nights), database).play()


def test_annotation_of_an_old_message_is_read(database: Database) -> None:
    """Written, rewritten and deleted on a message that was settled: no time of it moves."""
    nights = (
        ONE_TALK,
        Night(before=(Change("annotate"),)),
        Night(before=(Change("annotate", count=2),)),
        Night(before=(Change("unannotate"),)),
    )
    Player(History("talk", ("chat",), nights), database).play()


def test_app_edited_twice_in_a_second_is_read_again(database: Database) -> None:
    """Dify tells whole seconds: the second edit shows in no time of the app."""
    night = Night(before=(Change("edit_app"),), during=((30, Change("edit_app", count=5)),))
    Player(History("workspace", ("completion",), (night,)), database).play()


def test_rating_that_comes_and_goes_while_the_list_is_read(database: Database) -> None:
    """Afterwards all is as before, but the list showed the rating: the next night puts it right."""
    talks = tuple(Change("ask") for _ in range(6))
    during = ((0, Change("rate")), (19, Change("withdraw")))
    Player(History("talk", ("chat",), (Night(before=talks, during=during),)), database).play()
