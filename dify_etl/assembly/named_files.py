"""Files of a home, beside its databases, in which a person is named: found, and written anew."""

import json
import re
import sqlite3
import zipfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

import duckdb

from dify_etl.home import COPY, LIVE, Home
from dify_etl.private_files import replace_file
from dify_etl.warehouse.errors import WarehouseUnwritable, translated
from dify_etl.warehouse.tables import quoted

Fate = Literal["written anew", "deleted", "left"]

BLOCK = 1 << 20
SQLITE = b"SQLite format 3\x00"
# What holds rows of talks, and is made anew at any time.
EXPORTS = frozenset({".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".parquet", ".xlsx", ".html"})
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

    @property
    def words(self) -> tuple[bytes, ...]:
        """The names as they stand in files, in JSON and in JSON inside JSON too."""
        spellings = {form for name in self.names for form in (name, *_escaped(name))}
        return tuple(sorted((one.encode() for one in spellings), key=len, reverse=True))


def find_files(home: Home, dagster: Path, searched: Searched) -> list[NamedFile]:
    """The files in which the person is named, in the order of their paths."""
    words = searched.words
    found: list[NamedFile] = []
    for path in (home.audit, home.query_history):
        if path.is_file() and _names(path, words):
            found.append(NamedFile(path, "written anew", "it names the person"))
    for path in _files(dagster):
        if _names(path, words):
            found.append(NamedFile(path, "written anew", "Dagster's storage names the person"))
    if _is_elsewhere(dagster):
        why = "it says that Dagster's events are in a database of their own: look there"
        found.append(NamedFile(dagster / "dagster.yaml", "left", why))
    for path in _others(home, dagster):
        if (one := _exported(home, path, searched, words)) is not None:
            found.append(one)
    return found


def clean_files(found: Sequence[NamedFile], searched: Searched, new_name: str) -> None:
    """Put the new name where the person is named, and delete what is to be deleted.

    WarehouseUnwritable: somebody writes to it, or nobody may.
    """
    replacements = [(word, new_name.encode()) for word in searched.words]
    for one in found:
        try:
            if one.fate == "deleted":
                one.path.unlink(missing_ok=True)
            elif one.fate == "written anew" and _is_sqlite(one.path):
                _clean_sqlite(one.path, replacements)
            elif one.fate == "written anew":
                content = one.path.read_bytes()
                for word, name in replacements:
                    content = content.replace(word, name)
                replace_file(one.path, content, keeps_rights=True)
        except OSError as error:
            raise translated(one.path, error) from error
        except sqlite3.OperationalError as error:
            raise WarehouseUnwritable(
                f"Dagster's storage cannot be written anew: {error}",
                where=str(one.path),
                hint="End `dify-etl dev` and every run of Dagster on this home, and say it once "
                "more: what was done stays done.",
            ) from error


def _exported(
    home: Home, path: Path, searched: Searched, words: Sequence[bytes]
) -> NamedFile | None:
    """What becomes of a file that somebody or a command of ours wrote into the home."""
    if path.is_relative_to(home.escrow):
        if _names(path, words):
            return NamedFile(path, "left", "escrow of a deleted app: delete it when you may")
        return None
    if path.suffix not in EXPORTS:
        is_named = path.suffix != ".duckdb" and _names(path, words)
        why = "it names the person, and is no export of rows: look at it"
        return NamedFile(path, "left", why) if is_named else None
    try:
        is_theirs = any(_is_of_them(part, searched, words) for part in _readable(path))
    except (duckdb.Error, zipfile.BadZipFile, OSError) as error:
        return NamedFile(path, "left", f"it cannot be looked into: {str(error).splitlines()[0]}")
    return NamedFile(path, "deleted", "an export with the person's rows") if is_theirs else None


def _is_of_them(content: bytes, searched: Searched, words: Sequence[bytes]) -> bool:
    if any(word in content for word in words):
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


def _names(path: Path, words: Sequence[bytes]) -> bool:
    try:
        with path.open("rb") as file:
            return any(word in block for block in _blocks(file) for word in words)
    except OSError as error:
        raise translated(path, error) from error


def _files(folder: Path) -> list[Path]:
    return sorted(one for one in folder.rglob("*") if one.is_file() and not one.is_symlink())


def _others(home: Home, dagster: Path) -> Iterator[Path]:
    """Files of the home that are none of its databases and no other home's."""
    kept: Collection[Path] = (home.demo, home.dagster, dagster, home.schedule_tokens)
    ours = {home.audit, home.query_history}
    for path in _files(home.path):
        in_home = path.relative_to(home.path).parts
        is_database = len(in_home) == 1 and in_home[0].startswith((LIVE, COPY))
        is_kept = path in ours or any(path.is_relative_to(folder) for folder in kept)
        if not is_database and not is_kept:
            yield path


def _is_elsewhere(dagster: Path) -> bool:
    try:
        return "postgres" in (dagster / "dagster.yaml").read_text("utf-8", "replace")
    except OSError:
        return False


def _is_sqlite(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(SQLITE)) == SQLITE


def _clean_sqlite(path: Path, replacements: Sequence[tuple[bytes, bytes]]) -> None:
    """Replace words in every text of a SQLite file, and write it anew: it keeps old pages, too."""
    with closing(sqlite3.connect(path, timeout=LOCK_WAIT_SECONDS)) as connection:
        for table, column in _columns(connection):
            for word, name in replacements:
                connection.execute(
                    f'UPDATE "{table}" SET "{column}" = replace("{column}", ?, ?) '  # nosec B608 # names of the file's own schema
                    f'WHERE typeof("{column}") = \'text\' AND instr("{column}", ?) > 0',
                    [word.decode(), name.decode(), word.decode()],
                )
        connection.commit()
        connection.execute("VACUUM")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _columns(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    return connection.execute(
        """SELECT t.name, c.name FROM sqlite_master t, pragma_table_info(t.name) c
        WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%'"""
    ).fetchall()


def _escaped(name: str) -> Iterator[str]:
    for ensure_ascii in (True, False):
        once = json.dumps(name, ensure_ascii=ensure_ascii)[1:-1]
        yield once
        yield json.dumps(once)[1:-1]
