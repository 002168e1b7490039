"""Conversations and messages: windows in the account's zone, every message once, in order."""

from datetime import UTC, date, datetime

import httpx
import pytest

from dify_etl.dify.errors import AppGone, UnexpectedAnswer
from dify_etl.time_zones import zone_of
from dify_etl_tests.dify.pretend_server import PROFILE, PretendServer
from dify_etl_tests.dify.recordings import VERSIONS, Exchange, client, exchange

EMPTY = {"page": 1, "limit": 100, "total": 0, "has_more": False, "data": []}


class Asked:
    """Notes the query of each list request; the account lives in Shanghai."""

    def __init__(self, timezone: str | None = "Asia/Shanghai") -> None:
        self.queries: list[httpx.QueryParams] = []
        self.profiles = 0
        self.timezone = timezone
        self.server = PretendServer(answer=self._answer)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/profile"):
            self.profiles += 1
            return httpx.Response(200, json={**PROFILE, "timezone": self.timezone})
        self.queries.append(request.url.params)
        return httpx.Response(200, json=EMPTY)


def playing(recorded: Exchange) -> PretendServer:
    return PretendServer(answer=lambda request: recorded.response())


def test_window_is_told_in_the_accounts_zone() -> None:
    """An instant becomes the wall time of the account, to the minute; the zone is asked once."""
    asked = Asked()
    conversations = client(asked.server).conversations
    start, end = datetime(2026, 11, 10, tzinfo=UTC), datetime(2026, 11, 11, 0, 0, 1, tzinfo=UTC)

    conversations.chat_page("a", start=start, end=end)
    conversations.completion_page("a", start=start.astimezone(zone_of("America/New_York")))

    assert asked.queries[0]["start"] == "2026-11-10 08:00"
    assert asked.queries[0]["end"] == "2026-11-11 08:01"
    assert asked.queries[1]["start"] == "2026-11-10 08:00"
    assert asked.profiles == 1


def test_chat_list_is_in_order_of_creation_by_default() -> None:
    """The server's own default moves rows while they are paged."""
    asked = Asked()

    client(asked.server).conversations.chat_page("a")

    assert asked.queries[0]["sort_by"] == "created_at"
    assert "start" not in asked.queries[0]
    assert asked.profiles == 0


def test_account_without_zone_is_told() -> None:
    """Without a zone no window can be asked for; the error says what to set."""
    asked = Asked(timezone=None)

    with pytest.raises(UnexpectedAnswer) as caught:
        client(asked.server).conversations.chat_page("a", start=datetime.now(UTC))

    assert "UTC" in caught.value.hint


@pytest.mark.parametrize("version", VERSIONS)
def test_messages_come_newest_first_and_the_view_in_order(version: str) -> None:
    """Dify sends the newest page, oldest row first; both directions come out right."""
    recorded = exchange(version, "logs", "chat-messages-agent")
    server = playing(recorded)
    ids = [row["id"] for row in recorded.body["data"]]
    conversations = client(server).conversations
    chats = exchange(version, "logs", "chat-conversations-limit100")
    conversation = client(playing(chats)).conversations.chat_page("a").records[0]

    newest_first = [message.message_id for message in conversations.messages("a", "c")]
    view = conversations.view("a", conversation)

    assert newest_first == ids[::-1]
    assert [message.message_id for message in view.messages] == ids


@pytest.mark.parametrize("version", VERSIONS)
def test_long_recorded_conversation_is_walked_whole(version: str) -> None:
    """Three recorded pages of one conversation come out as all its messages, each once."""
    pages = [
        exchange(version, "logs", f"chat-messages-limit100{which}")
        for which in ("", "-second", "-third")
    ]
    everything = {row["id"] for page in pages for row in page.body["data"]}
    by_id = {row["id"]: row for page in pages for row in page.body["data"]}

    def answer(request: httpx.Request) -> httpx.Response:
        cursor = request.url.params.get("first_id")
        at = by_id[cursor]["created_at"] if cursor else float("inf")
        older = sorted(
            (row for row in by_id.values() if row["created_at"] < at),
            key=lambda row: row["created_at"],
        )
        body = {"limit": 100, "has_more": len(older) > 100, "data": older[-100:]}
        return httpx.Response(200, json=body)

    walk = client(PretendServer(answer=answer)).conversations.message_walk("a", "c")
    found = {message.message_id for page in walk for message in page}

    assert found == everything
    assert walk.proof.is_proven


@pytest.mark.parametrize("version", VERSIONS)
def test_completion_detail_has_the_message(version: str) -> None:
    """The detail of a completion conversation holds the message that the list keeps back."""
    recorded = exchange(version, "logs", "completion-conversation-get")

    detail = client(playing(recorded)).conversations.completion_detail("a", "c")

    assert detail.message is not None
    assert detail.message.app_id == "a"
    assert detail.message.message_tokens == recorded.body["message"]["message_tokens"]


def test_feedback_export_is_typed() -> None:
    """Texts of the export become a rating, an aware time, a flag; blanks become null."""
    recorded = exchange("1.12.1", "logs", "feedbacks-export-json")

    found = client(playing(recorded)).conversations.feedback_export("a").records[0]

    assert (found.rating, found.from_source, found.has_comment) == ("dislike", "user", True)
    assert found.created_at == datetime(2026, 11, 20, 19, 0, 49, tzinfo=UTC)
    assert found.from_account_name is None


def test_feedback_export_days_are_dates() -> None:
    """The export is asked for by UTC days."""
    asked: list[httpx.QueryParams] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.params)
        return httpx.Response(200, json={"feedback_data": []})

    conversations = client(PretendServer(answer=answer)).conversations
    conversations.feedback_export("a", start_date=date(2026, 11, 1), has_comment=True)

    assert dict(asked[0]) == {"format": "json", "start_date": "2026-11-01", "has_comment": "true"}


@pytest.mark.parametrize("version", VERSIONS)
def test_app_of_another_mode_is_gone(version: str) -> None:
    """A workflow app has no conversations: the error says that the mode may be the reason."""
    recorded = exchange(version, "logs", "chat-conversations-app-workflow")

    with pytest.raises(AppGone) as caught:
        client(playing(recorded)).conversations.chat_page("a")

    assert "mode" in caught.value.hint
