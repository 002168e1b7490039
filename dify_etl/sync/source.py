"""The source is pinned: a home belongs to one server, workspace, account and time zone."""

from dataclasses import dataclass
from datetime import datetime

from dify_etl.background import in_background
from dify_etl.dify.account import Profile, Workspace
from dify_etl.dify.client import DifyClient
from dify_etl.dify.errors import (
    NoSuchEndpoint,
    NotAllowed,
    NotFound,
    Refused,
    UnexpectedAnswer,
)
from dify_etl.sync.errors import SourceChanged
from dify_etl.sync.ledger import SOURCE
from dify_etl.sync.local_days import keep_calendar
from dify_etl.sync.run import Sync, SyncRules
from dify_etl.sync.turns import others_go_on
from dify_etl.time_zones import is_same_zone, local_date, rules_digest, utc_now
from dify_etl.warehouse.database import Database
from dify_etl.warehouse.model_settings import keep_model_settings
from dify_etl.warehouse.tables import frame
from dify_etl.warehouse.upsert import put

# What may change without another source.
_MOVING = ("workspace_name", "role", "server_version", "newer_than_tested")


@dataclass(frozen=True)
class Answering:
    """Who answers: the account's profile and the workspace that it works in."""

    profile: Profile
    workspace: Workspace
    role: str | None


def ask_source(dify: DifyClient) -> Answering:
    """GET /account/profile and, beside it, the current workspace; the account's role in it."""
    asked = in_background(dify.account.profile)
    workspace = dify.account.current_workspace()
    profile = asked.result()
    try:
        role = dify.account.role_in(workspace)
    except (NotFound, NoSuchEndpoint, Refused, NotAllowed, UnexpectedAnswer):
        role = None  # only reasons and advice are the poorer for it
    return Answering(profile, workspace, role)


def pin_source(
    database: Database,
    dify: DifyClient,
    answering: Answering,
    rules: SyncRules,
    *,
    now: datetime,
) -> None:
    """Check that Dify is what this warehouse was loaded from; the first load pins it.

    SourceChanged before anything is written: another server, workspace or account, or a time zone
    that is not the account's.
    """
    profile, workspace = answering.profile, answering.workspace
    if not is_same_zone(profile.timezone, rules.zone.key):
        raise SourceChanged(
            f"the account's time zone is {profile.timezone}, days are kept in {rules.zone.key}",
            where="DIFY_ETL_TIMEZONE",
            hint=f"Set DIFY_ETL_TIMEZONE={profile.timezone} (`dify-etl doctor --write` does it): "
            "Dify counts its days in the account's zone.",
        )
    found: dict[str, object] = {
        "server_origin": dify.origin,
        "workspace_id": workspace.workspace_id,
        "account_id": profile.account_id,
        "timezone": profile.timezone,
    }
    held = next(iter(database.rows(f"SELECT {', '.join(found)} FROM ops.source")), None)
    for (name, value), pinned in zip(found.items(), held or (), strict=False):
        if name == "timezone" and is_same_zone(str(value), str(pinned)):
            found[name] = pinned  # another name of the same zone
        elif value != pinned:
            raise _changed(name, pinned, value)
    row = found | {
        "workspace_name": workspace.name,
        "role": answering.role,
        "server_version": dify.server_version,
        "newer_than_tested": dify.newer_than_tested,
        "zone_rules": rules_digest(rules.zone.key),
        "pinned_at": utc_now(),
    }
    names = [*row] if held is None else [*found, *_MOVING]
    with database.transaction():
        put(database, SOURCE, frame(SOURCE, [row], names))
        keep_calendar(database, rules.zone, rules.start_date, local_date(now, rules.zone))
        keep_model_settings(database, rules.models)


def check_source(sync: Sync) -> None:
    """Ask once more which workspace answers; SourceChanged when a person switched it meanwhile."""
    pinned = sync.database.value("SELECT workspace_id FROM ops.source")
    with others_go_on():
        current = sync.dify.account.current_workspace().workspace_id
    if current != pinned:
        raise _changed("workspace_id", pinned, current)


def check_workspace(database: Database, workspace_id: str) -> None:
    """SourceChanged when a warehouse was loaded from another workspace than this one; one that was
    loaded from none yet says nothing.
    """
    pinned = database.value("SELECT max(workspace_id) FROM ops.source")
    if pinned not in (None, workspace_id):
        raise _changed("workspace_id", pinned, workspace_id)


_IS_ANOTHER = (
    "Switch the account back in Dify's console (a switch moves every session of the account), or "
    "load the other one into a home of its own with DIFY_ETL_HOME."
)
_HINTS = {
    "server_origin": "Where Dify itself moved to this address, `dify-etl source` lets the home go "
    "on with it; another Dify is loaded into a home of its own with DIFY_ETL_HOME.",
    "account_id": "Log in as the account of before; or, where this one shall read from now on, "
    "`dify-etl source` lets the home go on with it.",
    "timezone": "Set the account's time zone in Dify back, and DIFY_ETL_TIMEZONE with it; or load "
    "everything anew into another home (DIFY_ETL_HOME): the days of this one are counted so.",
}


def _changed(name: str, pinned: object, found: object) -> SourceChanged:
    subject = name.replace("_", " ")
    return SourceChanged(
        f"this home was loaded from {subject} {pinned}, but now {subject} {found} answers",
        where="ops.source",
        hint=_HINTS.get(name, _IS_ANOTHER),
    )
