"""What the doctor finds of Dify, in the order in which one thing hangs on the other: address,
version, login, workspace, role, time zone, clock, days, feeds, database.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

from dify_etl.assembly.connection import first_line, kept_sessions, open_dify, server_name
from dify_etl.cli.consoles import err, teller
from dify_etl.cli.database_findings import examine_database
from dify_etl.cli.findings import Finding
from dify_etl.dify.account import Profile, Workspace
from dify_etl.dify.addresses import PING_SECONDS, other_address
from dify_etl.dify.client import DifyClient
from dify_etl.dify.errors import DifyError, NotShown, TokenStoreFailed
from dify_etl.dify.http.session import RetryPolicy
from dify_etl.dify.http.tokens import MemoryTokenStore
from dify_etl.env_file import write_env
from dify_etl.errors import ActionableError
from dify_etl.feeds.looking_ahead import unreadable_feeds
from dify_etl.feeds.server_days import day_difference
from dify_etl.setting_sources import ENV_FILE
from dify_etl.settings import Settings
from dify_etl.sync.clocks import clock_difference
from dify_etl.sync.opt_in import OPT_IN, is_read
from dify_etl.time_zones import is_same_zone, zone_names
from dify_etl.warehouse.errors import WarehouseError

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
# A person waits for what is found: a server that is away is asked twice, not five times.
IMPATIENT = RetryPolicy(attempts=2, ping_seconds=PING_SECONDS)
_OPENING, _SERVER = "settings", "server"

Tell = Callable[[str], None]


@dataclass
class _Look:
    """What the steps share: they are asked for once, by the step that first needs them."""

    settings: Settings
    dify: DifyClient
    tell: Tell
    write: bool
    compare: bool

    @cached_property
    def profile(self) -> Profile:
        return self.dify.account.profile()

    @cached_property
    def workspace(self) -> Workspace:
        return self.dify.account.current_workspace()

    @cached_property
    def role(self) -> str:
        return self.dify.account.role_in(self.workspace)


def examine_dify(
    settings: Settings, tell: Tell, *, write: bool, compare: bool = False
) -> Iterator[Finding]:
    """What each step finds, up to the first that fails; those after it are named as not looked at.

    `tell` gets the line with server, workspace and home; `write` puts the account's zone into .env.
    """
    left = [_OPENING, *_STEPS]
    try:
        # A kept session would hide a wrong password: log in anew.
        store = MemoryTokenStore()
        with open_dify(settings, token_store=store, retry=IMPATIENT, warn=teller(err)) as dify:
            look = _Look(settings, dify, tell, write, compare)
            for step in _STEPS.values():
                left.pop(0)
                yield from step(look)
    except ActionableError as error:
        failed, *others = left
        if isinstance(error, WarehouseError):  # the home was looked at, and says so itself
            failed = "home"
        else:
            yield _failed(failed, error, settings)
        if others:
            told = f"not looked at: they need the {failed}"
            yield Finding(", ".join(others), told, is_skipped=True)


def _failed(subject: str, error: ActionableError, settings: Settings) -> Finding:
    """Where Dify does not answer at the address, another way to write it is tried, not guessed."""
    found = Finding.of(subject, error)
    if subject != _SERVER or not isinstance(error, DifyError) or settings.base_url is None:
        return found
    other = other_address(settings.base_url)
    return (
        found.with_advice(f"Dify answers at {other}: set DIFY_BASE_URL to it.") if other else found
    )


def _server(look: _Look) -> Iterator[Finding]:
    look.dify.check_address()
    yield Finding("server", f"{server_name(look.settings)} answers as Dify")


def _login(look: _Look) -> Iterator[Finding]:
    yield Finding("login", f"as {look.profile.email}")


def _workspace(look: _Look) -> Iterator[Finding]:
    workspace = look.workspace
    look.tell(first_line(look.settings, workspace))
    yield Finding("workspace", f"{workspace.name} ({workspace.workspace_id})")


def _version(look: _Look) -> Iterator[Finding]:
    dify = look.dify
    advice = "Dify before 1.0 is not known; update the server."
    yield Finding("version", dify.server_version, advice if dify.version < LEAST_VERSION else None)


def _sessions(look: _Look) -> Iterator[Finding]:
    """Whether the place that keeps sessions can be locked and read; nothing here hangs on it."""
    if look.settings.is_simulated:
        yield Finding("session store", "memory")
        return
    try:
        store = kept_sessions(look.settings)
        with store.locked(look.dify.origin):
            store.load(look.dify.origin)
    except TokenStoreFailed as error:
        yield Finding.of("session store", error)
        return
    yield Finding("session store", type(store).__name__.removesuffix("TokenStore").lower())


def _newer(look: _Look) -> Iterator[Finding]:
    """No ill, but the first thing to know when an answer is odd."""
    if newer := look.dify.newer_than_tested:
        yield Finding("newer version", f"{newer}; it is read all the same")


def _role(look: _Look) -> Iterator[Finding]:
    yield role_finding(look.role)


def role_finding(role: str) -> Finding:
    """What an account of this role is not shown; a limit, and no ill."""
    hidden = HIDDEN_FROM.get(role, "is not known to this program")
    if role in ENOUGH:
        return Finding("role", f"{role}: {hidden}")
    advice = "Give the account the role editor, or owner for all."
    return Finding("role", f"{role}: {hidden}", advice, is_limit=role in HIDDEN_FROM)


def _zone(look: _Look) -> Iterator[Finding]:
    zone, own = look.profile.timezone, look.settings.timezone
    if is_same_zone(zone, own):
        yield Finding("time zone", own)
        return
    if zone is None or zone not in zone_names():
        yield no_zone_finding(zone)
        return
    line = f"DIFY_ETL_TIMEZONE={zone}"
    found = f"the account has {zone}, DIFY_ETL_TIMEZONE is {own}"
    if look.settings.workspace is not None:  # .env is that of all workspaces
        found = f"the account has {zone}, the workspace's timezone is {own}"
        yield Finding("time zone", found, f'Set timezone = "{zone}" in its table.')
    elif look.write:
        write_env(ENV_FILE, {"DIFY_ETL_TIMEZONE": zone}, is_private=False)
        yield Finding("time zone", f"{found}; wrote {line} into .env")
    else:
        yield Finding("time zone", found, f"Set {line}, or run `dify-etl doctor --write`.")


def no_zone_finding(zone: str | None) -> Finding:
    """The account has a time zone that is none: no day can be counted as Dify counts it."""
    told = f"the time zone {zone!r}" if zone else "no time zone"
    advice = "Set the account's time zone in Dify, to the one in which you count days."
    return Finding("time zone", f"the account has {told}, which names none", advice)


def _clock(look: _Look) -> Iterator[Finding]:
    told = clock_difference(look.dify.clock_ahead())
    advice = "Set the wrong one right (NTP); until then the earlier of both says which day is over."
    if told is None:
        yield Finding("clock", "Dify's and this machine's agree")
    else:
        yield Finding("clock", told, advice)


def _days(look: _Look) -> Iterator[Finding]:
    """Nobody can mend it here, and syncs are right all the same: a limit."""
    if look.profile.timezone and (told := day_difference(look.dify)):
        advice = (
            "Update the time zones (tzdata) of the server, its database too, or those of this "
            "program: until then Dify's statistics of some days are not those of the rows."
        )
        yield Finding("days", told, advice, is_limit=True)


def _feeds(look: _Look) -> Iterator[Finding]:
    """A line per feed of which this account is not shown everything, or that cannot be read; feeds
    that the settings leave out are not asked.

    What a role is not shown is no ill: a sync calls it unproven and goes on.
    """
    left_out = [feed for feed in OPT_IN if not is_read(feed, look.settings)]
    found, role = list(unreadable_feeds(look.dify, left_out)), look.role
    for one in found:
        subject, apps = f"feed {one.feed}", _listed_apps(one.apps)
        if one.is_taken_away:
            told = "this Dify lists them no more: nothing is lacking, what was read stays"
            yield Finding(subject, told)
        elif isinstance(one.error, NotShown):
            right = one.error.right
            told = f"not shown to this account ({role}){apps}: {right.sentence}"
            advice = right.advice_for(role)
            yield Finding(subject, f"{told}; unproven until then", advice, is_limit=True)
        else:
            yield Finding(subject, f"{one.error.what} [{one.error.where}]{apps}", one.error.hint)
    if all(one.is_taken_away for one in found):
        yield Finding("feeds", "each answers this account")


def _database(look: _Look) -> Iterator[Finding]:
    """Dify's own database, where the settings name it."""
    workspace_id = look.workspace.workspace_id
    yield from examine_database(look.settings, look.dify, workspace_id, compare=look.compare)


def _listed_apps(apps: tuple[str, ...]) -> str:
    if not apps:
        return ""
    more = f" and {len(apps) - SHOWN_APPS} more" if len(apps) > SHOWN_APPS else ""
    return f" of {len(apps)} apps: {', '.join(apps[:SHOWN_APPS])}{more}"


# In the order in which each hangs on those before it.
_STEPS: dict[str, Callable[[_Look], Iterator[Finding]]] = {
    _SERVER: _server,
    "version": _version,
    "login": _login,
    "session store": _sessions,
    "workspace": _workspace,
    "role": _role,
    "newer version": _newer,
    "time zone": _zone,
    "clock": _clock,
    "days": _days,
    "feeds": _feeds,
    "database": _database,
}
