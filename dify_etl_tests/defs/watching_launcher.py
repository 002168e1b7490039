"""A launcher that looks after the workers of its runs, as those of Celery and Kubernetes do."""

from typing import Any

from dagster._core.launcher import DefaultRunLauncher


class WatchingLauncher(DefaultRunLauncher):
    """Launches as ever."""

    @property
    def supports_check_run_worker_health(self) -> bool:
        """It does."""
        return True

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Any) -> "WatchingLauncher":
        """Without settings."""
        return cls(inst_data=inst_data, **config_value)
