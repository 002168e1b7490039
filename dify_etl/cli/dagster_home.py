"""Dagster's own folder and settings: where runs are kept, in SQLite or in PostgreSQL."""

import os
from hashlib import sha256
from pathlib import Path

from dify_etl.home import Home
from dify_etl.private_files import replace_file
from dify_etl.project_files import project_file
from dify_etl.setting_sources import text_around
from dify_etl.settings import Settings, SettingWrong, setting_names
from dify_etl.ui.storage_lock import storage_lock
from dify_etl.warehouse.errors import translated
from dify_etl.workspaces import all_workspaces

INSTANCE_SETTINGS = project_file("dagster.yaml")
DAGSTER_HOME = "DAGSTER_HOME"
HOME = "DIFY_ETL_HOME"
# dagster.yaml names it, so that no password stands in a file.
STORAGE_URL = "DAGSTER_POSTGRES_URL"
# What earlier versions wrote as dagster.yaml, by SHA-256: nobody's own, and brought up to date.
EARLIER = frozenset(
    {
        "1d696541d4eaf5010117fa6fb805915e9d80358381aa0a11d7f42cde1c276d7f",
        "31feac3f0de8364dc4f438f97615277daa54e53d3f0814a5c471c1a9fd5e437b",
    }
)
# What stands otherwise in dagster.yaml where there are several workspaces.
FOR_SEVERAL = {
    "    # One sync per home: a second run would only wait for the first one's lock.\n": (
        "    # One per pool: all steps of a workspace are in that of its server.\n"
    ),
    "max_concurrent_runs: 1\n": "max_concurrent_runs: 8\n",
    "granularity: op\n": "granularity: run\n",
}
POSTGRES = f"storage: {{postgres: {{postgres_url: {{env: {STORAGE_URL}}}}}}}\n"


def enter_dagster_home(settings: Settings) -> Path:
    """Let Dagster, in this process and in those that it starts, use the settings' folder and
    storage. Raises what `dagster_home` raises.
    """
    home = dagster_home(settings)
    os.environ[DAGSTER_HOME] = str(home)
    os.environ["DAGSTER_DISABLE_TELEMETRY"] = "yes"  # whatever somebody's own dagster.yaml says
    if settings.dagster_storage is not None:
        os.environ[STORAGE_URL] = settings.dagster_storage.get_secret_value()
    return home


def dagster_home(settings: Settings) -> Path:
    """DAGSTER_HOME, or `dagster` in the home; it gets the project's dagster.yaml if it has none.

    WarehouseUnwritable when the folder cannot be made; SettingWrong when somebody's own
    dagster.yaml does not name the storage that is set.
    """
    home = dagster_folder(settings)
    target = home / "dagster.yaml"
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        wanted = instance_settings(settings)
        held = _held(target)
        if _is_to_write(held, wanted):
            with storage_lock(home):  # several workspaces may begin together
                held = _held(target)
                if _is_to_write(held, wanted):
                    replace_file(target, wanted.encode(), keeps_rights=True)
    except OSError as error:
        raise translated(target, error) from error
    is_named = STORAGE_URL in (held or "")
    if held is None or _is_made_by_us(held):
        return home
    if is_named and settings.dagster_storage is None and STORAGE_URL not in os.environ:
        raise SettingWrong(
            f"this dagster.yaml takes its PostgreSQL from {STORAGE_URL}, which nobody sets",
            where=str(target),
            hint="Set DIFY_ETL_DAGSTER_STORAGE here too, as where `dify-etl serve` runs.",
        )
    if not is_named and settings.dagster_storage is not None:
        raise SettingWrong(
            "DIFY_ETL_DAGSTER_STORAGE is set, but this dagster.yaml does not name it",
            where=str(target),
            hint=f"Add this line to it: {POSTGRES.strip()}. Or move the file aside and start "
            "again: a new one names it.",
        )
    return home


def _held(target: Path) -> str | None:
    return target.read_text("utf-8") if target.exists() else None


def _is_to_write(held: str | None, wanted: str) -> bool:
    return held is None or (held != wanted and _is_made_by_us(held))


def instance_settings(settings: Settings) -> str:
    """The text of the dagster.yaml that these settings want."""
    own = _for_several() if len(all_workspaces(setting_names())) > 1 else _for_one()
    return own if settings.dagster_storage is None else own + POSTGRES


def _for_one() -> str:
    return INSTANCE_SETTINGS.read_text("utf-8")


def _for_several() -> str:
    """Runs of several workspaces at once, one at a time of each server: of its pool, which all of
    their steps are in. A run that waits for the lock of its home would hold a place for nothing.
    """
    own = _for_one()
    for one, several in FOR_SEVERAL.items():
        if one not in own:
            raise ValueError(f"{INSTANCE_SETTINGS} has no line {one!r}")
        own = own.replace(one, several)
    return own


def _is_made_by_us(text: str) -> bool:
    if sha256(text.removesuffix(POSTGRES).encode()).hexdigest() in EARLIER:
        return True
    return text.removesuffix(POSTGRES) in (_for_one(), _for_several())


def dagster_folder(settings: Settings) -> Path:
    """DAGSTER_HOME, or `dagster` in the home, whether it is there or not."""
    return Path(os.environ.get(DAGSTER_HOME) or Home(settings.home).dagster).resolve()


def dagster_folders(settings: Settings) -> tuple[Path, ...]:
    """Every folder that runs of these settings may be recorded in, whether it is there or not: one
    of several workspaces is served alone, or with the others from the home of all.
    """
    found = [dagster_folder(settings)]
    if settings.workspace is not None and not os.environ.get(DAGSTER_HOME):
        of_all = Path(text_around(HOME) or setting_names()[HOME].default).expanduser()
        found.append(Home(of_all).dagster.resolve())
    return tuple(dict.fromkeys(found))
