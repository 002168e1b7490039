"""Write a file anew: DuckDB keeps what was deleted or changed in free blocks of the old one."""

from pathlib import Path

from dify_etl.private_files import sync_to_disk
from dify_etl.warehouse.database import STORAGE_VERSION, Database
from dify_etl.warehouse.errors import translated
from dify_etl.warehouse.tables import quoted


def write_anew(
    database: Database, target: Path, *, last: str | None = None, compression: str = "auto"
) -> None:
    """Copy all that the open file holds into a new one, which becomes `target`; nothing may be
    written to the open one afterwards.

    `last` is a statement on the new file, `anew`, before the swap; `compression` is DuckDB's. The
    file is held meanwhile, so nobody writes to the old one. WarehouseUnwritable.
    """
    anew = target.with_name(f"{target.name}.anew")
    try:
        database.execute("CHECKPOINT live")
        database.execute(f"SET force_compression = {quoted(compression)}")
        database.execute(
            f"ATTACH {quoted(str(anew))} AS anew (STORAGE_VERSION '{STORAGE_VERSION}')"
        )
        database.execute("COPY FROM DATABASE live TO anew")
        if last is not None:
            database.execute(last)
        database.execute("CHECKPOINT anew")
        database.execute("DETACH anew")
        sync_to_disk(anew)
        anew.replace(target)
    except OSError as error:
        raise translated(target, error) from error
    finally:
        database.execute("RESET force_compression")
        anew.unlink(missing_ok=True)
