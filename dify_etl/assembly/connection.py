"""The Dify of the settings (a server, or the simulated one when told so), and its home."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dify_etl.assembly.home_files import fingerprint_key, make_home, people_salt
from dify_etl.background import in_background
from dify_etl.dify.account import Workspace
from dify_etl.dify.client import DifyClient
from dify_etl.dify.http.adaptive_limit import RequestLimits
from dify_etl.dify.http.bounds import AnswerBounds
from dify_etl.dify.http.session import RetryPolicy
from dify_etl.dify.http.token_stores import token_store_from
from dify_etl.dify.http.tokens import TokenStore
from dify_etl.home import (
    SERVER,
    SIMULATED,
    Home,
    holds_others,
    make_private,
    other_readers,
    remember,
    remembered,
    user_name,
)
from dify_etl.interrupts import let_interrupts_end_waits
from dify_etl.private_files import try_to_write
from dify_etl.settings import (
    DIFY_BEGINS,
    Settings,
    SettingWrong,
    copy_folder_of,
    load_settings,
)
from dify_etl.settings import (
    home_of as home_of,
)
from dify_etl.warehouse.errors import translated

# What reads and keeps takes longer to import than a client needs to log in: nothing of it is loaded
# before.
if TYPE_CHECKING:
    from dify_etl.dify_database.connection import DifyDatabase
    from dify_etl.raw.privacy import Privacy
    from dify_etl.shared_warehouse.place import SharedPlace
    from dify_etl.sync.run import SyncRules
    from dify_etl.warehouse.publish import CopyPlace


Tell = Callable[[str], None]


def copy_place(settings: Settings) -> "CopyPlace":
    """Where the copy for analysts stands, and who may read it; a demo's stays in its home.

    SettingWrong when this machine knows no such group.
    """
    from dify_etl.warehouse.publish import CopyPlace

    return CopyPlace(copy_folder_of(settings), settings.copy_access)


def shared_place(settings: Settings) -> "SharedPlace | None":
    """The shared warehouse, where the settings name one; a demo stays in its home."""
    if settings.warehouse is None or settings.is_simulated:
        return None
    from dify_etl.shared_warehouse.place import SharedPlace

    path = settings.lake_path
    if path is not None and "://" not in path:
        path = str(Path(path).absolute())
    spill = Home(home_of(settings)).live.with_name("live.duckdb.shared.tmp")
    return SharedPlace(settings.warehouse, path, spill.absolute(), settings.copy_access)


def export_place(settings: Settings) -> Path:
    """Where the job `export_apps` writes: no run chooses its folder; a demo's stays in its home."""
    is_elsewhere = settings.export_folder is not None and not settings.is_simulated
    chosen = settings.export_folder if is_elsewhere else None
    return chosen or Home(home_of(settings)).exports


def effective_settings(**overrides: Any) -> Settings:
    """The settings; simulated, those of the demo: all days of its workspace, in UTC."""
    settings = load_settings(**overrides)
    if not settings.is_simulated:
        return settings
    from dify_etl.assembly.demo import demo_of  # loads the simulated Dify

    plan, now = demo_of(home_of(settings))
    demo: dict[str, Any] = {"timezone": plan.timezone}
    if settings.start_date == DIFY_BEGINS:
        demo["start_date"] = now.date() - timedelta(days=plan.days)
    return settings.model_copy(update=demo)


def rules_of(settings: Settings) -> "SyncRules":
    """What the settings say about reading, and to the models. SettingWrong: a bad file of rates,
    or no folder where models of one's own should be.
    """
    from dify_etl.assembly.currency_rates import read_rates
    from dify_etl.sync.fetching import workers_for
    from dify_etl.sync.run import SyncRules
    from dify_etl.warehouse.model_settings import ModelSettings

    return SyncRules(
        zone=settings.zone,
        start_date=settings.start_date,
        lookback_days=settings.lookback_days,
        deep_read_days=settings.deep_read_days,
        completion_detail=settings.completion_detail,
        segments=settings.segments,
        workers=workers_for(settings.max_concurrency),
        models=ModelSettings(
            settings.person,
            settings.currency_of_models,
            read_rates(settings.rates_file) if settings.rates_file else (),
            _key_max_age_days(settings.rotation_policy),
            folder_of_own_sql(settings),
        ),
        privacy=privacy_of(settings),
        dify_database=dify_database_of(settings),
    )


