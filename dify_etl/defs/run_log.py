"""What a run writes to the log of its process as JSON lines, where the settings want these.

Dagster keeps every event of a run itself; this is for whoever collects logs, and of the runs that
name this logger in their config: those of the nightly schedule. The keys are those of
Dagster's processes (`event`, `level`, `logger`, `timestamp`), with `run_id`, `job` and `step`.
"""

import json
import logging
import sys
from datetime import UTC, datetime

import dagster as dg


class _JsonLine(logging.Formatter):
    """A record of a run as one line: ASCII alone, so that no terminal obeys it."""

    def format(self, record: logging.LogRecord) -> str:
        meta = getattr(record, "dagster_meta", {})
        moment = datetime.fromtimestamp(record.created, UTC)
        line = {
            "run_id": meta.get("run_id"),
            "job": meta.get("job_name"),
            "step": meta.get("step_key"),
            "event": meta.get("orig_message") or record.getMessage(),
            "logger": record.name,
            "level": record.levelname.lower(),
            "timestamp": moment.isoformat().replace("+00:00", "Z"),
        }
        return json.dumps(line, default=str).replace("\x7f", "\\u007f")


@dg.logger(
    {
        "log_level": dg.Field(str, is_required=False, default_value="INFO"),
        "name": dg.Field(str, is_required=False, default_value="dagster"),
    },
    description="JSON lines on stderr, without Dagster's many events of single outputs.",
)
def json_lines(context: dg.InitLoggerContext) -> logging.Logger:
    """The logger of a run: information, warnings and errors."""
    config = context.logger_config
    log = logging.Logger(config["name"], level=config["log_level"].upper())
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonLine())
    log.addHandler(handler)
    return log
