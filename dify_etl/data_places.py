"""Where the files of the settings are, told without loading anything: a query has to be quick."""

from pathlib import Path

from dify_etl.settings import Settings

DEMO_HOME = "demo"
COPY = "dify.duckdb"


def home_of(settings: Settings) -> Path:
    """Where the files are: the simulated Dify has a home of its own, so that data never mix."""
    return settings.home / DEMO_HOME if settings.is_simulated else settings.home


def copy_folder_of(settings: Settings) -> Path:
    """Where the copy for analysts stands; a demo's stays in its home."""
    is_elsewhere = settings.copy_folder is not None and not settings.is_simulated
    folder = settings.copy_folder if is_elsewhere else None
    return folder or home_of(settings)
