"""The log of an agent-chat app's tools costs its own figures alone, whatever it answers."""

from collections.abc import Callable

import httpx
import pytest

from dify_etl.dify.http.bounds import AnswerTooMuch
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


class Endless(httpx.BaseTransport):
    """A server whose tool logs never end; notes what was asked for, as talk and message."""

    def __init__(self, place: Workplace) -> None:
        self._inner = httpx.WSGITransport(app=place.server)
        self.asked: set[tuple[str, str]] = set()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """The answer, or what the bounds make of one without an end."""
        if not request.url.path.endswith("/agent/logs"):
            return self._inner.handle_request(request)
        query = request.url.params
        self.asked.add((query["conversation_id"], query["message_id"]))
        raise AnswerTooMuch("the answer did not end", setting="DIFY_ETL_MAX_ANSWER_SECONDS")


def test_log_without_an_end_is_asked_once_a_talk(workplace: Open) -> None:
    """Each may take as long as the bounds allow: the other messages of the talk ask for none."""
    place = workplace(brief_world(), "1.12.1")
    place.transport = endless = Endless(place)
    place.read(TALK)
    several = """SELECT count(*) FROM (SELECT conversation_id FROM raw.agent_tool_calls
        GROUP BY ALL HAVING count(DISTINCT message_id) > 1)"""
    assert place.value(several) > 0
    assert endless.asked
    assert len(endless.asked) == len({talk for talk, _ in endless.asked})


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
