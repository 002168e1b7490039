"""The conversations of a plan: ordinary ones by the day, and one of each kind that is odd."""

from __future__ import annotations

from datetime import datetime, timedelta

from dify_simulated.world.build_chronicle import Chronicle
from dify_simulated.world.build_messages import (
    add_children,
    judge,
    long_answer,
    write_message,
)
from dify_simulated.world.rows import App, Conversation, Message
from dify_simulated.world.texts import QUESTIONS

_CONVERSATIONAL = ("chat", "advanced-chat", "agent-chat", "completion")
# From this size on a world has one answer of about a megabyte.
_LARGE_PLAN = 40 * 50


def tell_conversations(chronicle: Chronicle) -> None:
    """Fill all conversational apps."""
    apps = [app for app in chronicle.world.apps.values() if app.mode in _CONVERSATIONAL]
    if not apps:
        return
    weights = chronicle.uneven(apps)
    for at in chronicle.moments(chronicle.plan.conversations_per_day):
        _tell(chronicle, chronicle.one_of(apps, weights), at)
    for app in apps:
        _tell_oddities(chronicle, app)
    if chronicle.plan.days * chronicle.plan.conversations_per_day >= _LARGE_PLAN:
        _answer_at_length(chronicle, apps[0])
    _forget_some(chronicle)


def _tell(chronicle: Chronicle, app: App, at: datetime) -> Conversation:
    conversation = _open(chronicle, app, at)
    if app.mode == "completion":
        _continue(chronicle, conversation, at, 1)
        return conversation
    drawn = chronicle.chance.random()
    if drawn < 0.03:
        return conversation  # opened, nothing asked
    count = 1 + min(int(chronicle.chance.expovariate(0.3)), 60)
    last = _continue(chronicle, conversation, at, count)
    if drawn > 0.92:
        _come_back(chronicle, conversation, last)
    return conversation


def _open(chronicle: Chronicle, app: App, at: datetime) -> Conversation:
    """Mostly by end users; some by an account exploring, a few while debugging."""
    world = chronicle.world
    drawn = chronicle.chance.random()
    name = chronicle.pick(QUESTIONS)[:40]
    if drawn < 0.88:
        user = chronicle.end_user_of(app, at)
        invoke_from = "web-app" if user.type == "browser" else "service-api"
        row = world.add_conversation(
            app.id, at=at, name=name, end_user_id=user.id, invoke_from=invoke_from
        )
    else:
        invoke_from = "debugger" if drawn > 0.95 else "explore"
        row = world.add_conversation(
            app.id, at=at, name=name, account_id=world.account_id, invoke_from=invoke_from
        )
    row.summary = None if chronicle.happens(0.8) else f"Summary: {name}"
    if chronicle.happens(0.15):
        row.read_at, row.read_account_id = at + timedelta(hours=1), world.account_id
    if chronicle.happens(0.3):
        row.inputs = {"city": "上海", "n": 3}
    return row


def _continue(
    chronicle: Chronicle, conversation: Conversation, at: datetime, count: int
) -> datetime:
    """Add messages one after another, now and then two in one second; stop before now."""
    for number in range(count):
        if at >= chronicle.now - timedelta(minutes=3):
            break
        message = write_message(chronicle, conversation, at)
        add_children(chronicle, conversation, message)
        judge(chronicle, message)
        if number and chronicle.happens(0.04):
            _regenerate(chronicle, conversation, message)
        gap = 0 if chronicle.happens(0.06) else 20 + chronicle.chance.expovariate(1 / 90)
        at += timedelta(seconds=gap)
    return at


def _regenerate(chronicle: Chronicle, conversation: Conversation, message: Message) -> None:
    """Ask again from the same place: both branches stay."""
    again = message.created_at + timedelta(seconds=30)
    if again < chronicle.now:
        chronicle.world.add_message(
            conversation.id,
            at=again,
            query=message.query,
            answer="Let me try again.",
            parent_message_id=message.parent_message_id,
        )


def _come_back(chronicle: Chronicle, conversation: Conversation, last: datetime) -> None:
    """Somebody returns days later: updated_at moves, created_at does not."""
    later = last + timedelta(days=chronicle.chance.uniform(0.5, 12))
    if later < chronicle.now - timedelta(hours=1):
        _continue(chronicle, conversation, later, 2)


