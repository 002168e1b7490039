"""The ledger rows of feed messages, and of completion apps' messages, which the lists bring."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import date

from dify_etl.dify.app_modes import CHAT_MODES, COMPLETION_MODES
from dify_etl.sync.days import AppDay, days_to_read, is_over, rows_by_day
from dify_etl.sync.feed_loader import FeedLoader
from dify_etl.sync.known_apps import asked_apps
from dify_etl.sync.report import Slice
from dify_etl.sync.rights import NOT_SHOWN
from dify_etl.sync.run import Sync

LISTED_ONLY = (
    "the list of completion logs tells no message id, tokens or latency; "
    "DIFY_ETL_COMPLETION_DETAIL=true reads them and marks the logs as read in Dify"
)


def close_message_slices(loader: FeedLoader) -> None:
    """Say per app and day whether its messages are all there.

    A day is as good as the worst conversation that was alive on it, and as the day's lists.
    """
    sync = loader.sync
    held = rows_by_day(sync.database, "messages")
    slices = [*_chat_slices(sync, held), *_completion_slices(sync, held)]
    with loader.commit():
        loader.close_slices(slices)


def _chat_slices(sync: Sync, held: Counter[AppDay]) -> Iterator[Slice]:
    doubts, unseen = _doubts(sync, OPEN), _doubts(sync, NOT_FOR_ROLE)
    beyond = _doubts(sync, BEYOND)
    lists, hidden = _list_reasons(sync), _hidden_lists(sync)
    apps = tuple(app.app_id for app in asked_apps(sync, *CHAT_MODES))
    for one in days_to_read(sync, "messages", apps, is_asked=False):
        for day in one.all:
            doubt = lists.get((one.app_id, day)) or _doubt_on(doubts[one.app_id], day)
            weak = hidden.get((one.app_id, day)) or _hidden_on(unseen[one.app_id], day)
            weak = weak or _doubt_on(beyond[one.app_id], day)
            yield Slice.judged(
                one.app_id,
                day,
                held[one.app_id, day],
                missing=doubt,
                doubt=weak,
                is_settled=is_over(sync, day),
            )


Doubt = tuple[date, date, str]
# Kinds of conversations that are not proven, as SQL: those that may be read yet, those that this
# role is not shown, and those that nothing shows to this account.
NOT_FOR_ROLE = f"coalesce(r.reason, '') LIKE '{NOT_SHOWN}%'"
BEYOND = f"r.state = 'unproven' AND NOT {NOT_FOR_ROLE}"
# Logs of completion apps were asked for only where they may be opened.
OF_LOG = "a.mode = 'completion' AND r.state IS NOT NULL"
OF_TALK = "a.mode <> 'completion'"
OPEN = f"coalesce(r.state, 'unread') <> 'unproven' AND NOT {NOT_FOR_ROLE}"


def _doubts(sync: Sync, which: str, among: str = OF_TALK) -> dict[str, list[Doubt]]:
    """Per app: conversations that are not proven, with the days on which they were alive; `which`
    (SQL over their reads r) names the kind, `among` (over apps a and reads) the conversations.
    """
    rows = sync.database.rows(
        f"""SELECT c.app_id, c.conversation_id, c.created_date,
            greatest(c.updated_date, c.created_date),
            coalesce(r.reason, 'not read yet')
        FROM raw.conversations c JOIN raw.apps a USING (app_id)
        LEFT JOIN ops.conversation_reads r USING (conversation_id)
        WHERE c.absent_since IS NULL AND {among}
          AND coalesce(r.state, 'unread') NOT IN ('proven', 'absent')
          AND {which}"""
    )
    doubts: dict[str, list[Doubt]] = defaultdict(list)
    for app_id, conversation_id, first, last, reason in rows:
        told = f"conversation {conversation_id}: {reason}" if which != NOT_FOR_ROLE else reason
        doubts[app_id].append((first, last, told))
    return doubts


def _doubt_on(doubts: list[Doubt], day: date) -> str | None:
    found = [reason for first, last, reason in doubts if first <= day <= last]
    return f"{len(found)} conversations in doubt, first: {found[0]}" if found else None


def _hidden_on(hidden: list[Doubt], day: date) -> str | None:
    return next((reason for first, last, reason in hidden if first <= day <= last), None)


def _hidden_lists(sync: Sync) -> dict[AppDay, str]:
    """Days whose conversation lists prove nothing, as the account is not shown them or the app's
    mode is not known: so it is with their messages.
    """
    rows = sync.database.rows(
        "SELECT app_id, slice_date, reason FROM ops.slices "
        "WHERE feed = 'conversations' AND state = 'unproven' "
        "AND reason IS DISTINCT FROM in_quarantine"
    )
    return {(app_id, day): reason for app_id, day, reason in rows}


def _list_reasons(sync: Sync) -> dict[AppDay, str]:
    """Days whose conversation lists are themselves not proven."""
    rows = sync.database.rows(
        "SELECT app_id, slice_date, reason FROM ops.slices "
        "WHERE feed = 'conversations' AND state IN ('incomplete', 'failed')"
    )
    return {(app_id, day): f"conversation list: {reason}" for app_id, day, reason in rows}


def _completion_slices(sync: Sync, held: Counter[AppDay]) -> Iterator[Slice]:
    """Completion apps: proven only where every log of the day was opened."""
    unopened = {
        (app_id, day)
        for app_id, day in sync.database.rows(
            """SELECT DISTINCT app_id, created_date FROM raw.messages
            WHERE message_source = 'list' AND absent_since IS NULL"""
        )
    }
    lists, hidden = _list_reasons(sync), _hidden_lists(sync)
    doubts, unseen = _doubts(sync, OPEN, OF_LOG), _doubts(sync, NOT_FOR_ROLE, OF_LOG)
    apps = tuple(app.app_id for app in asked_apps(sync, *COMPLETION_MODES))
    for one in days_to_read(sync, "messages", apps, is_asked=False):
        for day in one.all:
            slice_id = (one.app_id, day)
            only_listed = LISTED_ONLY if slice_id in unopened else None
            doubt = lists.get(slice_id) or _doubt_on(doubts[one.app_id], day)
            weak = hidden.get(slice_id) or _hidden_on(unseen[one.app_id], day) or only_listed
            yield Slice.judged(
                *slice_id,
                held[slice_id],
                missing=doubt,
                doubt=weak,
                is_settled=is_over(sync, day),
            )
