"""The apps that the warehouse holds: which of them a feed reads, and through which door."""

from collections.abc import Sequence
from dataclasses import dataclass

from dify_etl.dify.app_modes import COMPLETION_MODES, KNOWN_MODES
from dify_etl.sync.errors import WindowWrong
from dify_etl.sync.run import Sync


@dataclass(frozen=True)
class KnownApp:
    """An app of the workspace as the warehouse holds it."""

    app_id: str
    name: str
    mode: str
    agent_id: str | None = None

    @property
    def is_known_mode(self) -> bool:
        """Whether dify-etl knows what apps of this mode have; others are asked all the same."""
        return self.mode in KNOWN_MODES

    def is_of(self, modes: Sequence[str]) -> bool:
        """Whether it is of these modes. One of an unknown mode may be any, but a completion app:
        opening its logs would leave traces.
        """
        return self.mode in modes or not (self.is_known_mode or modes == COMPLETION_MODES)


def known_apps(sync: Sync, *modes: str) -> tuple[KnownApp, ...]:
    """The apps that Dify has, of these modes (all when none is given), within the run's filter.

    WindowWrong when the filter names an app that is not there.
    """
    rows = sync.database.rows(
        "SELECT app_id, name, mode, agent_id FROM raw.apps WHERE absent_since IS NULL "
        "ORDER BY created_at"
    )
    apps = tuple(KnownApp(*row) for row in rows)
    chosen = _chosen(apps, sync.plan.apps)
    return tuple(app for app in chosen if not modes or app.is_of(modes))


# Modes whose conversations and runs Dify's database tells as the console does. What agents were
# asked is told by logs of their own, and of modes that are not known nothing is known.
IN_DATABASE = frozenset({"chat", "agent-chat", "advanced-chat", "completion", "workflow"})


def apps_in_database(sync: Sync, *modes: str) -> tuple[KnownApp, ...]:
    """Those of the known apps that are read from Dify's database; none without one."""
    if sync.rules.dify_database is None:
        return ()
    return tuple(app for app in known_apps(sync, *modes) if app.mode in IN_DATABASE)


def asked_apps(sync: Sync, *modes: str) -> tuple[KnownApp, ...]:
    """The other ones, about which the console API is asked."""
    read_otherwise = {app.app_id for app in apps_in_database(sync, *modes)}
    return tuple(app for app in known_apps(sync, *modes) if app.app_id not in read_otherwise)


def _chosen(apps: tuple[KnownApp, ...], asked: Sequence[str]) -> tuple[KnownApp, ...]:
    for text in asked:
        if not any(text in (app.app_id, app.name) for app in apps):
            raise WindowWrong(
                f"no app has the id or name {text!r}",
                where="--app",
                hint="`dify-etl tables` shows the warehouse; raw.apps lists ids and names. "
                "A deleted app keeps its rows but cannot be read any more.",
            )
    return tuple(app for app in apps if not asked or app.app_id in asked or app.name in asked)
