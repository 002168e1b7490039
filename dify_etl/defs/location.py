"""What sets a code location apart from those of other workspaces: its keys, its pool, its tags.

Of one workspace alone there is nothing to set apart. Of several the keys of all assets begin with
the workspace's name, and all steps that load one Dify are in one pool of Dagster's.
"""

from dataclasses import dataclass

import dagster as dg

from dify_etl.feeds.table import FEEDS
from dify_etl.settings import Settings, setting_names
from dify_etl.workspaces import all_workspaces, server_of

_FEED_OF = {table: feed.name for feed in FEEDS for table in feed.tables}
WORKSPACE_TAG = "dify-etl/workspace"  # of runs, where several workspaces share an instance


@dataclass(frozen=True)
class Location:
    """A code location: of one workspace of several, or the only one."""

    workspace: str | None = None
    pool: str | None = None

    @classmethod
    def of(cls, settings: Settings) -> "Location":
        """The location of these settings' workspace."""
        if settings.workspace is None or len(all_workspaces(setting_names())) < 2:
            return ALONE
        server = "simulated" if settings.is_simulated else server_of(settings.base_url or "")
        return cls(settings.workspace, server)

    @property
    def tags(self) -> dict[str, str]:
        """The tags of its runs."""
        return {} if self.workspace is None else {WORKSPACE_TAG: self.workspace}

    def key(self, *path: str) -> dg.AssetKey:
        """The key of an asset."""
        return dg.AssetKey([*(() if self.workspace is None else (self.workspace,)), *path])

    def raw(self, name: str) -> dg.AssetKey:
        """The asset of a raw table: raw/<table>."""
        return self.key("raw", name)

    def feed(self, name: str) -> dg.AssetKey:
        """The asset that says that a feed was read, however it went: feeds/<feed>."""
        return self.key("feeds", name)

    def model(self, qualified: str) -> dg.AssetKey:
        """The asset of a table or view: schema/name."""
        return self.key(*qualified.split("."))

    def source(self, qualified: str) -> dg.AssetKey:
        """The asset that a model which reads this table or view hangs on.

        For a raw table it is its feed: the raw asset itself is skipped when slices failed, and
        Dagster skips what stands behind a skipped one.
        """
        schema, name = qualified.split(".")
        is_fed = schema == "raw" and name in _FEED_OF
        return self.feed(_FEED_OF[name]) if is_fed else self.model(qualified)

    @property
    def models_tried(self) -> dg.AssetKey:
        """Told whenever the models' step ends: what comes behind hangs on it, and not on models
        that may fail.
        """
        return self.key("models_tried")

    @property
    def published_copy(self) -> dg.AssetKey:
        """The file dify.duckdb."""
        return self.key("published_copy")

    @property
    def shared_warehouse(self) -> dg.AssetKey:
        """What was published, in the warehouse that several workspaces share."""
        return self.key("shared_warehouse")

    @property
    def report(self) -> dg.AssetKey:
        """The page of all figures."""
        return self.key("report")

    @property
    def status(self) -> dg.AssetKey:
        """One glance at the home."""
        return self.key("status")

    @property
    def sync_verdict(self) -> dg.AssetKey:
        """Whether the ledger is whole."""
        return self.key("sync_verdict")

    @property
    def indexing_report(self) -> dg.AssetKey:
        """Documents that are not indexed."""
        return self.key("indexing_report")

    @property
    def key_inventory(self) -> dg.AssetKey:
        """All API keys."""
        return self.key("api_key_inventory")

    @property
    def rotation_plan(self) -> dg.AssetKey:
        """What a rotation of API keys would do."""
        return self.key("api_key_rotation_plan")

    @property
    def keys_rotated(self) -> dg.AssetKey:
        """New API keys that were handed over."""
        return self.key("api_keys_rotated")

    @property
    def keys_revoked(self) -> dg.AssetKey:
        """Old API keys that were deleted."""
        return self.key("api_keys_revoked")

    @property
    def rotation(self) -> tuple[dg.AssetKey, ...]:
        """The assets of a rotation, in the order in which they run."""
        return (self.key_inventory, self.rotation_plan, self.keys_rotated, self.keys_revoked)


ALONE = Location()
