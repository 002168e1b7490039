"""The resource of every asset: the home, its Dify, and what this run was asked to read."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import dagster as dg
from pydantic import Field, PrivateAttr

from dify_etl.assembly.connection import (
    Tell,
    copy_place,
    effective_settings,
    home_of,
    open_dify,
    rules_of,
    shared_place,
)
from dify_etl.control_codes import harmless
from dify_etl.defs.partitions import check_asked_days
from dify_etl.dify.errors import DifyUnavailable, RateLimited
from dify_etl.errors import ActionableError
from dify_etl.sync.opening import OpenHome, check_apps, open_home
from dify_etl.sync.run import NoWatcher, SyncPlan
from dify_etl.sync.windows import Window
from dify_etl.time_zones import local_date
from dify_etl.warehouse.errors import WarehouseBusy

# What may pass by itself; anything else waits for a person.
PASSING = (DifyUnavailable, RateLimited, WarehouseBusy)
MAX_RETRIES = 2
RETRY_SECONDS = 30.0


@contextmanager
def clear_failures(*, failed_tries: int | None = None) -> Iterator[None]:
    """Turn an actionable error into a dg.Failure that says what, where and what to do.

    Told how many tries of the step have failed already, it asks for another one when the error
    may pass by itself.
    """
    try:
        yield
    except ActionableError as error:
        # No RetryPolicy: Dagster would apply it to bugs and to an interrupt as well.
        is_left = failed_tries is not None and failed_tries < MAX_RETRIES
        if is_left and isinstance(error, PASSING):
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


def _open(stack: ExitStack, run_id: str, tell: Tell) -> OpenHome:
    settings = effective_settings()
    dify = stack.enter_context(open_dify(settings, tell=tell, run_id=run_id))
    home, rules = home_of(settings), rules_of(settings)
    how: dict[str, Any] = {"copy": copy_place(settings), "shared": shared_place(settings)}
    return stack.enter_context(
        open_home(dify, home, rules=rules, run_id=run_id, watch=NoWatcher(), **how)
    )


def teller(context: dg.InitResourceContext) -> Tell:
    """Lines into the log of the run."""

    def tell(line: str) -> None:
        if context.log is not None:
            context.log.info(harmless(line))

    return tell


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

    def failed_tries(self, context: dg.AssetExecutionContext) -> int | None:
        """How often the step failed already; None where it is not tried again."""
        return int(context.retry_number)

    @property
    def opened(self) -> OpenHome:
        """The home, open and locked for this run."""
        if self._opened is None:
            raise RuntimeError("the home is only open while a run lasts")
        return self._opened

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator["DifyHome"]:
        """Open the home for a run. A setting, login or lock that is wrong fails it clearly, and so
        do days and apps that cannot be read.
        """
        with ExitStack() as stack:
            with clear_failures():
                run_id = context.run.run_id if context.run else ""
                self._opened = _open(stack, run_id, teller(context))
                if context.run:
                    settings = effective_settings()
                    today = local_date(self._opened.dify.later_time(), settings.zone)
                    check_asked_days(context.run.tags, settings, today=today)
                check_apps(self._opened, self.apps)
            yield self

    def plan(self, window: Window | None) -> SyncPlan:
        """What this run reads, given the days of its partitions."""
        chosen = None if self.catch_up else window
        return SyncPlan(window=chosen, apps=tuple(self.apps), is_full=self.full)


def home_held(opened: OpenHome, **config: Any) -> DifyHome:
    """The resource of a run into a home that is open and locked already, as for a terminal.

    Nothing is tried again there: somebody waits.
    """

    class HeldHome(DifyHome):
        # Dagster makes its own copy of a resource from its class and its config alone.
        def failed_tries(self, context: dg.AssetExecutionContext) -> int | None:
            return None

        @contextmanager
        def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator[DifyHome]:
            self._opened = opened
            yield self

    return HeldHome(**config)
