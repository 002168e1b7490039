"""The Parquet files of a lake as its catalog names them: which of them are gone, how a workspace is
rid of those, and whose folder they lie in.

DuckLake has no statement for a file that is gone: a DELETE reads what it deletes. So the catalog is
written here.
"""

import os
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from dify_etl.shared_warehouse.errors import SharedFilesLost, SharedWarehouseRefused
from dify_etl.shared_warehouse.place import SharedPlace
from dify_etl.warehouse.tables import quoted

METADATA = "__ducklake_metadata_shared"
MARKER = "dify-etl-lake"  # names the catalog that the files beside it belong to
_OF_A_FILE = (
    *("ducklake_delete_file", "ducklake_file_column_stats", "ducklake_file_partition_value"),
    "ducklake_data_file",
)


class Attached(Protocol):
    """What is asked here of the attached warehouse (`engines.SharedWarehouse`)."""

    @property
    def place(self) -> SharedPlace:
        """Where it is."""

    @property
    def is_lake(self) -> bool:
        """Whether it is a DuckLake."""

    def execute(self, sql: str, parameters: object = None) -> object:
        """Run one statement."""

    def rows(self, sql: str, parameters: object = None) -> list[tuple[Any, ...]]:
        """All rows of a query."""

    def value(self, sql: str, parameters: object = None) -> Any:
        """The first value of the first row; None without a row."""

    def transaction(self, work: Callable[[], None]) -> None:
        """Do `work` in one transaction."""


@dataclass(frozen=True)
class LakeFile:
    """A data file of the newest snapshot: its table, its workspace (None: somebody's own table),
    how many rows it has that are not deleted, and whether it, or the list of its deleted rows, is
    gone.
    """

    number: int
    table: str
    workspace_id: str | None
    rows: int
    is_lost: bool


def lake_files(warehouse: Attached, workspace_id: str | None = None) -> list[LakeFile]:
    """All files, or those of a workspace; none where the warehouse is no lake. A folder is asked
    for each of them, an object store lists all that it has.
    """
    if not warehouse.is_lake:
        return []
    base = data_path(warehouse)
    chosen = "" if workspace_id is None else f" AND p.partition_value = {quoted(workspace_id)}"
    found = warehouse.rows(
        f"""SELECT f.data_file_id, s.schema_name || '.' || t.table_name, p.partition_value,
            f.record_count - coalesce(d.delete_count, 0),
            {_path("f")}, CASE WHEN d.path IS NOT NULL THEN {_path("d")} END
        FROM {METADATA}.ducklake_data_file f
        JOIN {METADATA}.ducklake_table t ON t.table_id = f.table_id AND t.end_snapshot IS NULL
        JOIN {METADATA}.ducklake_schema s
            ON s.schema_id = t.schema_id AND s.end_snapshot IS NULL
        LEFT JOIN {METADATA}.ducklake_file_partition_value p
            ON p.data_file_id = f.data_file_id AND p.partition_key_index = 0
        LEFT JOIN {METADATA}.ducklake_delete_file d
            ON d.data_file_id = f.data_file_id AND d.end_snapshot IS NULL
        WHERE f.end_snapshot IS NULL{chosen} ORDER BY 2, 1""",
        [base] * 2,
    )
    held = _listed(warehouse, base) if found and "://" in base else None
    return [
        LakeFile(number, table, workspace, int(rows), _is_gone(held, data, deleted))
        for number, table, workspace, rows, data, deleted in found
    ]


def lost_files(warehouse: Attached, workspace_id: str | None = None) -> list[LakeFile]:
    """Those that are gone."""
    return [one for one in lake_files(warehouse, workspace_id) if one.is_lost]


def require_files(
    warehouse: Attached, workspace_id: str | None = None, *, is_cheap: bool = False
) -> None:
    """SharedFilesLost when one is gone; `is_cheap` asks no object store."""
    if not warehouse.is_lake or (is_cheap and "://" in data_path(warehouse)):
        return
    if lost := lost_files(warehouse, workspace_id):
        raise files_lost(warehouse.place, lost)


def files_lost(place: SharedPlace, lost: Collection[LakeFile]) -> SharedFilesLost:
    """The error that names what they held."""
    return SharedFilesLost(
        f"{len(lost)} data files of the lake are gone, with rows of {_named(lost)}",
        where=place.name,
        hint="Is the folder of DIFY_ETL_LAKE_PATH mounted, and was it restored whole? Put the "
        "files back; or run `dify-etl warehouse publish` in the home of each workspace that is "
        "named, which lets go of them and writes their rows anew.",
    )


