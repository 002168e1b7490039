"""The keys of assets that others hang on: raw tables, and feeds that were read."""

import dagster as dg

from dify_etl.feeds.table import FEEDS

_FEED_OF = {table: feed.name for feed in FEEDS for table in feed.tables}


def raw_key(name: str) -> dg.AssetKey:
    """The asset of a raw table: raw/<table>."""
    return dg.AssetKey(["raw", name])


def feed_key(name: str) -> dg.AssetKey:
    """The asset that says that a feed was read, however it went: feeds/<feed>."""
    return dg.AssetKey(["feeds", name])


def source_key(qualified: str) -> dg.AssetKey:
    """The asset that a model which reads this table or view hangs on.

    For a raw table it is its feed: the raw asset itself is skipped when slices failed, and Dagster
    skips what stands behind a skipped one.
    """
    schema, name = qualified.split(".")
    return (
        feed_key(_FEED_OF[name]) if schema == "raw" and name in _FEED_OF else model_key(qualified)
    )


def model_key(qualified: str) -> dg.AssetKey:
    """The asset of a table or view: schema/name."""
    return dg.AssetKey(qualified.split("."))
