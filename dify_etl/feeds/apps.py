"""Feed apps: the list of every run, and the detail of apps that changed since theirs was read."""

from collections.abc import Sequence
from datetime import timedelta

import polars as pl

from dify_etl.background import awaited, in_background
from dify_etl.dify.app_records import App, AppDetail
from dify_etl.dify.errors import AppGone
from dify_etl.dify.http.deny_list import json_without_secrets
from dify_etl.dify.json_text import JsonText
from dify_etl.dify.record import Batch, Rejected, check_identity, lost
from dify_etl.feeds.app_versions import note_app_versions
from dify_etl.feeds.vanished import mark_rows_of_gone_apps
from dify_etl.interrupts import check_interrupt
from dify_etl.raw.frames import records_frame
from dify_etl.raw.tables import raw_table
from dify_etl.sync.ahead import ListedApps, list_apps
from dify_etl.sync.feed_loader import FeedLoader
from dify_etl.sync.fetching import FetchLimits, attempt, fetch
from dify_etl.sync.report import FeedReport, Slice
from dify_etl.sync.rights import why_not_shown
from dify_etl.sync.run import Sync
from dify_etl.sync.source import check_source
from dify_etl.sync.turns import others_go_on, turns
from dify_etl.warehouse.tables import frame

ONE_SECOND = timedelta(seconds=1)  # Dify tells no fractions

# The list shows a shortened config and, for an empty description, the prompt: the detail's count.
_FROM_DETAIL = ("description", "app_model_config")
# What of that config tells that it is another one. Before 1.12 Dify moves an app's updated_at for
# no new config. `updated_at` of the config moves by itself on newest servers.
_TELLS_OF_CONFIG = ("model", "pre_prompt", "created_at")


def read_apps(sync: Sync) -> FeedReport:
    """GET /apps in all modes, then GET /apps/{id} of apps that changed; marks absent apps."""
    before = sync.apps_ahead.before if sync.apps_ahead else None
    with FeedLoader(sync, "apps", spent_before=before) as loader:
        outcome = attempt("apps", lambda: _list(sync))
        if outcome.error is not None:
            loader.fail(None, [None], outcome.error)
            return loader.report()
        assert outcome.result is not None
        rows, proof, is_broken = outcome.result.rows, outcome.result.proof, outcome.result.is_broken
        apps = list(rows.records.values())
        reason = None if proof.is_proven else proof.reason
        with loader.commit():
            load_listed_apps(loader, apps)
            loader.quarantine(None, rows.rejected.values())
            if reason is None and not lost(rows.rejected.values()):
                present = records_frame(raw_table("apps"), App, apps)
                loader.mark_absent(raw_table("apps"), scope="true", present=present)
                mark_rows_of_gone_apps(loader)
        loader.tell_others()
        hidden, failed = _read_details(loader, _with_new_config(sync, apps))
        is_broken = is_broken or bool(proof.odd) or failed is not None
        reason = failed or hidden or reason
        with loader.commit():
            judged = Slice.judged(
                *(None, None, len(apps)),
                missing=reason if is_broken else None,
                doubt=reason,
                expected=proof.total_last,
                requests=rows.requests,
            )
            loader.close_slices([judged])
        return loader.report()


def _list(sync: Sync) -> ListedApps:
    """The lists of apps of all modes, once it is sure that it is this workspace's."""
    ahead = sync.apps_ahead
    asked = in_background(lambda: list_apps(sync.dify)) if ahead is None else ahead.listed
    with others_go_on():
        listed = awaited(asked, check_interrupt if (found := turns()) is None else found.check)
    check_source(sync)
    return listed


def load_listed_apps(loader: FeedLoader, apps: Sequence[App]) -> None:
    """Rows of the list, but for the columns that only the detail tells right."""
    loader.note_drift(apps)
    shown = records_frame(raw_table("apps"), App, apps).drop(_FROM_DETAIL)
    loader.load_frame(raw_table("apps"), shown)


def _with_new_config(sync: Sync, apps: Sequence[App]) -> set[str]:
    """The apps whose model config is, by the list, another one than their held detail tells."""
    found = set()
    rows = sync.database.rows(
        "SELECT app_id, app_model_config FROM raw.apps WHERE app_model_config IS NOT NULL"
    )
    held = {app_id: JsonText(config).load() for app_id, config in rows}
    for app in apps:
        listed = app.app_model_config and JsonText(json_without_secrets(app.app_model_config))
        told, config = listed and listed.load(), held.get(app.app_id)
        if isinstance(told, dict) and isinstance(config, dict):
            is_new = any(told[key] != config.get(key) for key in _TELLS_OF_CONFIG if key in told)
            found |= {app.app_id} if is_new else set()
    return found


def _read_details(loader: FeedLoader, with_new_config: set[str]) -> tuple[str | None, str | None]:
    """Read the details that are due; answers why some are not there for this account (rights, or
    the app was deleted meanwhile), and why some could not be read.
    """
    sync = loader.sync
    due = [
        row[0]
        for row in sync.database.rows(
            "SELECT app_id FROM raw.apps WHERE absent_since IS NULL "
            "AND (detail_of IS NULL OR detail_of IS DISTINCT FROM updated_at "
            "OR list_contains(?, app_id))",
            [sorted(with_new_config)],
        )
    ]
    details: list[AppDetail] = []
    odd: list[Rejected] = []
    hidden: list[str] = []
    gone: list[str] = []
    failed: list[str] = []

    def read(app_id: str) -> Batch[AppDetail]:
        batch = sync.dify.apps.detail(app_id)
        for detail in batch:
            check_identity(detail.app_id, app_id, endpoint="GET /apps/{app_id}")
        return batch

    for fetched in fetch(due, read, FetchLimits(sync.rules.workers)):
        if fetched.result is not None:
            details += fetched.result
            odd += fetched.result.rejected
        elif isinstance(fetched.error, AppGone):
            gone.append(f"an app of the list has no details any more: {fetched.error}")
        elif not_shown := why_not_shown(sync, fetched.error):
            hidden.append(not_shown)
        else:
            failed.append(str(fetched.error))
    with loader.commit():
        load_details(loader, details)
        loader.quarantine(None, odd)
        note_app_versions(loader.sync, unread={*due} - {one.app_id for one in details})
    # A reason of rights begins as every such reason does: by that it is known as one.
    reason = f"{len(failed)} details not read, first: {failed[0]}" if failed else None
    return next(iter([*hidden, *gone]), None), reason


def load_details(loader: FeedLoader, details: Sequence[AppDetail]) -> None:
    """Details of apps that a list showed, and counted, before; call it inside a transaction."""
    loader.note_drift(details)
    rows = _detail_frame(loader.sync, details)
    loader.load_frame(raw_table("apps"), rows, repeated=rows.height)


def _detail_frame(sync: Sync, details: Sequence[AppDetail]) -> pl.DataFrame:
    """The details; `detail_of` stays empty where the app may change once more in that second,
    and where a field is odd."""
    table = raw_table("apps")
    list_only = (
        "create_user_name",
        "author_name",
        "has_draft_trigger",
        "max_active_requests",
        "tags",  # not in the detail of old servers
        "is_starred",
        "maintainer_id",
        "permission_keys",
    )
    whole = records_frame(table, AppDetail, details).drop(list_only)
    moments = [
        {"detail_of": at if at is None or (at < sync.now - ONE_SECOND and not is_odd) else None}
        for at, is_odd in ((one.updated_at, bool(one.odd_fields)) for one in details)
    ]
    return whole.rename({"extra": "detail_extra"}).hstack(frame(table, moments, ["detail_of"]))
