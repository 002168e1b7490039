"""The log of an agent-chat app's tools costs its own figures alone, whatever it answers."""

from collections.abc import Callable

import httpx
import pytest

from dify_etl_tests.sync.answers_changed import ChangedAnswers, Forbidding
from dify_etl_tests.sync.conftest import Open
from dify_etl_tests.sync.small_worlds import brief_world
from dify_etl_tests.sync.workplace import TALK, Workplace

CALLS = "SELECT count(*), count(seconds) FROM raw.agent_tool_calls"


def in_trouble(place: Workplace) -> httpx.BaseTransport:
    """A server whose tool log answers 503."""
    inner = httpx.WSGITransport(app=place.server)
    return ChangedAnswers(inner, refuse=lambda path: 503 if path.endswith("/agent/logs") else None)


def closed(place: Workplace) -> httpx.BaseTransport:
    """A server that shows the tool log to others."""
    inner = httpx.WSGITransport(app=place.server)
    return Forbidding(inner, lambda path: path.endswith("/agent/logs"))


@pytest.mark.parametrize("transport", [in_trouble, closed])
def test_messages_are_loaded_without_the_tool_log(
    workplace: Open, transport: Callable[[Workplace], httpx.BaseTransport]
) -> None:
    """All messages and calls are there, without seconds; their talks say why, and the next good
    night heals them.
    """
    place = workplace(brief_world(), "1.12.1")
    place.transport = transport(place)
    place.read(TALK)
    calls, with_seconds = place.rows(CALLS)[0]
    assert calls > 0
    assert with_seconds == 0
    told = "SELECT count(*) FROM ops.conversation_reads WHERE reason LIKE '%tool calls of%'"
    assert place.value(told) > 0
    messages = place.value("SELECT count(*) FROM raw.messages")
    place.transport = None
    place.read(TALK)
    assert place.value("SELECT count(*) FROM raw.messages") == messages
    assert place.rows(CALLS)[0][1] == calls
