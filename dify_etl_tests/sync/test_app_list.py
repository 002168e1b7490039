"""All apps are found: the lists of all modes count together, and none alone proves anything."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from dify_etl_tests.sync.conftest import Open
from dify_etl_tests.sync.small_worlds import agent_world, quiet_world, talk
from dify_etl_tests.sync.workplace import NOW, TALK, Workplace

ALL = "SELECT count(*) FROM raw.apps WHERE absent_since IS NULL"


class ByQuery(httpx.BaseTransport):
    """Passes requests on, but for those for whose URL `refuse` names a status."""

    def __init__(self, place: Workplace, refuse: Callable[[httpx.URL], int | None]) -> None:
        self._inner = httpx.WSGITransport(app=place.server)
        self._refuse = refuse

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer one request."""
        answer = self._inner.handle_request(request)
        answer.read()
        if (status := self._refuse(request.url)) is None:
            return answer
        body = {"code": "refused", "message": "by the test", "status": status}
        return httpx.Response(status, headers={"x-version": "1.16.1"}, json=body)


class OtherMode(httpx.BaseTransport):
    """Shows apps of mode chat as apps of a mode that nobody knows."""

    def __init__(self, place: Workplace, silent: tuple[str, ...]) -> None:
        self._inner = httpx.WSGITransport(app=place.server)
        self._silent = silent

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer one request."""
        if request.url.path.endswith(self._silent):
            gone = {"code": "app_not_found", "message": "mode", "status": 404}
            return httpx.Response(404, headers={"x-version": "1.16.1"}, json=gone)
        answer = self._inner.handle_request(request)
        body = answer.read().replace(b'"mode": "chat"', b'"mode": "supervisor"')
        headers = [one for one in answer.headers.multi_items() if one[0] != "content-length"]
        return httpx.Response(answer.status_code, headers=headers, content=body)


@pytest.mark.parametrize("version", ["1.0.0", "1.7.2", "1.12.1", "1.15.0", "1.16.1"])
def test_every_app_is_found(workplace: Open, version: str) -> None:
    """Apps of every mode are there, each once, and the list is proven, on servers that name their
    modes and on those that do not.
    """
    modes = ("chat", "agent-chat", "advanced-chat", "completion", "workflow")
    world = quiet_world(*modes)
    if version >= "1.15":
        world.add_agent_app(
            name="the agent",
            at=NOW,
            created_by=world.account_id,
            tenant_id=world.workspace_id,
        )
    place = workplace(world, version)
    report = place.read(("apps",))["apps"]
    assert report.state == "proven"
    assert place.value(ALL) == len(world.apps)
    rows = place.rows("SELECT rows, expected FROM ops.slices WHERE feed = 'apps'")
    assert rows == [(len(world.apps), len(world.apps))]


def test_failed_list_of_a_mode_marks_nothing(workplace: Open) -> None:
    """When the list of agents fails, the apps are unproven with that reason; none is absent."""
    place = workplace(agent_world(), "1.16.1")
    place.read(("apps",))
    before = place.value(ALL)
    place.transport = ByQuery(
        place,
        lambda url: 403 if url.params.get("mode") in ("agent", "channel") else None,
    )
    report = place.read(("apps",))["apps"]
    assert place.value(ALL) == before
    assert report.state == "unproven"
    reason = place.value("SELECT reason FROM ops.slices WHERE feed = 'apps'")
    assert "the list of mode agent failed" in reason


def test_deleted_agent_is_absent(workplace: Open) -> None:
    """Once every list is proven, an agent that none shows is marked with its rows."""
    place = workplace(agent_world(), "1.16.1")
    place.read(("apps", "agent_versions"))
    app = next(one for one in place.world.apps.values() if one.mode == "agent")
    place.world.delete_app(app.id)
    place.read(("apps",))
    gone = place.rows("SELECT app_id FROM raw.apps WHERE absent_since IS NOT NULL")
    assert gone == [(app.id,)]
    assert place.value("SELECT count(*) FROM raw.agent_versions WHERE absent_since IS NULL") == 0


def test_app_of_an_unknown_mode_is_read_with_what_answers(workplace: Open) -> None:
    """Its talks, messages and figures are loaded; what does not answer is unproven and says so."""
    place = workplace(quiet_world("chat"), "1.16.1")
    talk(place.world, at=NOW.replace(hour=10), messages=3)
    place.transport = OtherMode(place, silent=("/statistics/average-response-time",))
    reports = place.read()
    assert place.value("SELECT mode FROM raw.apps") == "supervisor"
    assert place.value("SELECT count(*) FROM raw.messages") == 3
    figures = "SELECT value FROM raw.daily_statistics WHERE metric = 'daily_messages'"
    assert place.rows(figures) != []
    assert [name for name, report in reports.items() if report.failures] == []
    told: dict[str, Any] = dict(
        place.rows("SELECT feed, max(reason) FROM ops.slices WHERE state = 'unproven' GROUP BY 1")
    )
    assert {"workflow_runs", "daily_statistics"} <= told.keys()
    assert "supervisor" in told["daily_statistics"]
    assert "supervisor" in told["workflow_runs"]


def test_list_of_a_mode_that_broke_has_failed(workplace: Open) -> None:
    """A list that does not come because the server is in trouble is no matter of rights: the feed
    says that it was not read whole.
    """
    place = workplace(agent_world(), "1.16.1")
    place.transport = ByQuery(place, lambda url: 503 if url.params.get("mode") == "agent" else None)
    report = place.read(("apps",))["apps"]
    assert report.state == "incomplete"
    assert "the list of mode agent failed" in str(report.failures[0].reason)


def test_messages_are_not_proven_without_their_lists(workplace: Open) -> None:
    """Where the list of conversations does not answer for an app of an unknown mode, no day of its
    messages is proven.
    """
    place = workplace(quiet_world("chat"), "1.16.1")
    talk(place.world, at=NOW.replace(hour=10))
    place.transport = OtherMode(place, silent=("/chat-conversations",))
    reports = place.read(TALK)
    assert set(reports["conversations"].states) == {"unproven"}
    states = place.rows("SELECT DISTINCT state FROM ops.slices WHERE feed = 'messages'")
    assert states == [("unproven",)]
    reason = place.value("SELECT any_value(reason) FROM ops.slices WHERE feed = 'messages'")
    assert "supervisor" in reason


def test_404_against_the_list_is_no_deletion(workplace: Open) -> None:
    """A conversation that the list shows stays, though chat-messages answers 404 for it."""
    place = workplace(quiet_world("chat"), "1.16.1")
    talk(place.world, at=NOW.replace(hour=10))

    class NotFoundMessages(httpx.BaseTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            if request.url.path.endswith("/chat-messages"):
                gone = {"code": "not_found", "message": "Conversation Not Exists.", "status": 404}
                return httpx.Response(404, headers={"x-version": "1.16.1"}, json=gone)
            return httpx.WSGITransport(app=place.server).handle_request(request)

    place.transport = NotFoundMessages()
    report = place.read(TALK)["messages"]
    assert place.value("SELECT count(absent_since) FROM raw.conversations") == 0
    assert "although the list shows" in str(report.failures[0].reason)