def dify_database_of(settings: Settings) -> "DifyDatabase | None":
    """Dify's own database, where the settings name it; the simulated Dify has none."""
    if settings.dify_database_url is None or settings.is_simulated:
        return None
    from dify_etl.dify_database.connection import DifyDatabase  # its driver comes with an extra

    return DifyDatabase(settings.dify_database_url)


def privacy_of(settings: Settings) -> "Privacy":
    """What is kept of texts and people; the salt is the home's, where it needs or has one."""
    from dify_etl.raw.privacy import Privacy

    home = home_of(settings)
    has_salt = settings.people == "hash" or Home(home).people_salt.exists()
    return Privacy(settings.text, settings.people, people_salt(home) if has_salt else b"")


def folder_of_own_sql(settings: Settings) -> Path | None:
    """The folder of models of one's own, None without one. SettingWrong when it cannot be read:
    all of its tables would stay as they are, or go, and nobody would say so.
    """
    folder = settings.own_sql
    if folder is None:
        return None
    from dify_etl.warehouse.models import FOLDERS

    within = [folder, *(folder / schema for schema in FOLDERS if (folder / schema).exists())]
    if not folder.is_dir() or not all(os.access(one, os.R_OK | os.X_OK) for one in within):
        raise SettingWrong(
            "DIFY_ETL_SQL is wrong: there is no such folder, or it cannot be read",
            where=str(folder.absolute()),
            hint="Make it, correct the setting, or remove it; a file in it is a model of your own.",
        )
    return folder


def _key_max_age_days(policy: Path) -> int | None:
    """What the policy of key rotation says of all keys; None when it is wrong, which ends no night:
    the commands of keys tell what is wrong with it.
    """
    # They load every kind of sink, and doctor and others need no policy.
    from dify_etl.operations.keys.errors import PolicyMissing, PolicyWrong
    from dify_etl.operations.keys.policy import DEFAULT_MAX_AGE_DAYS, read_policy

    try:
        return read_policy(policy).defaults.max_age_days
    except PolicyMissing:
        return DEFAULT_MAX_AGE_DAYS
    except PolicyWrong:
        return None


@contextmanager
def open_dify(
    settings: Settings,
    *,
    tell: Tell | None = None,
    token_store: TokenStore | None = None,
    retry: RetryPolicy | None = None,
    run_id: str | None = None,
    meanwhile: Callable[[], None] = lambda: None,
    warn: Tell | None = None,
) -> Iterator[DifyClient]:
    """A client for the settings' Dify, its session kept in `token_store` or as the settings say.

    With `tell` it is a run: its first line names server, workspace and home, and the home becomes
    private; without, the home is left as it is. With `run_id` Dify's own log names the run, too.
    `meanwhile` is done while a run logs in; `warn` (else `tell`) hears of a server that is silent.
    SettingWrong when no server is named or the account
    is missing, or the home belongs to the other kind of Dify; WarehouseUnwritable when the home
    cannot be made.
    """
    if not settings.is_simulated:
        settings.require_credentials()
    check_kind(settings)
    if tell is not None:
        _remember(settings)  # before anything else is made in the folder
    with _client(settings, token_store, retry, run_id, warn or tell) as dify:
        if tell is not None:
            asked = in_background(dify.account.current_workspace)
            meanwhile()
            let_interrupts_end_waits()  # by now Polars is there
            tell(first_line(settings, asked.result()))
            _make_private(settings, tell)
        yield dify


def require_room(settings: Settings) -> None:
    """WarehouseUnwritable when nothing can be written into the home: for a run that loads rows,
    before it keeps a session there, of which a full disk would tell less well.
    """
    home = home_of(settings)
    make_home(home)
    try:
        try_to_write(home)
    except OSError as error:
        raise translated(Home(home).live, error) from error


