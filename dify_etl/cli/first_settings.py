"""`dify-etl init`: ask for address and account, try them on Dify, and write them into `.env`."""

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from rich.console import Console

from dify_etl.cli.account_questions import (
    ADMIN_KEY,
    PASSWORD,
    Asking,
    InitRequest,
    NoTerminal,
    Terminal,
)
from dify_etl.cli.consoles import err, teller
from dify_etl.cli.dify_findings import IMPATIENT, no_zone_finding, role_finding
from dify_etl.cli.prompts import confirmed
from dify_etl.dify.addresses import other_address, version_at
from dify_etl.dify.client import Credentials, DifyClient
from dify_etl.dify.errors import DifyError
from dify_etl.dify.http.auth import AdminKeyCredentials, PasswordCredentials
from dify_etl.dify.http.server import API_PATH, api_url
from dify_etl.env_file import write_env
from dify_etl.setting_sources import ENV_FILE, held_in_env_file, secret_in_file
from dify_etl.settings import DIFY_BEGINS, SettingWrong
from dify_etl.time_zones import local_date, zone_names, zone_of

OF_ACCOUNT = ("email", "password_file", "admin_key_file", "workspace_id")


@dataclass(frozen=True)
class _Tried:
    """What Dify told of itself and of the account."""

    base_url: str
    credentials: Credentials
    zone: str | None
    role: str
    workspace: str
    apps: int
    oldest: datetime | None


def run_init(console: Console, request: InitRequest) -> int:
    """0 when all of it works and stands in `.env`; 1 when something is to be done in Dify first.

    SettingWrong: something is missing, or `.env` cannot be written. DifyError: without a terminal,
    what Dify refuses.
    """
    tell = teller(console)
    held = held_in_env_file()
    known = _with_secret_files(
        {**held, **{name: text for name, text in os.environ.items() if text}}
    )
    is_asking = sys.stdin.isatty() and not request.reads_stdin
    asking: Asking = Terminal(known, request) if is_asking else NoTerminal(known, request)
    base_url = asking.until_it_works(lambda: _found_address(asking.address(), tell), "address")
    tried = asking.until_it_works(lambda: _tried(base_url, asking.credentials()), *OF_ACCOUNT)
    tell(f"The account is {tried.role} of workspace {tried.workspace!r} with {tried.apps} apps.")
    values = _without_files(_values(tried, held), held, known)
    if not _may_write(values, held, tell, is_asking=is_asking, may_replace=request.may_replace):
        tell("Nothing was written.")
        return 1
    write_env(ENV_FILE, values)
    tell(f"Wrote {', '.join(values)} into {ENV_FILE.resolve()}, which only you can read.")
    _warn_of_environment(values, tell)
    return _say_what_is_next(tried, values, held, tell)


def _found_address(text: str, tell: Callable[[str], None]) -> str:
    """The address as it was given, or without the path of a page, or with https. Where no scheme
    was given, https is tried before http. Raises what Dify's client does when nothing answers as
    Dify.
    """
    is_whole = "://" in text
    base_url = str(api_url(text if is_whole else f"https://{text}")).removesuffix(API_PATH)
    try:
        version = version_at(base_url, retry=IMPATIENT, warn=teller(err))
    except DifyError as error:
        other = other_address(base_url)
        # Nobody is sent from https to http unasked: then a password could be read on its way.
        if (
            other is not None
            and is_whole
            and base_url.startswith("https:") > other.startswith("https:")
        ):
            error.hint = f"Dify answers at {other}, unencrypted: give that address if it is meant."
            raise
        if other is None:
            raise
        base_url, version = other, version_at(other, retry=IMPATIENT, warn=teller(err))
    tell(f"Dify {version} answers at {base_url}.")
    return base_url


def _tried(base_url: str, credentials: Credentials) -> _Tried:
    """Log in and look: account, workspace, role, and the oldest thing that can hold anything."""
    with DifyClient(base_url, credentials=credentials, retry=IMPATIENT, warn=teller(err)) as dify:
        profile = dify.account.profile()
        current = dify.account.current_workspace()
        apps = list(dify.apps.list())
        own = [one for one in dify.account.workspaces() if one.workspace_id == current.workspace_id]
        begun = [one.created_at for one in (current, *own)] + [one.created_at for one in apps]
        return _Tried(
            base_url,
            credentials,
            profile.timezone,
            dify.account.role_in(current),
            current.name or current.workspace_id,
            len(apps),
            min((at for at in begun if at is not None), default=None),
        )


