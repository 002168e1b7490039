"""The history of apps: a row of ops.app_versions per change that a read of the apps found."""

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from typing import Any

from dify_etl.dify.http.exact_json import encode
from dify_etl.dify.json_text import JsonText
from dify_etl.dify.model_config import STAMPS
from dify_etl.dify.record import instant_of
from dify_etl.sync.app_configurations import is_changed, model_in
from dify_etl.sync.ledger import APP_VERSIONS
from dify_etl.sync.run import Sync
from dify_etl.time_zones import local_date, utc_now
from dify_etl.warehouse.tables import frame
from dify_etl.warehouse.upsert import upsert

# Columns of raw.apps; what is looked up, signed, or of the reading account alone is no change.
COMPARED = (
    *("name", "mode", "agent_id", "description", "icon_type", "icon", "icon_background"),
    *("app_model_config", "workflow_id", "is_site_enabled", "is_api_enabled"),
    *("is_icon_as_answer_icon", "max_active_requests", "access_mode"),
)

_Held = tuple[int, datetime, dict[str, Any]]  # number, valid_from_at, configuration


def note_app_versions(sync: Sync, *, unread: Collection[str]) -> None:
    """Write a row for each app that is otherwise than its latest row says; call it in the
    transaction that loads the details.

    Apps whose detail is not read yet, or whose new one could not be read (`unread`), wait until it
    is: half a change would be two.
    """
    held = _latest(sync)
    rows = [
        found
        for app in _apps(sync)
        if app["app_id"] not in unread
        and (found := _version(app, held.get(app["app_id"]), sync)) is not None
    ]
    upsert(sync.database, APP_VERSIONS, frame(APP_VERSIONS, rows), now=utc_now())


def _apps(sync: Sync) -> Iterator[dict[str, Any]]:
    names = ("app_id", *COMPARED, "workflow_created_at", "updated_at", "created_at")
    rows = sync.database.rows(
        f"SELECT {', '.join(names)} FROM raw.apps "
        "WHERE absent_since IS NULL AND is_api_enabled IS NOT NULL ORDER BY app_id"
    )
    return (dict(zip(names, row, strict=True)) for row in rows)


def _latest(sync: Sync) -> dict[str, _Held]:
    rows = sync.database.rows(
        """SELECT app_id, app_version, valid_from_at, configuration FROM ops.app_versions
        QUALIFY row_number() OVER (PARTITION BY app_id ORDER BY app_version DESC) = 1"""
    )
    return {
        app_id: (number, valid_from_at, JsonText(configuration).load())
        for app_id, number, valid_from_at, configuration in rows
    }


def _version(app: Mapping[str, Any], held: _Held | None, sync: Sync) -> dict[str, Any] | None:
    """The row of an app; None when it is as it was."""
    told = app["app_model_config"]
    config: Any = None if told is None else JsonText(told).load()
    plain = (
        {key: config[key] for key in config if key not in STAMPS}
        if isinstance(config, dict)
        else config
    )
    whole = {**{name: app[name] for name in COMPARED}, "app_model_config": plain}
    before = held[2] if held else {}
    privacy = sync.rules.privacy
    changed = [
        name for name in COMPARED if is_changed(name, before.get(name), whole[name], privacy)
    ]
    if held and not changed:
        return None
    now, since, told_at = sync.now, held[1] if held else None, _change_time(app, config, changed)
    is_told = told_at is not None and told_at <= now and (since is None or told_at > since)
    at = told_at if is_told and told_at is not None else max(now, since or now)
    provider, model = model_in(plain)
    return {
        "app_id": app["app_id"],
        "app_version": held[0] + 1 if held else 1,
        "valid_from_at": at,
        "valid_from_date": local_date(at, sync.rules.zone),
        "valid_from_source": "dify" if is_told else "seen",
        "seen_at": now,
        "changed": encode(changed) if held else None,
        "app_name": app["name"],
        "workflow_id": app["workflow_id"],
        "provider": provider,
        "model": model,
        "configuration": encode(whole),
    }


def _change_time(app: Mapping[str, Any], config: Any, changed: Collection[str]) -> datetime | None:
    """When Dify says that the latest of these changes was made; a config tells its own time, as
    does a publication, and all else is told by the app's.
    """
    times = [app["updated_at"] or app["created_at"]] if {*changed} - _WITH_TIMES else []
    if "app_model_config" in changed and isinstance(config, dict):
        times.append(instant_of(config.get("created_at")))
    if "workflow_id" in changed:
        times.append(app["workflow_created_at"])
    return max((one for one in times if one is not None), default=None)


_WITH_TIMES = {"app_model_config", "workflow_id"}