def let_go(warehouse: Attached, files: Collection[LakeFile]) -> None:
    """Have the catalog name these files no more, in any snapshot."""
    if not files:
        return
    numbers = ", ".join(str(one.number) for one in files)

    def drop() -> None:
        for table in _OF_A_FILE:
            warehouse.execute(f"DELETE FROM {METADATA}.{table} WHERE data_file_id IN ({numbers})")

    warehouse.transaction(drop)


def data_path(warehouse: Attached) -> str:
    """Where the lake keeps its files, with the / at the end."""
    return str(
        warehouse.value(
            f"SELECT value FROM {METADATA}.ducklake_metadata WHERE key = 'data_path' "
            "AND scope IS NULL"
        )
    )


def claim_files(warehouse: Attached) -> None:
    """Write into the folder of the files which catalog they are of. SharedWarehouseRefused when it
    is another one's: each would delete the other's files as such that nothing names. OSError.
    """
    ours = str(
        warehouse.value(
            f"SELECT schema_uuid::VARCHAR FROM {METADATA}.ducklake_schema "
            "WHERE schema_name = 'main' ORDER BY begin_snapshot LIMIT 1"
        )
    )
    base = data_path(warehouse)
    held = _marked(warehouse, base, ours) if "://" in base else _marked_folder(Path(base), ours)
    if held == ours:
        return
    if not held:
        raise SharedWarehouseRefused(
            f"the mark of the files in {base} is empty: nobody can say of which lake they are",
            where="DIFY_ETL_LAKE_PATH",
            hint=f"If no other lake has its files there, delete {base}{MARKER}.csv alone.",
        )
    raise SharedWarehouseRefused(
        f"the files of another lake lie in {base}: they are of catalog {held}, this one is {ours}",
        where="DIFY_ETL_LAKE_PATH",
        hint="Give each lake a folder of its own: `dify-etl warehouse compact` of one would delete "
        f"the files of the other. Where that catalog is gone for good, delete {base}{MARKER}.csv "
        "and the files beside it.",
    )


def _marked_folder(folder: Path, ours: str) -> str:
    marker = folder / f"{MARKER}.csv"
    with suppress(FileNotFoundError):
        return marker.read_text("utf-8", "replace").strip()
    folder.mkdir(parents=True, exist_ok=True)
    # Whole or not at all, whoever is killed meanwhile; and one of two homes is the first.
    with tempfile.NamedTemporaryFile("w", dir=folder, prefix=MARKER, encoding="utf-8") as file:
        file.write(f"{ours}\n")
        file.flush()
        os.fchmod(file.fileno(), 0o644)  # homes of several accounts may share it; it is no secret
        try:
            os.link(file.name, marker)
        except FileExistsError:
            pass
        except OSError:  # a file system without links
            shutil.copyfile(file.name, marker)
    return marker.read_text("utf-8", "replace").strip()


def _marked(warehouse: Attached, base: str, ours: str) -> str:
    listed = quoted(f"{base}{MARKER}*.csv")  # what has no * in it is answered without being asked
    if not warehouse.rows(f"SELECT file FROM glob({listed})"):
        place = quoted(f"{base}{MARKER}.csv")
        warehouse.execute(f"COPY (SELECT {quoted(ours)}) TO {place} (FORMAT csv, HEADER false)")
    return str(warehouse.value(f"SELECT content FROM read_text({listed})")).strip()


def _path(alias: str) -> str:
    """The whole path of a file, as SQL; it takes the place of all files."""
    of_table = (
        "CASE WHEN t.path_is_relative THEN "
        "CASE WHEN s.path_is_relative THEN base.path || s.path ELSE s.path END || t.path "
        "ELSE t.path END"
    )
    return (
        f"CASE WHEN {alias}.path_is_relative "
        f"THEN (SELECT {of_table} FROM (SELECT ?::VARCHAR AS path) base) || {alias}.path "
        f"ELSE {alias}.path END"
    )


def _listed(warehouse: Attached, base: str) -> set[str]:
    return {
        str(file) for (file,) in warehouse.rows(f"SELECT file FROM glob({quoted(f'{base}**')})")
    }


def _is_gone(held: Collection[str] | None, *paths: str | None) -> bool:
    return any(
        _is_absent(path) if held is None else path not in held for path in paths if path is not None
    )


def _is_absent(path: str) -> bool:
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:  # a right that is missing says nothing of the file
        return False
    return False


def _named(lost: Iterable[LakeFile]) -> str:
    names = sorted(
        {
            one.table if one.workspace_id is None else f"workspace {one.workspace_id} ({one.table})"
            for one in lost
        }
    )
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more
