"""The resource of every asset: the home, its Dify, and what this run was asked to read."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar

import dagster as dg
from pydantic import Field, PrivateAttr

from dify_etl.assembly.connection import (
    Tell,
    copy_place,
    effective_settings,
    home_of,
    open_dify,
    rules_of,
)
from dify_etl.control_codes import harmless
from dify_etl.dify.errors import DifyUnavailable, RateLimited
from dify_etl.errors import ActionableError
from dify_etl.sync.errors import WindowWrong
from dify_etl.sync.opening import OpenHome, open_home
from dify_etl.sync.run import NoWatcher, SyncPlan
from dify_etl.sync.windows import Window
from dify_etl.warehouse.errors import WarehouseBusy

# What may pass by itself; anything else waits for a person.
PASSING = (DifyUnavailable, RateLimited, WarehouseBusy)
MAX_RETRIES = 2
RETRY_SECONDS = 30.0


# Dagster builds its own copy of the resource: a home that is open already is found here.
_HELD: ContextVar[OpenHome | None] = ContextVar("held_home", default=None)


@contextmanager
def clear_failures(*, failed_tries: int | None = None) -> Iterator[None]:
    """Turn an actionable error into a dg.Failure that says what, where and what to do.

    Told how many tries of the step have failed already, it asks for another one when the error
    may pass by itself; but not on a terminal, where somebody waits.
    """
    try:
        yield
    except ActionableError as error:
        # No RetryPolicy: Dagster would apply it to bugs and to an interrupt as well.
        is_left = failed_tries is not None and failed_tries < MAX_RETRIES
        if is_left and isinstance(error, PASSING) and _HELD.get() is None:
            raise dg.RetryRequested(
                max_retries=MAX_RETRIES, seconds_to_wait=RETRY_SECONDS * 2 ** (failed_tries or 0)
            ) from error
        raise dg.Failure(
            description=str(error),
            metadata={
                "error": type(error).__name__,
                "what": error.what,
                "where": error.where,
                "what to do": error.hint,
            },
            allow_retries=False,
        ) from error


@contextmanager
def holding(opened: OpenHome) -> Iterator[None]:
    """Runs inside use this home, which is open and locked already, as the command line does."""
    token = _HELD.set(opened)
    try:
        yield
    finally:
        _HELD.reset(token)


def _open(stack: ExitStack, run_id: str, tell: Tell) -> OpenHome:
    settings = effective_settings()
    dify = stack.enter_context(open_dify(settings, tell=tell))
    home, rules = home_of(settings), rules_of(settings)
    copy = copy_place(settings)
    return stack.enter_context(
        open_home(dify, home, rules=rules, run_id=run_id, watch=NoWatcher(), copy=copy)
    )


def teller(context: dg.InitResourceContext) -> Tell:
    """Lines into the log of the run."""

    def tell(line: str) -> None:
        if context.log is not None:
            context.log.info(harmless(line))

    return tell


def check_apps(opened: OpenHome, asked: Sequence[str]) -> None:
    """WindowWrong, before anything is read, when a name or id is none of Dify's apps."""
    if not asked:
        return
    opened.check_source()
    with opened.dify.labelled("apps"):
        known = {text for app in opened.dify.apps.list() for text in (app.app_id, app.name)}
    for text in asked:
        if text not in known:
            raise WindowWrong(
                f"Dify has no app with the id or name {text!r}",
                where="--app, or apps in the run's config",
                hint="`dify-etl tables` tells the file in which raw.apps lists ids and names. "
                "A deleted app keeps its rows there but cannot be read any more.",
            )


class DifyHome(dg.ConfigurableResource["DifyHome"]):
    """Reads the settings when a run starts; holds the home's lock until the run ends."""

    apps: list[str] = Field(
        default=[], description="Ids or names of the apps to read; empty: all apps."
    )
    full: bool = Field(
        default=False, description="Read all days since the start date again, settled or not."
    )
    catch_up: bool = Field(
        default=False,
        description="As every night: also read days that were missed or failed, and the part of "
        "history whose turn it is (DIFY_ETL_DEEP_READ_DAYS).",
    )

    _opened: OpenHome | None = PrivateAttr(default=None)

    @property
    def opened(self) -> OpenHome:
        """The home, open and locked for this run."""
        if self._opened is None:
            raise RuntimeError("the home is only open while a run lasts")
        return self._opened

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator["DifyHome"]:
        """Open the home for a run. A setting, login or lock that is wrong fails it clearly."""
        with ExitStack() as stack:
            with clear_failures():
                self._opened = _HELD.get()
                if self._opened is None:
                    run_id = context.run.run_id if context.run else ""
                    self._opened = _open(stack, run_id, teller(context))
                    check_apps(self._opened, self.apps)
            yield self

    def plan(self, window: Window | None) -> SyncPlan:
        """What this run reads, given the days of its partitions."""
        chosen = None if self.catch_up else window
        return SyncPlan(window=chosen, apps=tuple(self.apps), is_full=self.full)
