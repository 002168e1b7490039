"""What this account could read, feed by feed, before the first night: one small request each.

Where rights are set app by app, an app's row tells `permission_keys`: apps with the same keys and
mode are asked about once.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from itertools import islice

from dify_etl.dify.app_modes import CHAT_MODES, CHATFLOW_MODES, COMPLETION_MODES, WORKFLOW_MODES
from dify_etl.dify.app_records import App
from dify_etl.dify.client import DifyClient
from dify_etl.dify.errors import AppGone, DifyError, NotFound
from dify_etl.dify.record import Batch
from dify_etl.dify.statistics import StatisticMetric
from dify_etl.feeds.table import FEEDS
from dify_etl.feeds.whole_lists import Answer, AppList, WholeList
from dify_etl.sync.fetching import Fetched, attempt
from dify_etl.sync.known_apps import KnownApp

# An id that nothing has: Dify looks at the role before it looks for the object.
NOTHING = "00000000-0000-4000-8000-000000000000"
FLOWS = (*WORKFLOW_MODES, *CHATFLOW_MODES)


@dataclass(frozen=True)
class Unreadable:
    """A feed that cannot be read: of these apps (none: of the workspace), for this reason; or that
    Dify took away, which lacks nothing.
    """

    feed: str
    apps: tuple[str, ...]
    error: DifyError
    is_taken_away: bool = False


def unreadable_feeds(dify: DifyClient, left_out: Collection[str] = ()) -> Iterator[Unreadable]:
    """Ask for one row of every feed but those left out; yield what was refused, is not there, or
    failed. A lost session is raised.
    """
    for feed, asked in _ASKED.items():
        if feed in left_out:
            continue
        if isinstance(asked, WholeList):
            answer = attempt(feed, partial(asked.ask_first, dify))
            if answer.error is not None:
                yield Unreadable(feed, (), answer.error)
    apps = attempt("apps", lambda: list(dify.apps.list())).result or []
    for feed, asked in _ASKED.items():
        if isinstance(asked, AppList):
            yield from _of_apps(
                dify, feed, [app for app in apps if asked.is_for(_known(app))], asked
            )


def _known(app: App) -> KnownApp:
    return KnownApp(app.app_id, app.name, app.mode, app.agent_id)


def _of_apps(dify: DifyClient, feed: str, apps: list[App], lists: AppList) -> Iterator[Unreadable]:
    """Apps of one refusal together, as they were asked by mode and permission keys."""
    alike: dict[tuple[str, str | None], list[App]] = defaultdict(list)
    for app in apps:
        alike[app.mode, app.permission_keys].append(app)
    refused: dict[str, tuple[DifyError, list[str]]] = {}
    for group in alike.values():
        asked = _asked(group, lambda app: lists.ask_first(dify, _known(app)))
        if asked.error is not None:
            _, names = refused.setdefault(_cause(asked.error), (asked.error, []))
            names += [app.name for app in group]
    for error, names in refused.values():
        yield Unreadable(
            feed,
            () if len(names) == len(apps) else tuple(names),
            error,
            lists.is_taken_away(dify, error),
        )


def _asked(group: list[App], ask: Callable[[App], object]) -> Fetched[str, object]:
    """The answer for the first of these apps that is still there; no object is no refusal."""
    for app in islice(group, 3):
        asked = attempt(app.app_id, partial(ask, app))
        if not isinstance(asked.error, NotFound):
            return asked
        if not isinstance(asked.error, AppGone):
            break
    return Fetched("", None)


def _cause(error: DifyError) -> str:
    return f"{type(error).__name__} {error.hint}"


def _first_documents(dify: DifyClient) -> Answer:
    for dataset in dify.datasets.page(1, 1).records:
        return dify.datasets.documents_page(dataset.dataset_id, 1, 1)
    return Batch(())


def _first_segments(dify: DifyClient) -> Answer:
    for dataset in dify.datasets.page(1, 10).records:
        for document in dify.datasets.documents_page(dataset.dataset_id, 1, 1).records:
            return dify.datasets.segments_page(dataset.dataset_id, document.document_id, 1, 1)
    return Batch(())


def _statistics(dify: DifyClient, app: KnownApp) -> Answer:
    now = dify.server_time().replace(second=0, microsecond=0)
    for metric in StatisticMetric.of_mode(app.mode):
        return dify.statistics.daily(app.app_id, metric, now - timedelta(hours=1), now)
    return Batch(())


def _conversations(dify: DifyClient, app: KnownApp) -> Answer:
    conversations = dify.conversations
    if app.mode in COMPLETION_MODES:
        return conversations.completion_page(app.app_id, 1, 1)
    page = conversations.chat_page(app.app_id, 1, 1)
    return page if app.agent_id is None else dify.agents.logs_page(app.app_id, app.agent_id, 1, 1)


# The small request for feeds that are more than one list.
_SMALL: Mapping[str, WholeList | AppList] = {
    "apps": WholeList(lambda dify: dify.apps.page(1, 1)),
    "documents": WholeList(_first_documents),
    "document_segments": WholeList(_first_segments),
    "daily_statistics": AppList(_statistics),
    "conversations": AppList(_conversations, modes=(*CHAT_MODES, *COMPLETION_MODES)),
    "messages": AppList(
        lambda dify, app: dify.conversations.messages_page(app.app_id, NOTHING, limit=1),
        modes=CHAT_MODES,
    ),
    "workflow_runs": AppList(
        lambda dify, app: dify.workflows.runs_page(app.app_id, None, 1), modes=FLOWS
    ),
    "node_executions": AppList(
        lambda dify, app: dify.workflows.node_executions(app.app_id, NOTHING), modes=FLOWS
    ),
}
_ASKED: Mapping[str, WholeList | AppList] = {
    feed.name: feed.reads if isinstance(feed.reads, WholeList | AppList) else _SMALL[feed.name]
    for feed in FEEDS
}
