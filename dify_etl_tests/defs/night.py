"""A night of Dagster in this process, on a workplace of the tests."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import dagster as dg

from dify_etl.defs.code_location import code_location
from dify_etl.defs.resources import home_held
from dify_etl.defs.schedules import NIGHTLY_SYNC, RANGE_END, RANGE_START, night_config
from dify_etl.settings import Settings, load_settings
from dify_etl.sync.opening import open_home
from dify_etl.sync.run import NoWatcher
from dify_etl_tests.sync.workplace import NOW, Workplace

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass(frozen=True)
class Night:
    """What came of a run: the result and the settings that it had."""

    result: dg.ExecuteInProcessResult
    settings: Settings

    def failed_steps(self) -> list[str]:
        """The steps that failed."""
        return [event.step_key or "" for event in self.result.all_events if event.is_step_failure]

    def metadata_of(self, name: str, day: str | None = None) -> dict[str, object]:
        """Metadata of the materialisation of raw/<name>, of one partition."""
        return self.metadata_of_key(dg.AssetKey(["raw", name]), day)

    def metadata_of_key(self, key: dg.AssetKey, day: str | None = None) -> dict[str, object]:
        """The same of any asset."""
        for event in self.result.get_asset_materialization_events():
            told = event.step_materialization_data.materialization
            if told.asset_key == key and told.partition == day:
                return {label: value.value for label, value in told.metadata.items()}
        raise AssertionError(f"{key.to_user_string()} was not materialised for {day}")


def settings_for(home: Path, *, segments: bool = False) -> Settings:
    """Settings of a night that ends on the tests' day."""
    return load_settings(
        DIFY_ETL_HOME=home,
        DIFY_ETL_START_DATE=(NOW - timedelta(days=20)).date(),
        DIFY_ETL_LOOKBACK_DAYS=3,
        DIFY_ETL_SEGMENTS=segments,
    )


def night_of(
    place: Workplace, config: dict[str, object] | None = None, only: Sequence[str] = ()
) -> Night:
    """Run nightly_sync over the look-back of the workplace; of its assets `only` these of raw."""
    settings = settings_for(place.home, segments=place.rules.segments)
    place.with_rules(start_date=settings.start_date, lookback_days=settings.lookback_days)
    tags = {
        RANGE_START: (NOW - timedelta(days=3)).date().isoformat(),
        RANGE_END: NOW.date().isoformat(),
    }
    with (
        place.client() as dify,
        open_home(
            dify, place.home, rules=place.rules, run_id="night", watch=NoWatcher(), wait_seconds=1.0
        ) as opened,
        dg.DagsterInstance.ephemeral() as instance,
    ):
        result = (
            code_location(settings, home_held(opened))
            .resolve_job_def(NIGHTLY_SYNC)
            .execute_in_process(
                instance=instance,
                tags=tags,
                run_config=(config or night_config()) | QUIET,
                asset_selection=[dg.AssetKey(["raw", name]) for name in only] or None,
                raise_on_error=False,
            )
        )
    return Night(result, settings)
