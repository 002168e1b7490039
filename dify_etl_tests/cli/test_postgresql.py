"""Dagster's runs and events in a real PostgreSQL, as DIFY_ETL_DAGSTER_STORAGE says."""

from pathlib import Path

from dify_etl_tests.cli.command_line import Shell
from dify_etl_tests.postgres import serving_postgres


def test_run_is_recorded_in_postgresql(own_copy: Shell, tmp_path: Path) -> None:
    """The address comes by a file, and stands in none that dify-etl writes; no SQLite is made."""
    instance = tmp_path / "dagster"
    instance.mkdir()
    with serving_postgres() as postgres:
        (tmp_path / "storage").write_text(postgres.url())
        answer = own_copy.run(
            "sync",
            "--feed",
            "apps",
            DAGSTER_HOME=str(instance),
            DIFY_ETL_DAGSTER_STORAGE_FILE=str(tmp_path / "storage"),
        )
        assert answer.code == 0, answer.text
        assert postgres.execute("SELECT pipeline_name, status FROM runs") == [
            ("nightly_sync", "SUCCESS")
        ]
        url = postgres.url()
    told = (instance / "dagster.yaml").read_text()
    assert "DAGSTER_POSTGRES_URL" in told
    assert url not in told + answer.text
    assert list(instance.rglob("*.db")) == []
