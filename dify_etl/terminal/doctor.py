"""Examine everything that a sync needs, and say for each what to do."""

import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table as RichTable

from dify_etl.connection import effective_settings, home_of, kept_sessions, open_dify
from dify_etl.dify.account import Profile
from dify_etl.dify.client import DifyClient
from dify_etl.dify.tokens import MemoryTokenStore
from dify_etl.errors import ActionableError
from dify_etl.settings import Settings
from dify_etl.sync.lock import holder
from dify_etl.warehouse.database import open_database
from dify_etl.warehouse.publish import LIVE

SCARCE_BYTES = 1 << 30
LEAST_VERSION = (1, 0, 0)
HIDDEN_FROM = {
    "owner": "sees everything",
    "admin": "does not see other people's private datasets",
    "editor": "does not see other people's private datasets",
    "normal": "may not read conversations, messages and annotations; nor private datasets",
    "dataset_operator": "may not read conversations, messages and annotations",
}
ENOUGH = ("owner", "admin", "editor")


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: its name, what was found, and what to do (None: nothing)."""

    subject: str
    found: str
    to_do: str | None = None


def examine(console: Console, *, write: bool) -> int:
    """Print the findings; 0 when nothing is to be done, else 1. `write` puts the zone into .env."""
    settings = effective_settings()
    findings = [*_examine_dify(settings, write=write), *_examine_home(settings)]
    table = RichTable(title="dify-etl doctor", title_justify="left")
    for heading in ("", "checked", "found", "what to do"):
        table.add_column(heading, overflow="fold")
    for one in findings:
        mark = "[red]✗[/]" if one.to_do else "[green]✓[/]"
        table.add_row(mark, one.subject, escape(one.found), escape(one.to_do or ""))
    console.print(table)
    return 1 if any(one.to_do for one in findings) else 0


def _examine_dify(settings: Settings, *, write: bool) -> Iterator[Finding]:
    """Server, version, login, workspace, role, time zone; stops at the first that fails."""
    server = settings.base_url or "the simulated Dify (DIFY_BASE_URL is not set)"
    try:
        # A kept session would hide a wrong password: log in anew.
        with open_dify(settings, token_store=MemoryTokenStore()) as dify:
            yield Finding("server", f"{server} answers")
            yield _version(dify)
            profile = dify.account.profile()
            yield Finding("login", f"as {profile.email}")
            yield _sessions(settings, dify)
            workspace = dify.account.current_workspace()
            yield Finding("workspace", f"{workspace.name} ({workspace.workspace_id})")
            yield _role(dify, profile)
            yield _zone(settings, profile, write=write)
    except ActionableError as error:
        yield Finding(error.where, error.what, error.hint)


def _version(dify: DifyClient) -> Finding:
    version = dify.server_version
    if dify.version < LEAST_VERSION:
        return Finding("version", version, "Dify before 1.0 is not known; update the server.")
    return Finding("version", version)


def _sessions(settings: Settings, dify: DifyClient) -> Finding:
    """Whether the place that keeps sessions can be locked and read."""
    if settings.is_simulated:
        return Finding("session store", "memory")
    store = kept_sessions(settings)
    with store.locked(dify.origin):
        store.load(dify.origin)
    return Finding("session store", type(store).__name__.removesuffix("TokenStore").lower())


def _role(dify: DifyClient, profile: Profile) -> Finding:
    members = {member.account_id: member.role for member in dify.members.list()}
    role = members.get(profile.account_id) or "unknown"
    hidden = HIDDEN_FROM.get(role, "is not known to this program")
    advice = None if role in ENOUGH else "Give the account the role editor, or owner for all."
    return Finding("role", f"{role}: {hidden}", advice)


def _zone(settings: Settings, profile: Profile, *, write: bool) -> Finding:
    if profile.timezone == settings.timezone:
        return Finding("time zone", settings.timezone)
    line = f"DIFY_ETL_TIMEZONE={profile.timezone}"
    found = f"the account has {profile.timezone}, DIFY_ETL_TIMEZONE is {settings.timezone}"
    if not write:
        return Finding("time zone", found, f"Set {line}, or run `dify-etl doctor --write`.")
    _write_env(Path(".env"), line)
    return Finding("time zone", f"{found}; wrote {line} into .env")


def _write_env(path: Path, line: str) -> None:
    """Replace the variable's line or add it; the file keeps its mode, a new one gets 0600."""
    held = path.read_text(encoding="utf-8") if path.exists() else ""
    name = line.split("=", 1)[0]
    pattern = re.compile(rf"^{name}=.*$", re.MULTILINE)
    text = pattern.sub(line, held) if pattern.search(held) else f"{held.rstrip()}\n{line}\n"
    if not path.exists():
        path.touch(mode=0o600)
    path.write_text(text.lstrip("\n"), encoding="utf-8")


def _examine_home(settings: Settings) -> Iterator[Finding]:
    home = home_of(settings)
    yield _tried("home", lambda: _home(home))
    if not home.is_dir():
        return
    yield _tried("sync lock", lambda: _lock(home))
    yield _tried("live file", lambda: _live(home))


def _tried(subject: str, look: Callable[[], Finding]) -> Finding:
    try:
        return look()
    except ActionableError as error:
        return Finding(subject, error.what, error.hint)
    except OSError as error:
        reason = f"{error.filename}: {error.strerror}"
        return Finding(subject, reason, "Fix its permissions, or set DIFY_ETL_HOME elsewhere.")


def _home(home: Path) -> Finding:
    existing = next(one for one in (home, *home.resolve().parents) if one.exists())
    advice = "Set DIFY_ETL_HOME to a folder that you may write."
    if not existing.is_dir():
        return Finding("home", f"{existing} is a file, no folder", advice)
    try:
        tempfile.TemporaryFile(dir=existing).close()
    except OSError as error:
        return Finding("home", f"{home} cannot be written: {error.strerror}", advice)
    free = shutil.disk_usage(existing).free
    found = f"{home}, {free / (1 << 30):.1f} GiB free"
    scarce = "Free some space: a publication needs as much as the live file."
    return Finding("home", found, scarce if free < SCARCE_BYTES else None)


def _lock(home: Path) -> Finding:
    held = holder(home)
    return Finding("sync lock", f"held by {held}" if held else "free")


def _live(home: Path) -> Finding:
    path = home / LIVE
    if not path.exists():
        return Finding("live file", "not made yet; the first sync makes it")
    with open_database(path, wait_seconds=1.0) as database:
        tables = database.value("SELECT count(*) FROM duckdb_tables() WHERE schema_name = 'raw'")
    return Finding("live file", f"{path.stat().st_size / (1 << 20):.1f} MiB, {tables} raw tables")
