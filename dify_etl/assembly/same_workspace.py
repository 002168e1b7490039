"""Which other homes hold the workspace of a home: each keeps what the other one does not."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import duckdb

from dify_etl.errors import ActionableError
from dify_etl.home import Home, is_home
from dify_etl.settings import setting_names
from dify_etl.warehouse.database import Database, open_to_read
from dify_etl.warehouse.published_copy import opened_copy
from dify_etl.workspaces import all_workspaces, homes_of

WHAT_TO_DO = (
    "Let one of them be read: name it in workspaces.toml, as home = "
    '"dify_data/workspaces/sales", and take the other table out, or move the other folder away. '
    "The older one has what Dify deleted, and keys."
)


def homes_of_same_workspace(home: Path) -> list[Path]:
    """The other homes that workspaces.toml names, or that stand in the folder of homes, whose rows
    are of the same workspace of the same server; none without such a file. SettingWrong.
    """
    others = homes_of(all_workspaces(setting_names())) - {home.resolve()}
    if not others or (own := _source(home)) is None:
        return []
    return sorted(other for other in others if is_home(other) and _source(other) == own)


def _source(home: Path) -> tuple[str, str] | None:
    """Server and workspace that a home was loaded from; None: from none yet, or it is written."""
    for rows in (_of_copy, _of_live):
        with suppress(ActionableError, duckdb.Error, OSError):
            for found in rows(Home(home)):
                return found
    return None


_ASKED = "SELECT server_origin, workspace_id FROM ops.source WHERE workspace_id IS NOT NULL"


def _of_copy(home: Home) -> Iterator[tuple[str, str]]:
    if home.copy.exists():
        with opened_copy(home.copy) as connection:
            yield from Database(connection, home.copy).rows(_ASKED)


def _of_live(home: Home) -> Iterator[tuple[str, str]]:
    if home.live.exists():
        with open_to_read(home.live, wait_seconds=0.0) as database:
            yield from database.rows(_ASKED)
