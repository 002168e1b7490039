"""A lake whose files are in S3: DuckDB's own secrets open it, and what is forgotten is gone."""

from collections.abc import Iterator
from pathlib import Path

import boto3
import duckdb
import pytest
from moto.server import ThreadedMotoServer
from pydantic import SecretStr

from dify_etl.shared_warehouse import engines
from dify_etl.shared_warehouse.comparing import compare_shared
from dify_etl.shared_warehouse.engines import SharedWarehouse, opened
from dify_etl.shared_warehouse.errors import (
    SharedFilesLost,
    SharedWarehouseRefused,
    SharedWarehouseUnavailable,
)
from dify_etl.shared_warehouse.place import SharedPlace
from dify_etl.shared_warehouse.publication import publish_shared
from dify_etl.shared_warehouse.upkeep import compact_shared
from dify_etl_tests.shared_warehouse.small_copies import change, small_copy

BUCKET, KEY = "lake", "geheim-1234"
CREDENTIALS = {
    "aws_access_key_id": "id",
    "aws_secret_access_key": KEY,
    "region_name": "us-east-1",
}
MARK = "zz-canary-of-hers"


@pytest.fixture
def s3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An S3 behind a socket, and a home of the user in which DuckDB keeps the secret for it."""
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    (tmp_path / "user").mkdir()
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        _, port = server.get_host_and_port()
        endpoint = f"127.0.0.1:{port}"
        boto3.client("s3", endpoint_url=f"http://{endpoint}", **CREDENTIALS).create_bucket(
            Bucket=BUCKET
        )
        with duckdb.connect() as connection:
            engines.load_extension(connection, "httpfs")
            connection.execute(
                f"""CREATE PERSISTENT SECRET lake (TYPE s3, KEY_ID 'id', SECRET '{KEY}',
                ENDPOINT '{endpoint}', URL_STYLE 'path', USE_SSL false, REGION 'us-east-1')"""
            )
        yield f"http://{endpoint}"
    finally:
        server.stop()


def objects(endpoint: str) -> dict[str, bytes]:
    """All objects of the bucket."""
    client = boto3.client("s3", endpoint_url=endpoint, **CREDENTIALS)
    listed = client.list_objects_v2(Bucket=BUCKET).get("Contents", [])
    return {
        one["Key"]: client.get_object(Bucket=BUCKET, Key=one["Key"])["Body"].read()
        for one in listed
    }


def test_lake_in_s3(s3: str, tmp_path: Path) -> None:
    """Published, compared, compacted; a forgotten text is in no object; one that is gone is noticed
    and written anew, a second lake refused, and no key is said when the bucket is not there.
    """
    catalog = SecretStr(f"ducklake:{tmp_path}/catalog.duckdb")
    place = SharedPlace(catalog, f"s3://{BUCKET}/dify", tmp_path / "spill")
    with opened(place) as warehouse:
        warehouse.execute("CALL shared.set_option('parquet_compression', 'uncompressed')")
    copy = small_copy(tmp_path / "copy.duckdb", "a")
    of_hers = "message_id = '0-1-2'"
    change(copy, f"UPDATE raw.messages SET query = '{MARK}' WHERE {of_hers}")
    publish_shared(place, copy, run_id="run")
    held = objects(s3)
    assert any(
        name.startswith("dify/raw/messages/workspace_id=a/year=2026/month=1/") for name in held
    )
    assert any(MARK.encode() in content for content in held.values())
    change(copy, f"UPDATE raw.messages SET query = '(dropped)' WHERE {of_hers}")
    publish_shared(place, copy, run_id="run", is_purged=True)
    assert not any(MARK.encode() in content for content in objects(s3).values())
    compact_shared(place, keep_days=0)
    assert [one.table for one in compare_shared(place, copy) if not one.is_equal] == []
    client = boto3.client("s3", endpoint_url=s3, **CREDENTIALS)
    client.delete_object(Bucket=BUCKET, Key=next(one for one in objects(s3) if "/messages/" in one))
    with pytest.raises(SharedFilesLost):
        compact_shared(place, keep_days=0)
    publish_shared(place, copy, run_id="run", is_compared=True)
    assert [one.table for one in compare_shared(place, copy) if not one.is_equal] == []
    another = SecretStr(f"ducklake:{tmp_path}/another.duckdb")
    with pytest.raises(SharedWarehouseRefused):
        publish_shared(SharedPlace(another, place.data_path, place.spill), copy, run_id="run")
    elsewhere = SharedPlace(
        SecretStr(f"ducklake:{tmp_path}/other.duckdb"), "s3://nowhere/dify", tmp_path / "spill"
    )
    with pytest.raises(SharedWarehouseUnavailable) as told:
        publish_shared(elsewhere, copy, run_id="run")
    assert KEY not in str(told.value)


def test_parts_of_objects_are_small(
    s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is being written is sent in parts, and each part waits in memory: in small ones."""
    monkeypatch.setattr(engines, "MEMORY_LIMIT", "60MB")

    def refuse(warehouse: SharedWarehouse) -> bool:
        raise AssertionError("the bound was not enough")

    monkeypatch.setattr(SharedWarehouse, "_take_all_memory", refuse)
    catalog = SecretStr(f"ducklake:{tmp_path}/catalog.duckdb")
    place = SharedPlace(catalog, f"s3://{BUCKET}/months", tmp_path / "spill")
    copy = small_copy(tmp_path / "copy.duckdb", "a")
    change(
        copy,
        """INSERT INTO raw.messages (app_id, message_id, created_date)
        SELECT 'app-0', 'of month ' || m, CAST(DATE '2020-01-05' + INTERVAL (m) MONTH AS DATE)
        FROM range(24) s(m)""",
    )
    assert publish_shared(place, copy, run_id="run").partitions > 24
    assert sum(name.startswith("months/raw/messages/") for name in objects(s3)) == 27


def test_files_of_other_months_are_not_read(tmp_path: Path) -> None:
    """Each costs a few requests, and a lake has one of every month since Dify was there. Here they
    cannot be read at all.
    """
    data = tmp_path / "data"
    place = SharedPlace(
        SecretStr(f"ducklake:{tmp_path}/catalog.duckdb"), str(data), tmp_path / "spill"
    )
    copy = small_copy(tmp_path / "copy.duckdb", "a")
    publish_shared(place, copy, run_id="run")
    february = [*data.glob("**/month=2/*.parquet")]
    assert february
    held = {file: file.read_bytes() for file in february}
    for file in february:
        file.write_bytes(b"no Parquet")
    changed = "month(created_date) IN (1, 3) AND app_id = 'app-0'"
    change(copy, f"UPDATE raw.messages SET query = 'another' WHERE {changed}")
    assert publish_shared(place, copy, run_id="run").partitions == 2
    for file, content in held.items():
        file.write_bytes(content)
    assert [one.table for one in compare_shared(place, copy) if not one.is_equal] == []