def first_line(settings: Settings, workspace: Workspace) -> str:
    """What a run says first: server, workspace and home."""
    return (  # the name is somebody's text, hence !r
        f"{server_name(settings)}, workspace {workspace.name!r} ({workspace.workspace_id!r}), "
        f"home {home_of(settings).absolute()}"
    )


def server_name(settings: Settings) -> str:
    """Which Dify the settings name, in words."""
    if settings.is_simulated:
        return "the simulated Dify (it forgets what is done to it)"
    return settings.base_url or "no server (DIFY_BASE_URL is not set)"


def check_kind(settings: Settings) -> None:
    """SettingWrong when the home belongs to the simulated Dify and a server is set, or the other
    way round: their rows, keys and audits must never mix.
    """
    home, wanted = home_of(settings), SIMULATED if settings.is_simulated else SERVER
    held = remembered(home).get("dify")
    if held is None and Home(home).world.exists():
        held = SIMULATED
    if held in (None, wanted):
        return
    what = {SIMULATED: "the simulated Dify", SERVER: "a server's Dify"}
    raise SettingWrong(
        f"this home belongs to {what.get(str(held), 'another Dify')}, not to {what[wanted]}",
        where=str(home.absolute()),
        hint="Set DIFY_ETL_HOME to a folder of its own. With --simulated, or "
        "DIFY_ETL_SIMULATED=true, the folder `demo` in it is used.",
    )


def _remember(settings: Settings) -> None:
    """Make the home, and note of which Dify it is, and whether the folder is the home's alone."""
    home = home_of(settings)
    make_home(home)
    try:
        if "dify" not in remembered(home):
            is_home = settings.is_simulated or Home(home).live.exists()
            is_shared = not is_home and holds_others(home)
            kind = SIMULATED if settings.is_simulated else SERVER
            remember(home, {"dify": kind, "is_shared": is_shared})
    except OSError as error:
        raise translated(Home(home).note, error) from error


def _make_private(settings: Settings, tell: Tell) -> None:
    """Let nobody but its owner read the home; who could until now is told before."""
    home, place = home_of(settings), copy_place(settings)
    if readers := other_readers(home):
        tell(
            f"Until now {readers} could read what is in {home.absolute()}. From now on only "
            f"{user_name()} can; DIFY_ETL_COPY_GROUP opens the copy for a group."
        )
    try:
        make_private(home, place.access, place.path)
    except OSError as error:
        # A folder of another account, or a file system without modes: the data come first.
        tell(
            f"{home.absolute()} cannot be made private: {error.strerror}. Give the folder to "
            f"{user_name()}, mode 0700, or set DIFY_ETL_HOME elsewhere."
        )


@contextmanager
def _client(
    settings: Settings,
    token_store: TokenStore | None,
    retry: RetryPolicy | None,
    run_id: str | None,
    warn: Tell | None,
) -> Iterator[DifyClient]:
    if settings.is_simulated:
        from dify_etl.assembly.demo import simulated_client

        with simulated_client(home_of(settings), run_id) as dify:
            yield dify
        return
    assert settings.base_url is not None
    key = fingerprint_key(home_of(settings))
    with DifyClient(
        settings.base_url,
        email=settings.email,
        password=settings.password,
        admin_api_key=settings.admin_api_key,
        workspace_id=settings.workspace_id,
        retry=retry,
        token_store=token_store or kept_sessions(settings),
        limits=RequestLimits(
            max_concurrency=settings.max_concurrency,
            requests_per_second=settings.requests_per_second,
        ),
        bounds=AnswerBounds(
            mebibytes=settings.max_answer_mib,
            seconds=settings.max_answer_seconds,
            pages=settings.max_pages,
        ),
        fingerprint_key=key,
        # Homes that share a store have keys of their own: each would log in anew after the other.
        mark_key=key if token_store is None and _kept_in(settings) == "file" else None,
        run_id=run_id,
        warn=warn,
    ) as dify:
        yield dify


def kept_sessions(settings: Settings) -> TokenStore:
    """Where sessions are kept between runs: the chosen store, Redis, or a file in the home."""
    return token_store_from(_kept_in(settings), home_of(settings))


def _kept_in(settings: Settings) -> str:
    chosen = settings.token_store or settings.redis_url
    return chosen.get_secret_value() if chosen else "file"
