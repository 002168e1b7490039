"""API keys are told apart without ever being kept."""

from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from dify_etl.dify.api_keys import ApiKey, fingerprint, is_masked, looks_like, masked
from dify_etl.dify.record import Batch
from dify_etl_tests.dify.pretend_server import PretendServer
from dify_etl_tests.dify.recordings import client, exchange

TOKEN = "app-axIobuvZIyDqayW1oX1Qx0vk"
ROW = {"id": "key-1", "type": "app", "token": TOKEN, "last_used_at": None, "created_at": 1795220856}


def keys(*rows: Any, fingerprint_key: bytes | None = b"key") -> Batch[ApiKey]:
    server = PretendServer(answer=lambda request: httpx.Response(200, json={"data": list(rows)}))
    return client(server, fingerprint_key=fingerprint_key).api_keys.of_app("app-1")


def test_key_is_masked_and_fingerprinted() -> None:
    """What stays of a token is its ends and a keyed hash."""
    key = keys(ROW).records[0]

    assert (key.app_id, key.masked_token) == ("app-1", "app-a...x0vk")
    assert key.token_fingerprint == fingerprint(TOKEN, b"key")
    assert TOKEN not in repr(key) + key.model_dump_json()


def test_fingerprint_depends_on_the_house_key() -> None:
    """Without the key file nobody can test guesses, and two houses do not match."""
    assert fingerprint(TOKEN, b"one") != fingerprint(TOKEN, b"two")
    assert keys(ROW, fingerprint_key=None).records[0].token_fingerprint is None


def test_key_that_dify_masks_has_no_fingerprint() -> None:
    """The newest servers mask lists: the form stays, a hash of it would mislead."""
    key = keys({**ROW, "token": "app-a...x0vk"}).records[0]

    assert (key.masked_token, key.token_fingerprint) == ("app-a...x0vk", None)


MASKED = [
    (version, area, shape, clear)
    for version in ("1.16.1", "main-2026-08")
    for area, clear in (("apps", "api-keys-list-full"), ("datasets", "api-keys-list"))
    for shape in ("dots", "stars")
]


@pytest.mark.parametrize(("version", "area", "shape", "clear"), MASKED)
def test_recorded_masks_fit_their_keys_alone(
    version: str, area: str, shape: str, clear: str
) -> None:
    """Both recorded shapes: never a token, never a fingerprint, and each key is its own row's."""
    whole = {row["id"]: row["token"] for row in exchange(version, area, clear).body["data"]}
    rows = exchange(version, area, f"api-keys-list-masked-{shape}").body["data"]
    server = PretendServer(answer=lambda request: httpx.Response(200, json={"data": rows}))
    found = client(server, fingerprint_key=b"key").api_keys
    listed = {key.api_key_id: key for key in found.of_app("app-1")}
    assert {key.token_fingerprint for key in listed.values()} == {None}
    for key_id in whole.keys() & listed.keys():
        token = SecretStr(whole[key_id])
        assert found.token_of_app_key("app-1", key_id) is None
        assert not is_masked(whole[key_id])
        assert [one for one in listed if found.is_of(listed[one], token)] == [key_id]
    assert whole.keys() & listed.keys()


@pytest.mark.parametrize(
    ("mask", "fits"),
    [
        ("app-a...x0vk", True),
        ("app-axIo****x0vk", True),
        ("app-ax••••••••••••0vk", True),
        ("app-…x0vk", True),
        ("app-axIobu…", True),
        ("****x0vk", True),
        ("app-axIo----x0vk", True),
        ("app-axIobu", True),
        ("app-****", None),
        ("************", None),
        ("app-b...x0vk", False),
        ("app-a...x0vK", False),
        ("dataset-a...x0vk", False),
    ],
)
def test_mask_of_any_shape_is_compared_with_a_token(mask: str, fits: bool | None) -> None:
    """What is shown must agree; where hardly anything is shown, nothing is claimed."""
    assert looks_like(mask, SecretStr(TOKEN)) is fits
    assert is_masked(mask)
    assert fingerprint(mask, b"key") is None


def test_no_mask_that_shows_nearly_all_is_kept() -> None:
    """Whoever masks: no more than a few characters of a key are stored."""
    key = keys({**ROW, "token": f"{TOKEN[:-3]}***"}).records[0]
    assert (key.masked_token, key.token_fingerprint) == ("app-a...x***", None)
    assert keys({**ROW, "token": "app-short"}).records[0].masked_token == "app-s..."


def test_unknown_fields_of_keys_are_dropped() -> None:
    """A new field may be a secret: keys keep an allow-list only."""
    key = keys({**ROW, "plain_secret": "s3cret"}).records[0]

    assert key.extra == {}
    assert "s3cret" not in repr(key.model_dump())


@pytest.mark.parametrize(
    "row",
    [
        {**ROW, "created_at": "soon"},
        {**ROW, "token": None},
        {**ROW, "token": {"secret": TOKEN}},
        {"token": TOKEN},
        TOKEN,
        [TOKEN],
    ],
)
def test_malformed_key_tells_names_and_types_only(row: Any) -> None:
    """A key that cannot be parsed is set aside without its values."""
    batch = keys(row, ROW)

    rejected = batch.rejected[0]
    assert len(batch.records) == 1
    assert rejected.raw is None
    assert TOKEN not in str(rejected)
    assert type(row).__name__ in rejected.message or "token " in rejected.message


@pytest.mark.parametrize("version", ["1.12.1", "1.7.2"])
def test_recorded_dataset_keys(version: str) -> None:
    """The keys of a real server come without their tokens and without an app."""
    recorded = exchange(version, "datasets", "api-keys-list-as-editor")
    tokens = [row["token"] for row in recorded.body["data"]]
    server = PretendServer(answer=lambda request: recorded.response())

    found = client(server).api_keys.of_datasets()

    assert [key.masked_token for key in found] == [masked(token) for token in tokens]
    assert not any(token in repr(found) for token in tokens)
    assert {key.app_id for key in found} == {None}
