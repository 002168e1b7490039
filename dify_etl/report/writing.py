"""Write a report of the published copy, and know one again."""

import hashlib
import json
import re
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path

import duckdb

from dify_etl.home import Home
from dify_etl.private_files import PRIVATE_FOLDER
from dify_etl.report.figures import queries, read_figures
from dify_etl.report.page_of_figures import GENERATOR, LANGUAGES, Language, page_of
from dify_etl.warehouse.errors import ExportRefused
from dify_etl.warehouse.published_copy import opened_copy
from dify_etl.warehouse.writing_answers import new_file

HEAD_BYTES = 4096
_IS_REPORT = f'<meta name="generator" content="{GENERATOR}">'.encode()
_STATE = re.compile(rb'<meta name="dify-etl-state" content="([0-9a-f]*)">')
_LANGUAGE = re.compile(rb'<meta name="dify-etl-language" content="([a-z]*)">')
# When a row was read, and links that are signed anew on every read.
_MOVING = "(read|loaded|changed)_at|icon_url|site"
ENDINGS = (".html", ".htm")


def write_report(copy: Path, target: Path, *, language: Language | None = None) -> int:
    """Write the report of a copy, whole or not at all, for its owner alone; answers its bytes.

    A report that stands there is replaced. ExportRefused: anything else stands there, or the file
    cannot be written; NothingPublished, WarehouseError: there is no copy to read.
    """
    if target.suffix.lower() not in ENDINGS:
        raise ExportRefused(
            f"{target.name} does not say that it is HTML",
            where="--to",
            hint="End it in .html.",
        )
    may_replace = is_report(target)
    # First: a copy that is swapped meanwhile makes the page look old, not new.
    state = state_of_copy(copy)
    page = page_of(read_figures(copy), state=state, language=language)
    return new_file(target, may_replace=may_replace, write=lambda path: path.write_bytes(page))


@dataclass(frozen=True)
class KeptReport:
    """The report of a home: its file, its size in bytes, and whether it was written just now."""

    path: Path
    size: int
    is_new: bool


def keep_report(home: Path, copy: Path) -> KeptReport:
    """See that the home's report is that of the copy; what has not changed is not written again.

    It keeps the language of the one before. Raises as `write_report`.
    """
    path = default_report(home)
    if is_new := state_of_file(path) != state_of_copy(copy):
        write_report(copy, path, language=language_of_file(path))
    return KeptReport(path, path.stat().st_size, is_new)


def default_report(home: Path) -> Path:
    """Where a home keeps its report; the folder is made. ExportRefused: it cannot be."""
    folder = Home(home).reports
    try:
        folder.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)
    except OSError as error:
        raise ExportRefused(
            f"the folder of reports cannot be made: {error.strerror or error}",
            where=str(folder),
            hint="Move away what stands there, or name another file with `report --to`.",
        ) from error
    return folder / "dify-report.html"


def is_report(path: Path) -> bool:
    """Whether the file is a report of ours. Raises OSError."""
    return path.suffix.lower() in ENDINGS and path.is_file() and _IS_REPORT in _head(path)


def kept_reports(home: Path) -> list[Path]:
    """The reports in the home's folder of them, by path; a link is the operator's, and what is
    behind it no report of the home. Raises OSError.
    """
    found = Home(home).reports.rglob("*")
    return sorted(path for path in found if not path.is_symlink() and is_report(path))


def state_of_file(path: Path) -> str | None:
    """The state of the copy that a report was made of; None: there is no report."""
    found = _STATE.search(_head(path)) if path.is_file() else None
    return found[1].decode() if found else None


def language_of_file(path: Path) -> Language | None:
    """The language that a report was asked in; None: the reader's, or there is no report."""
    found = _LANGUAGE.search(_head(path)) if path.is_file() else None
    told = found[1].decode() if found else ""
    return next((one for one in LANGUAGES if one == told), None)


def state_of_copy(copy: Path) -> str:
    """A digest of what a report is made of, but for the times at which it was read.

    It is the same after a run that found nothing new. Models are built anew when a signed link
    changed, so when they were built says nothing.
    """
    with opened_copy(copy) as connection:
        parts = [version("dify-etl"), *(_rows(connection, sql) for sql in _what_it_reads())]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


@cache
def _what_it_reads() -> tuple[str, ...]:
    """What days it has, and the rows of every mart that a query names; messages and activities are
    as the marts of them.
    """
    named = set(re.findall(r"\bmarts\.\w+", " ".join(queries("queries").values())))
    named |= {"marts.latency", "marts.person_daily_activity", "staging.stg_apps"}
    marts = [
        f"SELECT COLUMNS(lambda c: NOT regexp_full_match(c, '{_MOVING}')) FROM {name}"  # nosec B608
        for name in sorted(named)
    ]
    return (
        "SELECT through_date FROM ops.published ORDER BY published_at DESC LIMIT 1",
        "SELECT feed, app_id, slice_date, state, reason FROM ops.slices",
        "SELECT model, failed_since FROM ops.models WHERE state = 'failed'",
        *marts,
    )


def _rows(connection: duckdb.DuckDBPyConnection, sql: str) -> str:
    """A digest of the rows of a query; what cannot be asked says so in its place."""
    try:
        asked = f"SELECT count(*), sum(hash(t)) FROM ({sql}) t"  # nosec B608 # our own queries
        return str(connection.execute(asked).fetchall())
    except duckdb.Error as error:
        return type(error).__name__


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(HEAD_BYTES)
