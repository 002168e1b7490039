"""Which part of a running Dagster does not live: its storage, its code location, its daemon."""

import time
from contextlib import suppress

from dagster._core.workspace.context import WorkspaceProcessContext

from dify_etl.ui.marks import CODE, DAEMON, Marks

STORAGE = "storage"
# The daemon's threads write their heartbeats every 30 s; one that evaluates may be late.
SILENT_SECONDS = 300.0


class DagsterParts:
    """The parts of one Dagster, looked at from the process of its web application.

    Code locations that other machines serve are not asked. A daemon lives when every thread that
    the instance needs wrote a heartbeat within SILENT_SECONDS, and since its process was started.
    """

    def __init__(self, context: WorkspaceProcessContext, marks: Marks) -> None:
        self._context = context
        self._marks = marks
        self._asked = CODE

    @property
    def asked(self) -> str:
        """The part that is being asked, in one word."""
        return self._asked

    def failing(self) -> str | None:
        """The part that does not live, in one word; None: all do."""
        for part, lives in (
            (CODE, self._code_lives),
            (STORAGE, self._storage_lives),
            (DAEMON, self._daemon_lives),
        ):
            self._asked = part
            is_well = False
            with suppress(Exception):  # whatever it is, the part does not do its work
                is_well = lives()
            if not is_well:
                return part
        return None

    def _code_lives(self) -> bool:
        if self._marks.elsewhere.exists():  # starting this machine anew would help nobody
            return True
        entries = self._context.create_request_context().get_code_location_entries()
        if not entries or not all(self._marks.code(name).exists() for name in entries):
            return False
        for entry in entries.values():
            if entry.load_error is not None or entry.code_location is None:
                return False
            client = getattr(entry.code_location, "client", None)
            if client is not None:
                client.ping("")
        return True

    def _storage_lives(self) -> bool:
        self._context.instance.get_daemon_heartbeats()
        return True

    def _daemon_lives(self) -> bool:
        instance = self._context.instance
        since = max(self._marks.daemon.stat().st_mtime, time.time() - SILENT_SECONDS)
        beats = instance.get_daemon_heartbeats()
        return all(
            one in beats and beats[one].timestamp >= since
            for one in instance.get_required_daemon_types()
        )