def _tell_oddities(chronicle: Chronicle, app: App) -> None:
    """What is rare in real life but must be in every world, app by app."""
    now = chronicle.now
    old = _open(chronicle, app, chronicle.began + timedelta(days=12))
    single = app.mode == "completion"
    if not single:
        _continue(chronicle, old, old.created_at, 2)
        _continue(chronicle, old, now - timedelta(days=1, minutes=7), 1)
        _long_conversation(chronicle, app)
        _in_one_second(chronicle, app)
    else:
        _continue(chronicle, old, old.created_at, 1)
    _much_discussed(chronicle, app)
    _half_written(chronicle, app)
    _failed(chronicle, app)


def _much_discussed(chronicle: Chronicle, app: App) -> None:
    """A message with every kind of child and opinion, and one that its annotation answered."""
    world, at = chronicle.world, chronicle.now - timedelta(days=1, hours=5)
    user = chronicle.end_user_of(app, at)
    row = world.add_conversation(app.id, at=at, name="谢谢！", end_user_id=user.id)
    message = world.add_message(row.id, at=at, query="怎么申请退款？")
    add_children(chronicle, row, message, all_kinds=True)
    later = at + timedelta(minutes=3)
    world.give_feedback(message.id, "like", at=later)
    world.give_feedback(
        message.id, "dislike", at=later, account_id=world.account_id, content="太短"
    )
    annotation = world.annotate(message.id, at=later, content="请看第 12 页。")
    if app.mode != "completion":
        answered = world.add_message(row.id, at=later, query="怎么申请退款")
        world.hit_annotation(annotation.id, answered.id, at=later)


def _long_conversation(chronicle: Chronicle, app: App) -> None:
    """More messages than one page of chat-messages holds."""
    if app.mode == "agent-chat":
        return
    at = chronicle.now - timedelta(days=2, hours=3)
    conversation = _open(chronicle, app, at)
    for number in range(130):
        message = write_message(chronicle, conversation, at + timedelta(seconds=45 * number))
        message.answer = f"Step {number} of the long talk"


def _answer_at_length(chronicle: Chronicle, app: App) -> None:
    """One answer of about a megabyte."""
    at = chronicle.now - timedelta(days=1, hours=4)
    message = write_message(chronicle, _open(chronicle, app, at), at)
    message.answer = long_answer()


def _in_one_second(chronicle: Chronicle, app: App) -> None:
    """An import: twelve messages, ten of them in one second; and three conversations too."""
    at = (chronicle.now - timedelta(days=3, hours=1)).replace(microsecond=0)
    conversation = _open(chronicle, app, at)
    for number in range(12):
        second = at + timedelta(seconds=5 if 0 < number < 11 else number)
        write_message(chronicle, conversation, second)
    for _ in range(3):
        _continue(chronicle, _open(chronicle, app, at), at, 1)


def _half_written(chronicle: Chronicle, app: App) -> None:
    """A message that is being answered right now."""
    at = chronicle.now - timedelta(seconds=20 + chronicle.chance.random() * 60)
    user = chronicle.end_user_of(app, at)
    row = chronicle.world.add_conversation(app.id, at=at, name="慢一点", end_user_id=user.id)
    chronicle.world.add_message(row.id, at=at, query="慢一点", answer=None)


def _failed(chronicle: Chronicle, app: App) -> None:
    at = chronicle.now - timedelta(days=1, hours=2)
    row = _open(chronicle, app, at)
    message = chronicle.world.add_message(row.id, at=at, query="fail please", answer=None)
    error = "[openai] Rate Limit Error, 429"
    chronicle.world.finish_message(message.id, answer="", answer_tokens=0, error=error)


def _forget_some(chronicle: Chronicle) -> None:
    """Let an end user and an account go whose conversations stay, and a chatflow's conversation."""
    world = chronicle.world
    regulars = next((users for users in chronicle.end_users.values() if len(users) > 1), None)
    if regulars is not None:
        world.remove_end_user(regulars.pop().id)
    app = next(app for app in world.apps.values() if app.mode in _CONVERSATIONAL)
    leaver = world.add_account(name="Lea Left", email="left@dify.test", at=chronicle.began)
    at = chronicle.now - timedelta(days=4, hours=2)
    row = world.add_conversation(app.id, at=at, name="explored once", account_id=leaver.id)
    message = world.add_message(row.id, at=at)
    world.give_feedback(message.id, "like", at=at, account_id=leaver.id)
    world.remove_account(leaver.id)
    for chatflow in [app for app in world.apps.values() if app.mode == "advanced-chat"][:1]:
        deleted = world.add_conversation(chatflow.id, at=at)
        world.add_message(deleted.id, at=at)
        world.delete_conversation(deleted.id)  # its run stays
