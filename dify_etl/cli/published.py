"""The published copy that the settings name."""

from pathlib import Path

from dify_etl.home import COPY, Home
from dify_etl.settings import copy_folder_of, home_of, load_settings
from dify_etl.warehouse.errors import NothingPublished


def published_copy() -> Path:
    """Its path. NothingPublished before the first sync; SettingWrong."""
    settings = load_settings()
    copy = copy_folder_of(settings) / COPY
    if copy.exists():
        return copy
    is_demo = not settings.is_simulated and Home(Home(home_of(settings)).demo).copy.exists()
    demo = " For the demo's, add --simulated." if is_demo else ""
    raise NothingPublished(
        "nothing is published yet", where=str(copy), hint=f"Run `dify-etl sync` first.{demo}"
    )
