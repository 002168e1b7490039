"""Whether Dify's rules of the account's zone are ours: told by its newest conversation."""

from datetime import timedelta

from dify_etl.dify.app_records import App
from dify_etl.dify.client import DifyClient
from dify_etl.sync.app_modes import CHAT_MODES
from dify_etl.sync.fetching import attempt

MOST_APPS = 5
# By how much rules of one zone ever differ between releases of tzdata.
SHIFTS = tuple(
    timedelta(minutes=minutes * side) for minutes in (60, 30, 120, 180) for side in (1, -1)
)


def told_days_differ(dify: DifyClient) -> str | None:
    """A sentence when the server puts rows into other local days than we do; None when it agrees,
    or when no conversation is there to ask about.

    GET chat-conversations of the minute in which a conversation began, by our rules: a server with
    the same rules finds it. Two small requests when all is well.
    """
    apps = attempt("apps", lambda: list(dify.apps.list())).result or []
    for app in [one for one in apps if one.mode in CHAT_MODES][:MOST_APPS]:
        asked = attempt(app.app_id, lambda app=app: _shift(dify, app))  # type: ignore[misc]
        if asked.error is None and asked.result is not None:
            return None if asked.result == "none" else asked.result
    return None


def _shift(dify: DifyClient, app: App) -> str | None:
    """How the server's clock differs at the newest conversation: "none", or a sentence; None where
    the app has no conversation.
    """
    newest = dify.conversations.chat_page(app.app_id, 1, 1, sort_by="-created_at").records
    if not newest:
        return None
    at, row_id = newest[0].created_at, newest[0].conversation_id
    for shift in (timedelta(0), *SHIFTS):
        page = dify.conversations.chat_page(
            app.app_id, 1, 100, start=at + shift, end=at + shift, sort_by="created_at"
        )
        if row_id in {one.conversation_id for one in page.records}:
            return "none" if not shift else _sentence(dify, shift)
    return None


def _sentence(dify: DifyClient, shift: timedelta) -> str:
    zone, minutes = dify.account.zone().key, abs(shift) // timedelta(minutes=1)
    side = "ahead of" if shift > timedelta(0) else "behind"
    return f"the server's clock of {zone} is {minutes} minutes {side} that of tzdata"
