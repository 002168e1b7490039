"""What is asked before its feed is read: the lists of apps, while the file is opened."""

from concurrent.futures import Future
from dataclasses import dataclass

from dify_etl.background import in_background
from dify_etl.dify.app_list import AppsWalk
from dify_etl.dify.app_records import App
from dify_etl.dify.client import DifyClient
from dify_etl.dify.http.usage import Spent
from dify_etl.dify.paging import WalkProof
from dify_etl.sync.walks import Rows

APPS = "apps"


@dataclass(frozen=True)
class ListedApps:
    """The apps of all modes, what that proves, and whether one of the lists did not come."""

    rows: Rows[App]
    proof: WalkProof
    is_broken: bool


@dataclass(frozen=True)
class AppsAhead:
    """The lists, when they have come; `before` is what the client had spent on apps until then."""

    listed: Future[ListedApps]
    before: Spent


def list_apps(dify: DifyClient) -> ListedApps:
    """GET /apps in all modes. Which workspace answered is to be asked before and after it."""
    walk = dify.apps.walk()
    rows = Rows(walk.key)
    for page in walk:
        rows.add(page)
    return ListedApps(rows, walk.proof, isinstance(walk, AppsWalk) and walk.is_broken)


def list_apps_ahead(dify: DifyClient) -> AppsAhead:
    """Ask for them on a thread of its own; call it once the workspace has answered."""
    before = dify.usage.spent(APPS)
    with dify.labelled(APPS):
        return AppsAhead(in_background(lambda: list_apps(dify)), before)
