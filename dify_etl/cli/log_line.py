"""A line of a log for machines: one JSON object, of the same keys as Dagster's own JSON lines."""

import json
import os
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

LOGGER = "dify-etl"
LOG, WORKSPACE = "DIFY_ETL_LOG", "DIFY_ETL_WORKSPACE"


def wants_json(default: str = "text") -> bool:
    """Whether DIFY_ETL_LOG asks for JSON, where unset means `default`; answers also when another
    setting is wrong, which is to be told so as well.
    """
    from dify_etl.setting_sources import SettingWrong, text_around  # --help needs none

    with suppress(SettingWrong):
        return (text_around(LOG) or default) == "json"
    return default == "json"


def log_line(event: str, *, level: str = "info", **fields: Any) -> str:
    """`event` is the sentence; `level`, `logger` and `timestamp` (UTC) stand beside it, and what
    else is known. ASCII alone and no control code, so that no terminal obeys it.
    """
    if workspace := os.environ.get(WORKSPACE):
        fields.setdefault("workspace", workspace)
    now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    record = {**fields, "event": event, "logger": LOGGER, "level": level, "timestamp": now}
    return json.dumps(record, default=str).replace("\x7f", "\\u007f")


def print_line(event: str, *, level: str = "info", **fields: Any) -> None:
    """Print it to stdout at once: a log that waits in a buffer tells nothing of a crash."""
    print(log_line(event, level=level, **fields), flush=True)


def line_teller(*, level: str = "info", **fields: Any) -> Callable[[str], None]:
    """Prints each line that it gets as such an object."""
    return lambda line: print_line(line, level=level, **fields)
