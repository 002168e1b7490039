"""Start the Dagster UI on this project, with a home for its instance."""

import os
import sys
from pathlib import Path

from dify_etl.connection import effective_settings
from dify_etl.pipeline.schedules import nightly_schedule
from dify_etl.settings import Settings
from dify_etl.warehouse.errors import translated

INSTANCE_SETTINGS = Path(__file__).resolve().parents[2] / "dagster.yaml"


def run_dagster(port: int) -> None:
    """Become `dagster dev` on this port. SettingWrong before that for settings that are wrong."""
    settings = effective_settings()
    nightly_schedule(settings)  # a wrong cron expression shows here, not in the UI
    os.environ["DAGSTER_HOME"] = str(dagster_home(settings))
    command = ["-m", "dagster", "dev", "-m", "dify_etl.definitions", "-p", str(port)]
    os.execv(sys.executable, [sys.executable, *command])


def dagster_home(settings: Settings) -> Path:
    """DAGSTER_HOME, or `dagster` in the home; it gets the project's dagster.yaml if it has none.

    WarehouseUnwritable when the folder cannot be made.
    """
    home = Path(os.environ.get("DAGSTER_HOME") or settings.home / "dagster").resolve()
    target = home / "dagster.yaml"
    try:
        home.mkdir(parents=True, exist_ok=True)
        if INSTANCE_SETTINGS.exists() and not target.exists():
            target.write_bytes(INSTANCE_SETTINGS.read_bytes())
    except OSError as error:
        raise translated(target, error) from error
    return home
