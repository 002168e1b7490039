"""Agents of a plan (apps of mode `agent`, from 1.15) and what people said to them."""

from __future__ import annotations

from datetime import datetime, timedelta
from json import dumps

from dify_simulated.world.build_chronicle import Chronicle
from dify_simulated.world.build_messages import add_children, judge, write_message
from dify_simulated.world.rows import AgentThought, App, Conversation, Message
from dify_simulated.world.texts import DEBUGGING, QUESTIONS

_NAMES = ("行程代理 Trip agent", "Ticket agent", "Agent für Angebote")
# Steps of an answer: tools called together, what the model thought before.
_STEPS = (("web_search", "Let me look"), ("web_search;calendar", "And when"), ("", "Now I know"))
_TALKS_PER_DAY = 3


def tell_agents(chronicle: Chronicle) -> None:
    """Make the agents of the plan and fill them; none with `plan.agents` 0."""
    for number in range(chronicle.plan.agents):
        app = _make(chronicle, number)
        for at in chronicle.moments(_TALKS_PER_DAY):
            _conversation(chronicle, _opened(chronicle, app, at), at)
        _tell_oddities(chronicle, app)
        if number == 0:
            _use_in_flows(chronicle, app)


def _make(chronicle: Chronicle, number: int) -> App:
    """The first was published twice; the second never had a model."""
    world, at = chronicle.world, chronicle.began + timedelta(days=8, seconds=number)
    app = world.add_agent_app(
        name=_NAMES[number % len(_NAMES)] + (f" {number}" if number >= len(_NAMES) else ""),
        at=at,
        created_by=world.account_id,
        tenant_id=world.workspace_id,
        description="plans and books",
        model=None if number == 1 else "gpt-4o",
    )
    agent = world.agents[world.agent_of_app[app.id]]
    for days, note in ((1, None), (9, "asks before it books")) if agent.model else ():
        world.publish_agent(
            agent.id, at=at + timedelta(days=days), account_id=world.account_id, note=note
        )
    if agent.model:
        world.add_api_key(tenant_id=app.tenant_id, at=at + timedelta(days=2), app_id=app.id)
    return app


def _use_in_flows(chronicle: Chronicle, app: App) -> None:
    """Let it answer in the graphs of one chatflow and of one workflow, as far as there are any."""
    world = chronicle.world
    for mode in ("advanced-chat", "workflow"):
        flow = next((one for one in world.apps.values() if one.mode == mode), None)
        if flow is not None:
            world.use_agent(world.agent_of_app[app.id], app_id=flow.id, node_id="llm")


def _opened(chronicle: Chronicle, app: App, at: datetime) -> Conversation:
    """By an end user, or by an account that explores."""
    world, name = chronicle.world, chronicle.pick(QUESTIONS)[:40]
    if chronicle.happens(0.2):
        return world.add_conversation(app.id, at=at, name=name, account_id=world.account_id)
    user = chronicle.end_user_of(app, at)
    return world.add_conversation(app.id, at=at, name=name, end_user_id=user.id)


def _conversation(chronicle: Chronicle, row: Conversation, at: datetime, count: int = 0) -> None:
    for _ in range(count or 1 + int(chronicle.chance.random() * 4)):
        if at < chronicle.now - timedelta(minutes=3):
            message = write_message(chronicle, row, at)
            message.agent_thoughts = _thoughts(chronicle, message)
            add_children(chronicle, row, message)
            judge(chronicle, message)
        at += timedelta(seconds=30 + chronicle.chance.expovariate(1 / 60))


def _thoughts(chronicle: Chronicle, message: Message) -> tuple[AgentThought, ...]:
    return tuple(
        AgentThought(
            id=chronicle.world.new_id(),
            message_id=message.id,
            position=position,
            thought=thought,
            answer=message.answer if not tools else "",
            tool=tools,
            tool_input=_by_tool(tools, {"query": message.query}),
            observation=_by_tool(tools, "三个结果"),
            created_at=message.created_at + timedelta(seconds=position),
        )
        for position, (tools, thought) in enumerate(_STEPS, start=1)
    )


def _by_tool(tools: str, value: object) -> str:
    """JSON by tool, "" for a step without tools."""
    return dumps({tool: value for tool in tools.split(";")}, ensure_ascii=False) if tools else ""


def _tell_oddities(chronicle: Chronicle, app: App) -> None:
    """Talks of debugging, of the account that reads and of another one; an empty one; a failure."""
    world, now = chronicle.world, chronicle.now
    agent = world.agents[world.agent_of_app[app.id]]
    people = [join.account_id for join in world.members.values() if join.role == "admin"]
    for days, account_id in enumerate((world.account_id, *people[:1]), start=1):
        at = now - timedelta(days=days, hours=3)
        row = world.add_conversation(
            app.id, at=at, name=DEBUGGING, account_id=account_id, invoke_from="debugger"
        )
        agent.debug_talks[account_id] = row.id
        _conversation(chronicle, row, at, 2)
    editor = next(one.account_id for one in world.members.values() if one.role == "editor")
    empty = world.add_conversation(
        app.id,
        at=now - timedelta(days=1),
        name=DEBUGGING,
        account_id=editor,
        invoke_from="debugger",
    )
    agent.debug_talks[editor] = empty.id
    failed = _opened(chronicle, app, now - timedelta(hours=9))
    message = world.add_message(failed.id, at=failed.created_at, query="fail please", answer=None)
    world.finish_message(message.id, answer="", answer_tokens=0, error="Run failed: boom")
