"""Files of a home, beside its databases, in which a person is named: found, and written anew."""

import re
import sqlite3
import zipfile
import zlib
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, Literal

import duckdb

from dify_etl.home import WORKSPACES_FOLDER, Home, is_home, is_ours, is_shared
from dify_etl.private_files import replace_file
from dify_etl.raw.name_words import names_in_files
from dify_etl.report.writing import is_report, kept_reports
from dify_etl.warehouse.errors import WarehouseUnwritable, translated
from dify_etl.warehouse.tables import quoted

Fate = Literal["written anew", "deleted", "left"]

BLOCK = 1 << 20
SQLITE = b"SQLite format 3\x00"
# What holds rows of talks, and is made anew at any time.
EXPORTS = frozenset({".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".parquet", ".xlsx", ".html"})
NOT_READABLE = frozenset({".duckdb", ".db", ".sqlite", ".bak", ".gz", ".zst", ".zip", ".tar"})
BESIDE_SQLITE = ("-wal", "-shm", "-journal")
_DATABASE = re.compile(r"(live|dify)\.duckdb(\.wal|\.tmp|\.anew)?|(key_rotations|alerts)\.sqlite.*")
_UUID = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
LOCK_WAIT_SECONDS = 10.0


@dataclass(frozen=True)
class NamedFile:
    """A file, what becomes of it, and why; its path is told from the home, or whole."""

    path: Path
    fate: Fate
    why: str


@dataclass(frozen=True)
class Searched:
    """What is looked for: names of a person, and ids of their conversations, messages and runs."""

    names: tuple[str, ...]
    ids: frozenset[str]

    @cached_property
    def pattern(self) -> re.Pattern[bytes] | None:
        """The names as words of a file, in JSON and in JSON inside JSON too; an address in any
        spelling. None: there is none.
        """
        return names_in_files(self.names) if self.names else None

    @cached_property
    def anywhere(self) -> re.Pattern[bytes] | None:
        """The same within longer words, too."""
        return names_in_files(self.names, alone=False) if self.names else None

    def is_in(self, content: bytes) -> bool:
        """Whether a name stands there."""
        return self.pattern is not None and self.pattern.search(content) is not None

    def without(self, content: bytes, new_name: str) -> bytes:
        """The content with the new name for each."""
        return content if self.pattern is None else self.pattern.sub(new_name.encode(), content)


def find_files(
    home: Home,
    dagster: Collection[Path],
    searched: Searched,
    of_others: Collection[Path] = (),
) -> list[NamedFile]:
    """The files in which the person is named, in the order of their paths; `dagster`: the folders
    of Dagster that runs of this home may be in, `of_others`: folders and files that are those of
    other workspaces, wherever they lie.
    """
    found: list[NamedFile] = []
    for path in (home.audit, home.query_history, home.alerts):
        if path.is_file() and _names(path, searched):
            found.append(NamedFile(path.resolve(), "written anew", "it names the person"))
    if home.rotations.is_file() and _names(home.rotations, searched):
        why = "the ledger of key rotations names the person: look at it"
        found.append(NamedFile(home.rotations, "left", why))
    for folder in dagster:
        found += _of_dagster(folder, searched)
    if is_shared(home.path):
        # Somebody works in this folder: their files are neither ours to delete nor to search.
        why = "the folder is not the home's alone: its other files are not looked into"
        reports = [_report(path) for path in kept_reports(home.path)]
        return [*found, *reports, NamedFile(home.path, "left", why)]
    for path in _others(home, {*dagster, *of_others}):
        if (one := _exported(home, path, searched)) is not None:
            found.append(one)
    return found


def _of_dagster(folder: Path, searched: Searched) -> Iterator[NamedFile]:
    """Events and logs of Dagster that name the person."""
    for path in _files(folder):
        beside = path.with_name(f"{path.name}-wal")  # what SQLite has not put into its file yet
        is_named = _names(path, searched) or (beside.is_file() and _names(beside, searched))
        if is_named and not path.name.endswith(BESIDE_SQLITE):
            why = "Dagster's storage names the person"
            yield NamedFile(path.resolve(), "written anew", why)
    if _is_elsewhere(folder):
        why = "it says that Dagster's events are in a database of their own: look there"
        yield NamedFile(folder / "dagster.yaml", "left", why)


def clean_files(found: Sequence[NamedFile], searched: Searched, new_name: str) -> None:
    """Put the new name where the person is named, and delete what is to be deleted.

    WarehouseUnwritable: somebody writes to it, or nobody may.
    """
    for one in found:
        try:
            if one.fate == "deleted":
                one.path.unlink(missing_ok=True)
            elif one.fate == "written anew" and _is_sqlite(one.path):
                _clean_sqlite(one.path, searched, new_name)
            elif one.fate == "written anew":
                content = searched.without(one.path.read_bytes(), new_name)
                replace_file(one.path, content, keeps_rights=True)
        except OSError as error:
            raise translated(one.path, error) from error
        except sqlite3.DatabaseError as error:
            raise WarehouseUnwritable(
                f"Dagster's storage cannot be written anew: {error}",
                where=str(one.path),
                hint="End `dify-etl dev` and every run of Dagster on this home, and say it once "
                "more: what was done stays done.",
            ) from error


def _exported(home: Home, path: Path, searched: Searched) -> NamedFile | None:
    """What becomes of a file that somebody or a command of ours wrote into the home."""
    if path.is_symlink() or path.suffix in NOT_READABLE:
        return NamedFile(path, "left", "it is not looked into")
    if path.is_relative_to(home.escrow):
        why = "escrow of a deleted app: delete it when you may"
        return NamedFile(path, "left", why) if _names(path, searched) else None
    if is_report(path):
        return _report(path)
    if path.suffix not in EXPORTS or _is_kept_by_us(home, path):
        why = "it names the person, and is no export of rows: look at it"
        return NamedFile(path, "left", why) if _names(path, searched) else None
    try:
        is_theirs = any(_is_of_them(part, searched) for part in _readable(path))
    except (duckdb.Error, zipfile.BadZipFile, zlib.error, OSError, RuntimeError) as error:
        return NamedFile(path, "left", f"it cannot be looked into: {str(error).splitlines()[0]}")
    return NamedFile(path, "deleted", "an export with the person's rows") if is_theirs else None


def _report(path: Path) -> NamedFile:
    """It quotes people without their names and ids: whether it quotes this one, nobody can say."""
    return NamedFile(path, "deleted", "a report: it may quote the person, and is made anew")


def _is_kept_by_us(home: Home, path: Path) -> bool:
    """Whether a command of ours needs the file, as the session with Dify: it is no export."""
    return path.parent == home.path and is_ours(path.name)


def _is_of_them(content: bytes, searched: Searched) -> bool:
    if searched.is_in(content):
        return True
    return any(one[0].decode() in searched.ids for one in _UUID.finditer(content))


def _readable(path: Path) -> Iterator[bytes]:
    """What a file says, unpacked, some at a time."""
    match path.suffix:
        case ".parquet":
            with duckdb.connect() as connection:
                asked = connection.execute(
                    f"SELECT t::VARCHAR FROM read_parquet({quoted(str(path))}) AS t"
                )
                while rows := asked.fetchmany(1000):
                    yield "\n".join(text for (text,) in rows).encode()
        case ".xlsx":
            with zipfile.ZipFile(path) as book:
                for name in book.namelist():
                    with book.open(name) as sheet:
                        yield from _blocks(sheet)
        case _:
            with path.open("rb") as file:
                yield from _blocks(file)


def _blocks(file: IO[bytes]) -> Iterator[bytes]:
    """Blocks that overlap, so that no word is cut."""
    tail = b""
    while block := file.read(BLOCK):
        yield tail + block
        tail = (tail + block)[-1024:]


def _names(path: Path, searched: Searched) -> bool:
    # In a file of SQLite nothing stands between a text and the next one.
    is_sqlite = path.suffix == ".db" or path.name.endswith((".sqlite", *BESIDE_SQLITE))
    pattern = searched.anywhere if is_sqlite else searched.pattern
    try:
        with path.open("rb") as file:
            return pattern is not None and any(pattern.search(one) for one in _blocks(file))
    except OSError as error:
        raise translated(path, error) from error


def _files(folder: Path) -> list[Path]:
    return sorted(one for one in folder.rglob("*") if one.is_file())


def _others(home: Home, kept_out: Collection[Path]) -> Iterator[Path]:
    """Files of the home that are none of its databases and no other home's."""
    own = (home.demo, home.dagster, home.schedule_tokens, home.path / WORKSPACES_FOLDER)
    kept = {*own, *kept_out, *_homes_below(home)}
    ours = {home.audit, home.query_history}
    locks = {home.sync_lock, home.rotation_lock}
    for path in _files(home.path):
        is_database = path.parent == home.path and _DATABASE.fullmatch(path.name)
        here = (path, path.resolve())
        is_kept = path in ours | locks or any(
            one.is_relative_to(folder) for one in here for folder in kept
        )
        if not is_database and not is_kept:
            yield path


def _homes_below(home: Home) -> set[Path]:
    notes = home.path.rglob(home.note.name)
    return {one.parent for one in notes if one != home.note and is_home(one.parent)}


def _is_elsewhere(dagster: Path) -> bool:
    try:
        return "postgres" in (dagster / "dagster.yaml").read_text("utf-8", "replace")
    except OSError:
        return False


def _is_sqlite(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(SQLITE)) == SQLITE


def _clean_sqlite(path: Path, searched: Searched, new_name: str) -> None:
    """Replace names in every text of a SQLite file, and write it anew: it keeps old pages, too."""
    with closing(sqlite3.connect(path, timeout=LOCK_WAIT_SECONDS)) as connection:

        def without(text: str) -> str:
            return searched.without(text.encode("utf-8", "surrogatepass"), new_name).decode(
                "utf-8", "surrogatepass"
            )

        connection.create_function("without", 1, without, deterministic=True)
        for table, column in _columns(connection):
            connection.execute(
                f'UPDATE "{table}" SET "{column}" = without("{column}") '  # nosec B608 # own names
                f'WHERE typeof("{column}") = \'text\' AND without("{column}") <> "{column}"'
            )
        connection.commit()
        connection.execute("VACUUM")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _columns(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    return connection.execute(
        """SELECT t.name, c.name FROM sqlite_master t, pragma_table_info(t.name) c
        WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%'"""
    ).fetchall()
