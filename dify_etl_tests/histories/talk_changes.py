"""What can happen to conversations, messages, ratings and annotations while Dify is read."""

from datetime import timedelta

from dify_etl_tests.histories.history import Change, Verb, picked
from dify_simulated import World
from dify_simulated.world.rows import Conversation, JsonObject, Message

# After a day a message is taken for settled: what is finished later moves nothing.
STILL_READ = timedelta(hours=20)
CITATION: JsonObject = {"position": 1, "dataset_id": "d", "document_id": "t", "content": "cited"}


def ask(world: World, change: Change) -> None:
    """A new conversation of `count` answered messages; one in a completion app."""
    app = picked(world.apps.values(), change.pick)
    if app is None or app.mode == "workflow":
        return
    row = world.add_conversation(app.id, at=world.now(), name=f"talk {change.pick}")
    for number in range(1 if app.mode == "completion" else change.count):
        world.add_message(row.id, at=world.now(), query=f"question {number}")


def debug(world: World, change: Change) -> None:
    """A conversation of somebody who tries the app out in the console."""
    app = picked(world.apps.values(), change.pick)
    if app is not None and app.mode in ("chat", "agent-chat", "advanced-chat"):
        row = world.add_conversation(
            app.id,
            at=world.now(),
            name="tried",
            account_id=world.account_id,
            invoke_from="debugger",
        )
        world.add_message(row.id, at=world.now())


def ask_half(world: World, change: Change) -> None:
    """A new conversation whose answer is being written."""
    app = picked(world.apps.values(), change.pick)
    if app is not None and app.mode != "workflow":
        row = world.add_conversation(app.id, at=world.now(), name="half")
        world.add_message(row.id, at=world.now(), answer=None)


def say_more(world: World, change: Change) -> None:
    """More messages in an old conversation, the last one perhaps half-written."""
    row = _talk(world, change, completion=False)
    for number in range(change.count if row is not None else 0):
        assert row is not None
        is_half = number + 1 == change.count and change.pick % 3 == 0
        world.add_message(
            row.id, at=world.now(), query=f"more {number}", answer=None if is_half else "Yes."
        )


def finish(world: World, change: Change) -> None:
    """A half-written answer is complete; no timestamp moves."""
    row = _half(world, change)
    if row is not None:
        world.finish_message(row.id, answer=f"done {change.pick}")
        row.message_metadata = {**row.message_metadata, "retriever_resources": [CITATION]}


def fail(world: World, change: Change) -> None:
    """A half-written answer ends with an error."""
    row = _half(world, change)
    if row is not None:
        world.finish_message(row.id, answer="", error="the model is gone")


def _half(world: World, change: Change) -> Message | None:
    since = world.now() - STILL_READ
    rows = [
        row
        for row in world.messages.values()
        if not row.answer and row.status == "normal" and row.created_at > since
    ]
    return picked(rows, change.pick)


def rate(world: World, change: Change) -> None:
    """A person rates a message, or changes the rating; every other one is an editor."""
    row = picked(world.messages.values(), change.pick)
    if row is not None:
        account = world.account_id if change.count % 2 else None
        rating = "like" if change.count % 3 else "dislike"
        world.give_feedback(
            row.id,
            "like" if rating == "like" else "dislike",
            at=world.now(),
            account_id=account,
            content=f"because {change.count}" if change.count % 4 == 0 else None,
        )


def withdraw(world: World, change: Change) -> None:
    """A rating is taken back: the row goes, nothing moves."""
    row = picked(world.feedbacks.values(), change.pick)
    if row is not None:
        world.withdraw_feedback(row.message_id, by_admin=row.from_source == "admin")


def move_rating(world: World, change: Change) -> None:
    """A rating goes from one message to another: the counts stay as they are."""
    row = picked(world.feedbacks.values(), change.pick)
    if row is None:
        return
    others = [
        message_id
        for message_id in world.messages_of_conversation[row.conversation_id]
        if not world.feedbacks_of_message[message_id]
    ]
    target = picked(others, change.count)
    if target is not None:
        account = row.from_account_id
        rating = "like" if row.rating == "like" else "dislike"
        world.withdraw_feedback(row.message_id, by_admin=row.from_source == "admin")
        world.give_feedback(
            target,
            "like" if rating == "like" else "dislike",
            at=world.now(),
            account_id=account,
        )


def annotate(world: World, change: Change) -> None:
    """An editor writes the better answer, or rewrites it."""
    row = picked(world.messages.values(), change.pick)
    if row is not None and row.answer:
        world.annotate(row.id, at=world.now(), content=f"better {change.count}")


def unannotate(world: World, change: Change) -> None:
    """An annotation is deleted."""
    row = picked(world.annotations.values(), change.pick)
    if row is not None:
        world.take_annotation(row.id)


def rename(world: World, change: Change) -> None:
    """A conversation gets another name."""
    row = _talk(world, change)
    if row is not None:
        world.rename_conversation(row.id, f"renamed {change.count}", at=world.now())


def open_log(world: World, change: Change) -> None:
    """An editor opens a conversation in the console, which marks it as read."""
    row = _talk(world, change)
    if row is not None:
        world.read_conversation(
            row.id, account_id=world.account_id, at=world.now(), touch=change.count % 2 == 0
        )


def delete(world: World, change: Change) -> None:
    """A conversation is deleted with its messages."""
    row = _talk(world, change)
    if row is not None:
        world.delete_conversation(row.id)


def delete_message(world: World, change: Change) -> None:
    """A retention job removes one message; its conversation stays, no timestamp moves."""
    row = picked(world.messages.values(), change.pick)
    if row is not None:
        world.take_message(row.id)


def forget_user(world: World, change: Change) -> None:
    """An end user's row goes; lookups of the session find nothing any more."""
    row = picked(world.end_users.values(), change.pick)
    if row is not None:
        world.remove_end_user(row.id)


def delete_app(world: World, change: Change) -> None:
    """An app is deleted with everything in it, unless it is the last one."""
    row = picked(world.apps.values(), change.pick)
    if row is not None and len(world.apps) > 1:
        world.delete_app(row.id)


def _talk(world: World, change: Change, *, completion: bool = True) -> Conversation | None:
    rows = [row for row in world.conversations.values() if completion or row.mode != "completion"]
    return picked(rows, change.pick)


def burst_of_talks(world: World, change: Change) -> None:
    """A page full of conversations, one less or one more, within one second."""
    app = picked(world.apps.values(), change.pick)
    if app is not None and app.mode != "workflow":
        for number in range(97 + change.count):
            row = world.add_conversation(app.id, at=world.now(), name=f"burst {number}")
            if app.mode == "completion":
                world.add_message(row.id, at=world.now(), query=f"burst {number}")


def burst_of_messages(world: World, change: Change) -> None:
    """A page full of messages in one conversation within two seconds."""
    row = _talk(world, change, completion=False)
    for number in range(97 + change.count if row is not None and row.mode == "chat" else 0):
        assert row is not None
        at = world.now() + timedelta(seconds=number % 2)
        world.add_message(row.id, at=at, query=f"burst {number}")


TALK: dict[str, Verb] = {
    verb.__name__: verb
    for verb in (
        *(ask, debug, ask_half, say_more, finish, fail),
        *(rate, withdraw, move_rating, annotate, unannotate),
        *(rename, open_log, delete, delete_message, forget_user, delete_app),
        *(burst_of_talks, burst_of_messages),
    )
}
