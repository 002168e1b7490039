"""The logs of agents, read beside the lists of their conversations: a talk that one of both shows
is there, and a day is proven by both.

Talks of workflows in which an agent is a node stand in its log as well. They belong to the app of
the workflow, whose feeds read them; where no list shows that app, the log is all that tells of
them, and they are loaded as talks of the agent.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

import polars as pl

from dify_etl.dify.agents import AgentLog, AgentLogMessage
from dify_etl.dify.conversations import Conversation
from dify_etl.dify.errors import DifyError, UnexpectedAnswer
from dify_etl.dify.paging import WalkProof
from dify_etl.dify.record import Rejected
from dify_etl.raw.tables import SOURCE_COLUMNS, raw_table
from dify_etl.sync.fetching import FATAL
from dify_etl.sync.framed_rows import FramedRows
from dify_etl.sync.run import Sync
from dify_etl.sync.walks import TimedList
from dify_etl.sync.windows import windows_of
from dify_etl.time_zones import local_date
from dify_etl.warehouse.tables import frame

# A conversation begins with its first question, a moment before or after it.
BESIDE = timedelta(minutes=1)
_SOURCES = tuple(column.name for column in SOURCE_COLUMNS)
_MOMENT = pl.Datetime("us", "UTC")
_SCHEMA = pl.Schema(
    {
        "conversation_id": pl.String(),
        "title": pl.String(),
        "from_end_user_id": pl.String(),
        "last_message_at": _MOMENT,
        "updated_at": _MOMENT,
    }
    | {name: pl.String() for name in _SOURCES}
    | {"is_of_unknown_app": pl.Boolean()}
)


@dataclass(frozen=True)
class LoggedApp:
    """An agent's app; `held` are the conversations in the warehouse, by id, with their updated_at,
    `flows` the apps that the lists show: their own feeds read the talks in which the agent is a
    node.
    """

    app_id: str
    agent_id: str
    held: Mapping[str, datetime | None]
    flows: frozenset[str]


@dataclass
class LoggedConversations:
    """What the log tells of an app's own talks, a row per talk and source.

    `doubts` are days that it does not prove, `error` why it could not be read at all. `listed` are
    talks that were new here and that the list shows after all, `unlisted` rows of raw.conversations
    that it does not show. `of_unknown_apps` are rows of talks that may be those of another app.
    """

    rows: pl.DataFrame
    of_unknown_apps: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=_SCHEMA))
    doubts: dict[date, str] = field(default_factory=dict)
    requests: int = 0
    rejected: list[Rejected] = field(default_factory=list)
    unknown: set[str] = field(default_factory=set)
    error: DifyError | None = None
    listed: list[Conversation] = field(default_factory=list)
    unlisted: list[dict[str, object]] = field(default_factory=list)

    @property
    def ids(self) -> pl.DataFrame:
        """The talks that are there, as keys of raw.conversations: those of unknown apps as well."""
        every = pl.concat([self.rows, self.of_unknown_apps])
        return every.select("conversation_id").unique()

    @property
    def sources(self) -> pl.DataFrame:
        """What started each talk: the key and the source columns of raw.conversations."""
        return self.rows.select("conversation_id", *_SOURCES).unique("conversation_id", keep="last")

    @property
    def unlisted_rows(self) -> pl.DataFrame:
        """`unlisted` as a frame of raw.conversations."""
        return frame(raw_table("conversations"), self.unlisted, (*_UNLISTED, *_SOURCES))

    def proves(self, days: Collection[date]) -> bool:
        """Whether these days can be believed to show all talks that the log has."""
        return self.error is None and not self.rejected and self.doubts.keys().isdisjoint(days)


# The columns of a conversation that the log tells, by its row and by its messages.
_UNLISTED = (
    *("conversation_id", "app_id", "name", "from_source", "from_end_user_id", "from_account_id"),
    *("created_at", "updated_at", "message_count"),
)


def walk_logs(
    sync: Sync, app: LoggedApp, days: Sequence[date], bound: datetime
) -> LoggedConversations:
    """The log of an agent over the days, up to the bound; an error of it costs the proof alone."""
    conversations = LoggedConversations(pl.DataFrame(schema=_SCHEMA))
    ask = sync.dify.agents.logs_page
    timed: TimedList[AgentLog, FramedRows[AgentLog]] = TimedList(
        lambda start, end, page, limit: ask(
            app.app_id, app.agent_id, page, limit, start=start, end=end
        ),
        key=lambda row: row.key,
        collect=lambda: FramedRows(_frame, lambda row: row.key),
        together=sync.together,
        most_pages=sync.dify.bounds.pages,
    )
    frames = [conversations.rows]
    try:
        for window in windows_of(days, sync.rules.zone):
            for read in timed.read(window, bound):
                frames.append(read.rows.rows)
                conversations.requests += read.rows.requests
                conversations.rejected += read.rows.rejected.values()
                conversations.unknown |= read.rows.unknown
                if read.window is not None and read.reason is not None:
                    conversations.doubts |= dict.fromkeys(read.window.days, read.reason)
    except FATAL:
        raise
    except DifyError as error:
        conversations.error = error
    _divide(conversations, pl.concat(frames), app)
    return conversations


def _divide(conversations: LoggedConversations, rows: pl.DataFrame, app: LoggedApp) -> None:
    """Take in the rows of the app's own talks. A talk is of another app as soon as one of its rows
    says so.
    """
    of_flows = rows.filter(pl.col("source_app_id").is_in(list(app.flows)))
    rows = rows.join(of_flows.select("conversation_id").unique(), on="conversation_id", how="anti")
    conversations.rows = rows.filter(~pl.col("is_of_unknown_app"))
    conversations.of_unknown_apps = rows.filter(pl.col("is_of_unknown_app")).join(
        conversations.rows, on="conversation_id", how="anti"
    )


def _frame(records: Sequence[AgentLog]) -> pl.DataFrame:
    values = [
        (
            *(row.conversation_id, row.title, row.from_end_user_id, row.last_message_at),
            row.updated_at,
            *(getattr(row, name) for name in _SOURCES),
            row.is_of_unknown_app,
        )
        for row in records
    ]
    return pl.DataFrame(values, schema=_SCHEMA, orient="row")


def look_up_unlisted(
    sync: Sync,
    app: LoggedApp,
    conversations: LoggedConversations,
    shown: Mapping[str, datetime | None],
) -> None:
    """Find out about talks that the list did not show and that are not held as they are now: fills
    `listed` and `unlisted`. `shown` are those of the list, with their `created_at`.

    One that may be of another app leaves its day in doubt. One that cannot be looked up may have an
    odd id: of which talk the log speaks is not known then, so that the days of all that have no
    place in it are in doubt.
    """
    for row in _unknown(app, conversations.of_unknown_apps, shown):
        conversations.doubts[_day(sync, row["last_message_at"])] = (
            f"talk {row['conversation_id']}: its source cannot be read"
        )
    logged = set(conversations.ids["conversation_id"])
    for row in _unknown(app, conversations.rows, shown):
        try:
            found = _look_up(sync, app, row)
        except FATAL:
            raise
        except DifyError as error:
            newest = row["last_message_at"]
            began = [at for one, at in shown.items() if one not in logged and at is not None]
            days = {_day(sync, at) for at in began if newest is None or at <= newest}
            reason = f"talk {row['conversation_id']}: {error.what}"
            conversations.doubts |= dict.fromkeys(days | {_day(sync, newest)}, reason)
            continue
        if isinstance(found, Conversation):
            conversations.listed.append(found)
        else:
            conversations.unlisted.append(found)


def _day(sync: Sync, at: datetime | None) -> date:
    return local_date(at or sync.now, sync.rules.zone)


def _unknown(
    app: LoggedApp, rows: pl.DataFrame, shown: Collection[str]
) -> Iterator[dict[str, datetime]]:
    rows = rows.sort("last_message_at", nulls_last=False)
    rows = rows.unique("conversation_id", keep="last", maintain_order=True)
    rows = rows.filter(~pl.col("conversation_id").is_in(list(shown)))
    for row in rows.iter_rows(named=True):
        held, newest = app.held.get(row["conversation_id"]), row["last_message_at"]
        if held is None or newest is None or newest > held:
            yield row


def _look_up(
    sync: Sync, app: LoggedApp, row: Mapping[str, object]
) -> Conversation | dict[str, object]:
    """The talk as the list shows it, or as the log does. UnexpectedAnswer when neither does: it is
    gone meanwhile, or its id is none, and then the talk that was meant has no source.
    """
    talk_id = str(row["conversation_id"])
    walk = sync.dify.agents.log_messages_walk(app.agent_id, talk_id)
    messages: dict[str, AgentLogMessage] = {}
    rejected = 0
    for page in walk:
        messages.update((one.message_id, one) for one in page.records)
        rejected += len(page.rejected)
    if doubt := _doubt(rejected, walk.proof, len(messages)):
        raise UnexpectedAnswer(
            doubt,
            where="GET /agent/{agent_id}/logs/{conversation_id}/messages",
            hint="It is read again the next night.",
        )
    began = min(one.created_at for one in messages.values())
    listed = sync.dify.conversations.chat_walk(app.app_id, start=began - BESIDE, end=began + BESIDE)
    for shown in listed:
        for conversation in shown.records:
            if conversation.conversation_id == talk_id:
                return conversation
    return _as_conversation(app, row, list(messages.values()), began)


def _doubt(rejected: int, proof: WalkProof, messages: int) -> str | None:
    """Why the log of a talk cannot be believed."""
    if rejected:
        return f"{rejected} messages of its log could not be read"
    if not proof.is_proven:
        return f"its log is not proven: {proof.reason}"
    return None if messages else "the log names it and shows no message of it"


def _as_conversation(
    app: LoggedApp, row: Mapping[str, object], messages: list[AgentLogMessage], began: datetime
) -> dict[str, object]:
    accounts = [one.from_account_id for one in messages if one.from_account_id]
    return {
        "conversation_id": row["conversation_id"],
        "app_id": app.app_id,
        "name": row["title"],
        "from_source": "console" if accounts else "api",
        "from_end_user_id": row["from_end_user_id"],
        "from_account_id": accounts[0] if accounts else None,
        "created_at": began,
        "updated_at": max(one.updated_at or one.created_at for one in messages),
        "message_count": len(messages),
        **{name: row[name] for name in _SOURCES},
    }
