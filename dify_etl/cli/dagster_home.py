"""Dagster's own folder and settings: where runs are kept, in SQLite or in PostgreSQL."""

import os
from pathlib import Path

from dify_etl.home import Home
from dify_etl.project_files import project_file
from dify_etl.settings import Settings, SettingWrong
from dify_etl.warehouse.errors import translated

INSTANCE_SETTINGS = project_file("dagster.yaml")
DAGSTER_HOME = "DAGSTER_HOME"
# dagster.yaml names it, so that no password stands in a file.
STORAGE_URL = "DAGSTER_POSTGRES_URL"
POSTGRES = f"storage: {{postgres: {{postgres_url: {{env: {STORAGE_URL}}}}}}}\n"


def enter_dagster_home(settings: Settings) -> Path:
    """Let Dagster, in this process and in those that it starts, use the settings' folder and
    storage. Raises what `dagster_home` raises.
    """
    home = dagster_home(settings)
    os.environ[DAGSTER_HOME] = str(home)
    os.environ["DAGSTER_DISABLE_TELEMETRY"] = "yes"  # whatever somebody's own dagster.yaml says
    name_storage(settings)
    return home


def name_storage(settings: Settings) -> None:
    """Set the variable by which a dagster.yaml finds its PostgreSQL."""
    if settings.dagster_storage is not None:
        os.environ[STORAGE_URL] = settings.dagster_storage.get_secret_value()


def dagster_home(settings: Settings) -> Path:
    """DAGSTER_HOME, or `dagster` in the home; it gets the project's dagster.yaml if it has none.

    WarehouseUnwritable when the folder cannot be made; SettingWrong when somebody's own
    dagster.yaml does not name the storage that is set.
    """
    home = dagster_folder(settings)
    target = home / "dagster.yaml"
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        held = target.read_text("utf-8") if target.exists() else None
        wanted = instance_settings(settings)
        if held is None or (held != wanted and held in _made_by_us()):
            target.write_text(wanted, "utf-8")
    except OSError as error:
        raise translated(target, error) from error
    is_own = held is not None and held not in _made_by_us()
    if is_own and settings.dagster_storage is not None and STORAGE_URL not in str(held):
        raise SettingWrong(
            "DIFY_ETL_DAGSTER_STORAGE is set, but this dagster.yaml does not name it",
            where=str(target),
            hint=f"Add this line to it: {POSTGRES.strip()}. Or move the file aside and start "
            "again: a new one names it.",
        )
    return home


def instance_settings(settings: Settings) -> str:
    """The text of the dagster.yaml that these settings want."""
    own = INSTANCE_SETTINGS.read_text("utf-8")
    return own if settings.dagster_storage is None else own + POSTGRES


def _made_by_us() -> tuple[str, str]:
    own = INSTANCE_SETTINGS.read_text("utf-8")
    return own, own + POSTGRES


def dagster_folder(settings: Settings) -> Path:
    """DAGSTER_HOME, or `dagster` in the home, whether it is there or not."""
    return Path(os.environ.get(DAGSTER_HOME) or Home(settings.home).dagster).resolve()
