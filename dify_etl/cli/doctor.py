"""Examine everything that a sync needs, and say for each what to do."""

import errno
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from dify_etl.assembly.connection import copy_place, effective_settings, home_of
from dify_etl.assembly.same_workspace import WHAT_TO_DO, homes_of_same_workspace
from dify_etl.cli.consoles import err, teller
from dify_etl.cli.dify_findings import examine_dify
from dify_etl.cli.findings import Finding, rows_of, show_findings
from dify_etl.cli.json_answers import print_json
from dify_etl.errors import ActionableError
from dify_etl.home import Home, other_readers, user_name
from dify_etl.private_files import ADVICE_WITHOUT_LOCKS, LockUnavailable, try_to_write
from dify_etl.settings import Settings
from dify_etl.sync.lock import holder, home_lock
from dify_etl.sync.migrations import STEPS
from dify_etl.sync.shared_note import shared_behind
from dify_etl.warehouse.database import open_to_read
from dify_etl.warehouse.migrations import waiting_steps
from dify_etl.warehouse.publish import left_copy, sweep_left_behind

SCARCE_BYTES = 1 << 30
_SCARCE = "A publication needs as much as the live file."


def examine(console: Console, *, write: bool, compare: bool = False, is_json: bool = False) -> int:
    """Print the findings; 0 when nothing must be done, else 1. `write` puts the zone into .env,
    `compare` reads samples from Dify's database, too.
    """
    settings = effective_settings()
    home = list(_examine_home(settings))
    # The client keeps a key of its own in the home, so that comes first.
    tell = teller(err if is_json else console)
    findings = [*home, *examine_dify(settings, tell, write=write, compare=compare)]
    if is_json:
        print_json(rows_of(findings))
    else:
        show_findings(console, "dify-etl doctor", findings)
    return 1 if any(one.is_bad for one in findings) else 0


def _examine_home(settings: Settings) -> Iterator[Finding]:
    home = home_of(settings)
    yield _tried("home", lambda: _home(home))
    if not home.is_dir():
        return
    yield _tried("sync lock", lambda: _lock(home))
    yield _tried("live file", lambda: _live(home))
    if others := homes_of_same_workspace(home):
        told = f"other homes hold the same workspace: {', '.join(map(str, others))}"
        yield Finding("other homes", told, WHAT_TO_DO)
    yield _tried("privacy", lambda: _privacy(home))
    if settings.warehouse is not None and not settings.is_simulated:
        yield _tried("shared warehouse", lambda: _shared(settings, home))
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
        return Finding.of(subject, error)
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
        try_to_write(existing)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            advice = f"Free some space, or set DIFY_ETL_HOME elsewhere. {_SCARCE}"
        return Finding("home", f"{home} cannot be written: {error.strerror}", advice)
    free = shutil.disk_usage(existing).free
    found = f"{home}, {free / (1 << 30):.1f} GiB free"
    scarce = f"Free some space. {_SCARCE}"
    return Finding("home", found, scarce if free < SCARCE_BYTES else None)


def _lock(home: Path) -> Finding:
    held = holder(home)
    return Finding("sync lock", f"held by {held}" if held else "free")


def _shared(settings: Settings, home: Path) -> Finding:
    from dify_etl.assembly.sharing import opened_shared  # loaded where there is one

    subject = "shared warehouse"
    try:
        found = opened_shared(settings)
    except ActionableError as error:
        # An empty database is no lake yet; until then an address is not told from a wrong one.
        is_first = not copy_place(settings).path.exists()
        return replace(Finding.of(subject, error), is_limit=is_first)
    if behind := shared_behind(home):
        found = f"{found}; behind since {behind.since:%Y-%m-%d %H:%M} UTC: {behind.reason}"
        return Finding(subject, found, "Run `dify-etl warehouse publish`, or let the next night.")
    return Finding(subject, found)


def _live(home: Path) -> Finding:
    path = Home(home).live
    if not path.exists():
        return Finding("live file", "not made yet; the first sync makes it")
    with open_to_read(path, wait_seconds=1.0) as database:
        tables = database.value("SELECT count(*) FROM duckdb_tables() WHERE schema_name = 'raw'")
        steps = waiting_steps(database, STEPS)
    found = f"{path.stat().st_size / (1 << 20):.1f} MiB, {tables} raw tables"
    if not steps:
        return Finding("live file", found)
    advice = f"Run `dify-etl sync`, which does so: {'; '.join(steps)}."
    return Finding("live file", f"{found}; made by an earlier version", advice)
