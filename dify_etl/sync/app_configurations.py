"""What is kept of apps as they were (`ops.app_versions`), by the rules of texts and people."""

from dataclasses import replace
from typing import Any

import polars as pl

from dify_etl.dify.http.exact_json import encode
from dify_etl.dify.json_text import JsonText
from dify_etl.raw.privacy import Privacy
from dify_etl.raw.tables import raw_table
from dify_etl.warehouse.database import Database


def is_changed(name: str, before: Any, now: Any, privacy: Privacy) -> bool:
    """Whether the value of column `name` of raw.apps is another one, and not the same one as other
    rules of texts and people keep it: a setting that was changed is no change of the app.
    """
    if before == now:
        return False
    rules = (privacy, replace(privacy, text="mask"), replace(privacy, text="mask", people="hash"))
    return not any(
        _kept(name, before, rule) == now or _kept(name, now, rule) == before for rule in rules
    )


def model_in(config: Any) -> tuple[str | None, str | None]:
    """Provider and name of the model in a configuration, whatever stands for one."""
    model = config.get("model") if isinstance(config, dict) else None
    told = (model.get(key) if isinstance(model, dict) else None for key in ("provider", "name"))
    provider, name = (one if isinstance(one, str) else None for one in told)
    return provider, name


def rewrite_app_versions(database: Database, privacy: Privacy) -> int:
    """Bring what apps were to the rules, as raw.apps; answers how many rows were changed."""
    changed = 0
    for app_id, number, configuration in database.rows(
        "SELECT app_id, app_version, configuration FROM ops.app_versions"
    ):
        whole = JsonText(configuration).load()
        kept = {name: _kept(name, value, privacy) for name, value in whole.items()}
        if kept != whole:
            database.execute(
                "UPDATE ops.app_versions SET app_name = ?, provider = ?, model = ?, "
                "configuration = ? WHERE app_id = ? AND app_version = ?",
                [
                    *(kept["name"], *model_in(kept["app_model_config"]), encode(kept)),
                    *(app_id, number),
                ],
            )
            changed += 1
    return changed


def _kept(name: str, value: Any, privacy: Privacy) -> Any:
    """What is kept of a value of raw.apps, JSON as it was decoded."""
    column = raw_table("apps").column(name)
    is_json = column.type == "JSON" and value is not None
    told = encode(value) if is_json else value
    if not isinstance(told, str):
        return value
    (kept,) = privacy.column(column, pl.Series(name, [told], pl.String()))
    return JsonText(kept).load() if is_json else kept