def _values(tried: _Tried, held: Mapping[str, str]) -> dict[str, str]:
    """What `.env` is to say; a start date that stands there was somebody's choice, and stays."""
    values = {"DIFY_BASE_URL": tried.base_url}
    match tried.credentials:
        case PasswordCredentials(email, password):
            values |= {"DIFY_EMAIL": email, PASSWORD: password.get_secret_value()}
            # The client would take the key.
            values |= {ADMIN_KEY: ""} if ADMIN_KEY in held else {}
        case AdminKeyCredentials(key, workspace):
            values |= {ADMIN_KEY: key.get_secret_value(), "DIFY_WORKSPACE_ID": workspace}
    if "DIFY_ETL_SIMULATED" in held:
        values["DIFY_ETL_SIMULATED"] = "false"
    if tried.zone in zone_names():
        values["DIFY_ETL_TIMEZONE"] = str(tried.zone)
        if "DIFY_ETL_START_DATE" not in held:
            values["DIFY_ETL_START_DATE"] = _start_date(tried).isoformat()
    return values


def _with_secret_files(known: Mapping[str, str]) -> dict[str, str]:
    """The variables with the secrets that stand in files. SettingWrong: one holds none."""
    files = {name: known.get(f"{name}_FILE") for name in (PASSWORD, ADMIN_KEY)}
    return {
        **known,
        **{
            name: secret_in_file(name, Path(file))
            for name, file in files.items()
            if file and name not in known
        },
    }


def _without_files(
    values: Mapping[str, str], held: Mapping[str, str], known: Mapping[str, str]
) -> dict[str, str]:
    """What is to be written where secrets stand in files: a secret that its file holds stays there
    alone, and a file of `.env` that holds another is named no more.
    """
    kept = dict(values)
    for name in (PASSWORD, ADMIN_KEY):
        file = f"{name}_FILE"
        if file in known and kept.get(name) == known.get(name):
            kept.pop(name, None)
        elif file in held:
            kept[file] = ""
    return kept


def _start_date(tried: _Tried) -> date:
    """The local day of the oldest of workspace and apps: no conversation can be older."""
    if tried.oldest is None:
        return DIFY_BEGINS
    return max(
        DIFY_BEGINS, local_date(min(tried.oldest, datetime.now(UTC)), zone_of(str(tried.zone)))
    )


def _may_write(
    values: Mapping[str, str],
    held: Mapping[str, str],
    tell: Callable[[str], None],
    *,
    is_asking: bool,
    may_replace: bool,
) -> bool:
    """Whether what stands in `.env` may be replaced: it is named before."""
    replaced = [name for name, text in values.items() if name in held and held[name] != text]
    if not replaced:
        return True
    lines = [
        f"{name}={held[name]}" if name not in (PASSWORD, ADMIN_KEY) else f"{name} (not shown)"
        for name in replaced
    ]
    tell(f"In {ENV_FILE} these are replaced: {', '.join(lines)}.")
    if may_replace:
        return True
    if is_asking:
        return confirmed("Replace them?")
    raise SettingWrong(
        f"{ENV_FILE} has other values",
        where=str(ENV_FILE.resolve()),
        hint="Add --yes to replace them, or remove their lines.",
    )


def _warn_of_environment(values: Mapping[str, str], tell: Callable[[str], None]) -> None:
    other = [name for name, text in values.items() if os.environ.get(name, text) not in (text, "")]
    # The client takes the key before an account, and a file of a secret excludes the secret.
    excluded = [f"{name}_FILE" for name in (PASSWORD, ADMIN_KEY) if name in values]
    excluded += [] if values.get(ADMIN_KEY) else [ADMIN_KEY, f"{ADMIN_KEY}_FILE"]
    other += [name for name in dict.fromkeys(excluded) if os.environ.get(name)]
    if other := list(dict.fromkeys(other)):
        tell(f"The environment has other values, and counts before {ENV_FILE}: {', '.join(other)}.")


def _say_what_is_next(
    tried: _Tried, values: Mapping[str, str], held: Mapping[str, str], tell: Callable[[str], None]
) -> int:
    role = role_finding(tried.role)
    if role.to_do:
        tell(f"Role {role.found}. {role.to_do}")
    if "DIFY_ETL_TIMEZONE" not in values:
        zone = no_zone_finding(tried.zone)
        tell(f"{zone.found}: no sync can begin. {zone.to_do} Then run `dify-etl init` again.")
        return 1
    start = values.get("DIFY_ETL_START_DATE") or held["DIFY_ETL_START_DATE"]
    tell(
        "Texts and names of people are loaded as they are; set DIFY_ETL_TEXT and DIFY_ETL_PEOPLE "
        "before the first sync if they must not be (`dify-etl docs privacy`)."
    )
    tell(f"Next: `dify-etl sync` reads all since {start} ({values['DIFY_ETL_TIMEZONE']}).")
    return 0
