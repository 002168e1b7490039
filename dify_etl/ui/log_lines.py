"""What the processes of the UI say of themselves: for people, or as JSON lines.

Dagster's own form of a JSON line is taken, so that all lines of `dify-etl serve` are of one kind:
`event` is the sentence, `level`, `logger` and `timestamp` (UTC) stand beside it.
"""

import logging
import logging.config
from typing import Literal

from dagster._utils.log import configure_loggers, get_structlog_json_formatter

LogFormat = Literal["colored", "json"]
LOGGER = "dify-etl"


def set_up_logs(log_format: LogFormat) -> logging.Logger:
    """Let this process and the libraries in it log so, to stdout; answers the logger of dify-etl.

    Of libraries only warnings and errors are shown.
    """
    configure_loggers(formatter=log_format, log_level="INFO")
    handler = logging.StreamHandler()
    if log_format == "json":
        handler.setFormatter(get_structlog_json_formatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    for name in ("dagster", "dagster-webserver", "dagit"):
        logging.getLogger(name).propagate = False  # they have handlers of their own
    ours = logging.getLogger(LOGGER)
    ours.setLevel(logging.INFO)
    return ours
