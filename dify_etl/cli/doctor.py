"""Examine everything that a sync needs, and say for each what to do."""

import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from dotenv import set_key
from rich.console import Console
from rich.markup import escape
from rich.table import Table as RichTable

from dify_etl.assembly.connection import (
    copy_place,
    effective_settings,
    first_line,
    home_of,
    kept_sessions,
    open_dify,
    server_name,
)
from dify_etl.cli.consoles import teller
from dify_etl.dify.account import Profile
from dify_etl.dify.client import DifyClient
from dify_etl.dify.errors import NotShown
from dify_etl.dify.http.tokens import MemoryTokenStore
from dify_etl.errors import ActionableError
from dify_etl.feeds.looking_ahead import unreadable_feeds
from dify_etl.feeds.server_days import day_difference
from dify_etl.home import Home, other_readers, user_name
from dify_etl.private_files import ADVICE_WITHOUT_LOCKS, PRIVATE_FILE, LockUnavailable
from dify_etl.settings import Settings
from dify_etl.sync.clocks import clock_difference
from dify_etl.sync.lock import holder, home_lock
from dify_etl.sync.migrations import STEPS
from dify_etl.sync.opt_in import OPT_IN, is_read
from dify_etl.time_zones import is_same_zone, zone_names
from dify_etl.warehouse.database import open_database
from dify_etl.warehouse.migrations import waiting_steps
from dify_etl.warehouse.publish import left_copy, sweep_left_behind

