"""Before the first night: which feeds and apps this account cannot read."""

from typing import Any

import httpx
import pytest

from dify_etl.dify.errors import NoSuchEndpoint, NotShown
from dify_etl.feeds.looking_ahead import unreadable_feeds
from dify_etl_tests.dify.recordings import exchange
from dify_etl_tests.sync.answers_changed import ChangedAnswers, Forbidding, Without, rows_changed
from dify_etl_tests.sync.conftest import Open
from dify_etl_tests.sync.small_worlds import quiet_world

MODES = ("chat", "agent-chat", "workflow", "completion", "advanced-chat")
WITHOUT_LOGS = {"conversations", "messages", "annotations", "workflow_versions"}


@pytest.mark.parametrize("version", ["1.0.0", "1.7.2", "1.9.2", "1.12.1", "1.15.0"])
@pytest.mark.parametrize(
    ("role", "hidden"), [("owner", set()), ("editor", set()), ("normal", WITHOUT_LOGS)]
)
def test_feeds_that_a_role_is_not_shown(
    workplace: Open, version: str, role: str, hidden: set[str]
) -> None:
    """Asked of the server, one row each: what is refused is named, and nothing else."""
    place = workplace(quiet_world(*MODES), version)
    place.world.set_role(role)
    if version in ("1.0.0", "1.7.2"):
        hidden = hidden - {"messages"}  # any member up to 1.7
    with place.client() as dify:
        found = list(unreadable_feeds(dify))
    assert {(one.feed, one.apps) for one in found} == {(feed, ()) for feed in hidden}
    assert all(isinstance(one.error, NotShown) for one in found)


def test_right_of_one_app_is_told_of_that_app(workplace: Open) -> None:
    """Apps whose recorded permission keys differ are asked apart; those alike are asked once."""
    place = workplace(quiet_world("chat", "chat", "chat", "chat"))
    closed = [*place.world.apps][2:]
    keys = {
        name: exchange("main-2026-08", "apps", name).body["data"][0]["permission_keys"]
        for name in ("list-as-editor", "list-normal-member")
    }

    def told(_: int, row: dict[str, Any]) -> dict[str, Any]:
        name = "list-normal-member" if row["id"] in closed else "list-as-editor"
        return {**row, "name": row["id"], "permission_keys": keys[name]}

    inner = httpx.WSGITransport(app=place.server)
    forbidding = Forbidding(
        inner, lambda path: path.endswith("/annotations") and any(one in path for one in closed)
    )
    place.transport = ChangedAnswers(forbidding, rows_changed("api/apps", told))
    with place.client() as dify:
        (found,) = unreadable_feeds(dify)
    assert (found.feed, set(found.apps)) == ("annotations", set(closed))
    assert forbidding.refused == 1


def test_feed_that_is_left_out_is_not_asked(workplace: Open) -> None:
    """Segments are asked for where the settings say so: of one document, one."""
    place = workplace(quiet_world("chat"))
    place.transport = Without(httpx.WSGITransport(app=place.server), "/segments")
    with place.client() as dify:
        assert list(unreadable_feeds(dify, ["document_segments"])) == []
        (found,) = unreadable_feeds(dify)
    assert found.feed == "document_segments"


def test_endpoint_that_is_gone_is_named(workplace: Open) -> None:
    """A server without a route has one feed less, and the finding says which and why."""
    place = workplace(quiet_world("chat"))
    inner = httpx.WSGITransport(app=place.server)
    place.transport = Without(inner, "/annotations")
    with place.client() as dify:
        (found,) = unreadable_feeds(dify)
    assert found.feed == "annotations"
    assert isinstance(found.error, NoSuchEndpoint)
    assert "no such endpoint" in str(found.error)
