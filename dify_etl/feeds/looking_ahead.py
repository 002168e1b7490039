"""What this account could read, feed by feed, before the first night: one small request each.

Where rights are set app by app, an app's row tells `permission_keys`: apps with the same keys and
mode are asked about once.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice

from dify_etl.dify.app_modes import (
    AGENT_MODES,
    CHAT_MODES,
    CHATFLOW_MODES,
    COMPLETION_MODES,
    WORKFLOW_MODES,
)
from dify_etl.dify.app_records import App
from dify_etl.dify.client import DifyClient
from dify_etl.dify.errors import AppGone, DifyError, NoSuchEndpoint, NotFound
from dify_etl.dify.statistics import StatisticMetric
from dify_etl.sync.fetching import Fetched, attempt

# An id that nothing has: Dify looks at the role before it looks for the object.
NOTHING = "00000000-0000-4000-8000-000000000000"
TALKS = (*CHAT_MODES, *COMPLETION_MODES)
FLOWS = (*WORKFLOW_MODES, *CHATFLOW_MODES)


@dataclass(frozen=True)
class Unreadable:
    """A feed that cannot be read: of these apps (none: of the workspace), for this reason."""

    feed: str
    apps: tuple[str, ...]
    error: DifyError


def unreadable_feeds(dify: DifyClient) -> Iterator[Unreadable]:
    """Ask for one row of every feed; yield what was refused, is not there, or failed.

    A lost session is raised.
    """
    for feed, ask in _OF_WORKSPACE.items():
        asked = attempt(feed, lambda ask=ask: ask(dify))  # type: ignore[misc]
        if asked.error is not None:
            yield Unreadable(feed, (), asked.error)
    apps = attempt("apps", lambda: list(dify.apps.list())).result or []
    for feed, (modes, ask_app) in _OF_APPS.items():
        yield from _of_apps(
            dify, feed, [app for app in apps if not modes or app.mode in modes], ask_app
        )


def _of_apps(
    dify: DifyClient, feed: str, apps: list[App], ask: Callable[[DifyClient, App], object]
) -> Iterator[Unreadable]:
    """Apps of one refusal together, as they were asked by mode and permission keys."""
    alike: dict[tuple[str, str | None], list[App]] = defaultdict(list)
    for app in apps:
        alike[app.mode, app.permission_keys].append(app)
    refused: dict[str, tuple[DifyError, list[str]]] = {}
    for group in alike.values():
        asked = _asked(group, lambda app: ask(dify, app))
        if asked.error is not None:
            _, names = refused.setdefault(_cause(asked.error), (asked.error, []))
            names += [app.name for app in group]
    for error, names in refused.values():
        yield Unreadable(feed, () if len(names) == len(apps) else tuple(names), error)


def _asked(group: list[App], ask: Callable[[App], object]) -> Fetched[str, object]:
    """The answer for the first of these apps that is still there; no object is no refusal."""
    for app in islice(group, 3):
        asked = attempt(app.app_id, lambda app=app: ask(app))  # type: ignore[misc]
        if not isinstance(asked.error, NotFound):
            return asked
        if not isinstance(asked.error, AppGone):
            break
    return Fetched("", None)


def _cause(error: DifyError) -> str:
    return f"{type(error).__name__} {error.hint}"


def _first_documents(dify: DifyClient) -> None:
    for dataset in dify.datasets.page(1, 1).records:
        dify.datasets.documents_page(dataset.dataset_id, 1, 1)


def _statistics(dify: DifyClient, app: App) -> None:
    now = dify.server_time().replace(second=0, microsecond=0)
    for metric in islice(StatisticMetric.of_mode(app.mode), 1):
        dify.statistics.daily(app.app_id, metric, now - timedelta(hours=1), now)


def _agent_versions(dify: DifyClient, app: App) -> None:
    if app.agent_id is not None:
        dify.agents.versions(app.app_id, app.agent_id)


def _triggers(dify: DifyClient, app: App) -> None:
    with suppress(NoSuchEndpoint):  # before 1.10: a server without triggers lacks nothing
        dify.workflows.triggers(app.app_id)


def _archived_runs(dify: DifyClient, app: App) -> None:
    with suppress(NoSuchEndpoint):  # before 1.12, likewise
        dify.workflows.archived_runs_page(app.app_id, 1, 1)


def _conversations(dify: DifyClient, app: App) -> None:
    talks = dify.conversations
    if app.mode in COMPLETION_MODES:
        talks.completion_page(app.app_id, 1, 1)
    else:
        talks.chat_page(app.app_id, 1, 1)
    if app.agent_id is not None:
        dify.agents.logs_page(app.app_id, app.agent_id, 1, 1)


_OF_WORKSPACE: Mapping[str, Callable[[DifyClient], object]] = {
    "apps": lambda dify: dify.apps.page(1, 1),
    "members": lambda dify: dify.members.list(),
    "dataset_api_keys": lambda dify: dify.api_keys.of_datasets(),
    "datasets": lambda dify: dify.datasets.page(1, 1),
    "documents": _first_documents,
}
# Per feed the modes of its apps (none: all) and the request.
_OF_APPS: Mapping[str, tuple[tuple[str, ...], Callable[[DifyClient, App], object]]] = {
    "app_api_keys": ((), lambda dify, app: dify.api_keys.of_app(app.app_id)),
    "annotations": (
        TALKS,
        lambda dify, app: dify.conversations.annotations_page(app.app_id, 1, 1),
    ),
    "agent_versions": (AGENT_MODES, _agent_versions),
    "app_triggers": (WORKFLOW_MODES, _triggers),
    "archived_runs": (WORKFLOW_MODES, _archived_runs),
    "daily_statistics": ((), _statistics),
    "conversations": (TALKS, _conversations),
    "messages": (
        CHAT_MODES,
        lambda dify, app: dify.conversations.messages_page(app.app_id, NOTHING, limit=1),
    ),
    "workflow_runs": (
        FLOWS,
        lambda dify, app: dify.workflows.runs_page(app.app_id, None, 1),
    ),
    "node_executions": (
        FLOWS,
        lambda dify, app: dify.workflows.node_executions(app.app_id, NOTHING),
    ),
}
ASKED_FEEDS = frozenset({*_OF_WORKSPACE, *_OF_APPS})