SCARCE_BYTES = 1 << 30
LEAST_VERSION = (1, 0, 0)
NO_PRIVATE = "does not see other people's private datasets"
HIDDEN_FROM = {
    "owner": "sees everything",
    "admin": NO_PRIVATE,
    "editor": NO_PRIVATE,
    "normal": f"may not read conversations, messages and annotations; {NO_PRIVATE}",
    "dataset_operator": f"may not read conversations, messages and annotations; {NO_PRIVATE}",
}
ENOUGH = ("owner", "admin", "editor")
SHOWN_APPS = 10


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: its name, what was found, and what to do (None: nothing).

    `is_limit`: it is as it is for this account; syncs go on without it, and nothing must be done.
    """

    subject: str
    found: str
    to_do: str | None = None
    is_limit: bool = False

    @property
    def mark(self) -> str:
        """✓ good, ○ not for this account, ✗ something is to be done."""
        if self.is_limit:
            return "[yellow]○[/]"
        return "[red]✗[/]" if self.to_do else "[green]✓[/]"


def examine(console: Console, *, write: bool) -> int:
    """Print the findings; 0 when nothing must be done, else 1. `write` puts the zone into .env."""
    settings = effective_settings()
    findings = [
        *_examine_dify(settings, console, write=write),
        *_examine_home(settings),
    ]
    table = RichTable(title="dify-etl doctor", title_justify="left")
    for heading in ("", "checked", "found", "what to do"):
        table.add_column(heading, overflow="fold")
    for one in findings:
        table.add_row(one.mark, one.subject, escape(one.found), escape(one.to_do or ""))
    console.print(table)
    return 1 if any(one.to_do and not one.is_limit for one in findings) else 0


def _examine_dify(settings: Settings, console: Console, *, write: bool) -> Iterator[Finding]:
    """Server, version, login, workspace, role, time zone; stops at the first that fails."""
    server = server_name(settings)
    try:
        # A kept session would hide a wrong password: log in anew.
        with open_dify(settings, token_store=MemoryTokenStore()) as dify:
            yield Finding("server", f"{server} answers")
            yield _version(dify)
            profile = dify.account.profile()
            yield Finding("login", f"as {profile.email}")
            yield _sessions(settings, dify)
            workspace = dify.account.current_workspace()
            teller(console)(first_line(settings, workspace))
            yield Finding("workspace", f"{workspace.name} ({workspace.workspace_id})")
            role = dify.account.role_in(workspace)
            yield _role(role)
            yield from _newer(dify)
            yield _zone(settings, profile, write=write)
            yield _clock(dify)
            yield from _days(dify)
            yield from _feeds(dify, settings, role)
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


def _newer(dify: DifyClient) -> Iterator[Finding]:
    """No ill, but the first thing to know when an answer is odd."""
    if newer := dify.newer_than_tested:
        yield Finding("newer version", f"{newer}; it is read all the same")


def _feeds(dify: DifyClient, settings: Settings, role: str) -> Iterator[Finding]:
    """A line per feed of which this account is not shown everything, or that cannot be read; feeds
    that the settings leave out are not asked.

    What a role is not shown is no ill: a sync calls it unproven and goes on.
    """
    left_out = [feed for feed in OPT_IN if not is_read(feed, settings)]
    found = list(unreadable_feeds(dify, left_out))
    for one in found:
        subject, apps = f"feed {one.feed}", _listed_apps(one.apps)
        if isinstance(one.error, NotShown):
            right = one.error.right
            told = f"not shown to this account ({role}){apps}: {right.sentence}"
            advice = right.advice_for(role)
            yield Finding(subject, f"{told}; unproven until then", advice, is_limit=True)
        else:
            yield Finding(subject, f"{one.error.what} [{one.error.where}]{apps}", one.error.hint)
    if not found:
        yield Finding("feeds", "each answers this account")


def _listed_apps(apps: tuple[str, ...]) -> str:
    if not apps:
        return ""
    more = f" and {len(apps) - SHOWN_APPS} more" if len(apps) > SHOWN_APPS else ""
    return f" of {len(apps)} apps: {', '.join(apps[:SHOWN_APPS])}{more}"


def _role(role: str) -> Finding:
    hidden = HIDDEN_FROM.get(role, "is not known to this program")
    if role in ENOUGH:
        return Finding("role", f"{role}: {hidden}")
    advice = "Give the account the role editor, or owner for all."
    return Finding("role", f"{role}: {hidden}", advice, is_limit=role in HIDDEN_FROM)


def _clock(dify: DifyClient) -> Finding:
    told = clock_difference(dify.clock_ahead())
    if told is None:
        return Finding("clock", "Dify's and this machine's agree")
    advice = "Set the wrong one right (NTP); until then the earlier of both says which day is over."
    return Finding("clock", told, advice)


def _days(dify: DifyClient) -> Iterator[Finding]:
    """Nobody can mend it here, and syncs are right all the same: a limit."""
    if dify.account.profile().timezone and (told := day_difference(dify)):
        advice = (
            "Update the time zones (tzdata) of the server, its database too, or those of this "
            "program: until then Dify's statistics of some days are not those of the rows."
        )
        yield Finding("days", told, advice, is_limit=True)


def _zone(settings: Settings, profile: Profile, *, write: bool) -> Finding:
    if is_same_zone(profile.timezone, settings.timezone):
        return Finding("time zone", settings.timezone)
    if profile.timezone is None or profile.timezone not in zone_names():
        advice = "Set the account's time zone in Dify, to the one in which you count days."
        told = "no time zone" if not profile.timezone else f"the time zone {profile.timezone!r}"
        return Finding("time zone", f"the account has {told}, which names none", advice)
    line = f"DIFY_ETL_TIMEZONE={profile.timezone}"
    found = f"the account has {profile.timezone}, DIFY_ETL_TIMEZONE is {settings.timezone}"
    if not write:
        return Finding("time zone", found, f"Set {line}, or run `dify-etl doctor --write`.")
    _write_env(Path(".env"), "DIFY_ETL_TIMEZONE", profile.timezone)
    return Finding("time zone", f"{found}; wrote {line} into .env")


def _write_env(path: Path, name: str, value: str) -> None:
    """Set a variable in one step; the file keeps its mode, a new one gets 0600."""
    if not path.exists():
        path.touch(mode=PRIVATE_FILE)
    mode = stat.S_IMODE(path.stat().st_mode)
    set_key(path, name, value, quote_mode="never")
    path.chmod(mode)


def _examine_home(settings: Settings) -> Iterator[Finding]:
    home = home_of(settings)
    yield _tried("home", lambda: _home(home))
    if not home.is_dir():
        return
    yield _tried("sync lock", lambda: _lock(home))
    yield _tried("live file", lambda: _live(home))
    yield _tried("privacy", lambda: _privacy(home))
    swept = _tried("left behind", lambda: _left_behind(settings, home))
    if swept.found:
        yield swept
    if (old := left_copy(home, copy_place(settings))) is not None:
        yield Finding(
            "old copy",
            f"{old} holds all rows of its day, while DIFY_ETL_COPY is another folder",
            "The next sync deletes it, once the copy there is made.",
        )


def _privacy(home: Path) -> Finding:
    """Who reads along, before the next run makes the home private."""
    readers = other_readers(home)
    if readers is None:
        return Finding("privacy", f"only {user_name()} reads the files of the home")
    return Finding(
        "privacy",
        f"{readers} can read the files of the home",
        "The next sync makes the home private (folder 0700, files 0600). To let a group read the "
        "copy, set DIFY_ETL_COPY_GROUP, or DIFY_ETL_COPY for a folder of its own.",
    )


def _left_behind(settings: Settings, home: Path) -> Finding:
    """Sweeps what killed publications left: it holds all rows, those in quarantine too."""
    if not Home(home).sync_lock.exists() or holder(home) is not None:
        return Finding("left behind", "")  # what a sync is writing is no left-over
    folders = {home, copy_place(settings).target.parent}
    with home_lock(home, wait_seconds=0.0):
        swept = [sweep_left_behind(folder) for folder in sorted(folders)]
    files, size = (sum(one) for one in zip(*swept, strict=True))
    found = f"removed {files} files, {size / (1 << 20):.1f} MiB" if files else ""
    return Finding("left behind", found)


def _tried(subject: str, look: Callable[[], Finding]) -> Finding:
    try:
        return look()
    except ActionableError as error:
        return Finding(subject, error.what, error.hint)
    except LockUnavailable as error:
        return Finding(subject, str(error.strerror), ADVICE_WITHOUT_LOCKS)
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
    path = Home(home).live
    if not path.exists():
        return Finding("live file", "not made yet; the first sync makes it")
    with open_database(path, wait_seconds=1.0) as database:
        tables = database.value("SELECT count(*) FROM duckdb_tables() WHERE schema_name = 'raw'")
        steps = waiting_steps(database, STEPS)
    found = f"{path.stat().st_size / (1 << 20):.1f} MiB, {tables} raw tables"
    if not steps:
        return Finding("live file", found)
    advice = f"Run `dify-etl sync`, which does so: {'; '.join(steps)}."
    return Finding("live file", f"{found}; made by an earlier version", advice)
