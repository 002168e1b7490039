"""What a server keeps besides its database: markers, imports that wait, and work of its workers."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from dify_simulated.world.rows import JsonObject
from dify_simulated.world.world import World

RETRY_MARKER = timedelta(seconds=600)
PURGE_AFTER = timedelta(seconds=4)


@dataclass
class ServerMemory:
    """Redis and the Celery workers of one server; work is done when the next request comes.

    `indexing_seconds`: how long a worker takes for a document, None = no worker comes.
    """

    indexing_seconds: float | None = None
    pending_imports: dict[str, JsonObject] = field(default_factory=dict)
    retried: dict[str, datetime] = field(default_factory=dict)
    queued: dict[str, datetime] = field(default_factory=dict)
    dropped_apps: dict[str, datetime] = field(default_factory=dict)

    def is_being_retried(self, document_id: str, *, at: datetime) -> bool:
        """Whether the marker of a retry still stands."""
        since = self.retried.get(document_id)
        return since is not None and at - since < RETRY_MARKER

    def catch_up(self, world: World, *, at: datetime) -> None:
        """Let the workers do what is due."""
        for app_id, since in list(self.dropped_apps.items()):
            if at - since >= PURGE_AFTER:
                world.purge_app(app_id)
                del self.dropped_apps[app_id]
        if self.indexing_seconds is None:
            return
        for document_id, since in list(self.queued.items()):
            if at - since >= timedelta(seconds=self.indexing_seconds):
                self._index(world, document_id, at=at)

    def _index(self, world: World, document_id: str, *, at: datetime) -> None:
        """The worker takes the marker away when it is through."""
        del self.queued[document_id]
        self.retried.pop(document_id, None)
        if document_id in world.documents:
            problem = world.unreadable_documents.get(document_id)
            status = "completed" if problem is None else "error"
            world.set_indexing_status(document_id, status, at=at, error=problem)
