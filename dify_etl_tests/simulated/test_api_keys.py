"""Keys of apps and datasets: made, counted, deleted, refused."""

from __future__ import annotations

import httpx
import pytest

from dify_etl_tests.simulated.signing_in import signed_in, stranger
from dify_simulated import SimulatedDify, World
from dify_simulated.world.rows import App


def info(dify: SimulatedDify, token: str) -> httpx.Response:
    """Ask the service API with a key."""
    headers = {"Authorization": f"Bearer {token}"}
    return stranger(dify).get("http://dify.test/v1/info", headers=headers)


def test_a_key_works_until_it_is_deleted(
    dify: SimulatedDify, reader: httpx.Client, chat: App
) -> None:
    """A new key opens the service API at once, a deleted one is 401 at once."""
    made = reader.post(f"/apps/{chat.id}/api-keys", json={})
    token, key_id = made.json()["token"], made.json()["id"]
    before = info(dify, token)
    deleted = reader.delete(f"/apps/{chat.id}/api-keys/{key_id}")

    assert (made.status_code, deleted.status_code, deleted.content) == (201, 204, b"")
    assert (before.status_code, before.json()["name"]) == (200, chat.name)
    assert (info(dify, token).status_code, info(dify, token).json()["code"]) == (
        401,
        "unauthorized",
    )


def test_using_a_key_is_seen_at_most_once_a_minute(
    dify: SimulatedDify, world: World, chat: App
) -> None:
    """last_used_at moves with the first use only."""
    key = world.add_api_key(tenant_id=chat.tenant_id, at=world.now(), app_id=chat.id)
    info(dify, key.token)
    first = key.last_used_at
    info(dify, key.token)

    assert first is not None
    assert key.last_used_at == first


@pytest.mark.parametrize(("version", "status"), [("1.0.0", 400), ("1.7.2", 500), ("1.12.1", 400)])
def test_the_eleventh_key_of_an_app(world: World, chat: App, version: str, status: int) -> None:
    """Ten are allowed; the refusal differs by release and is a 500 on some."""
    reader = signed_in(SimulatedDify(world, version))

    statuses = [reader.post(f"/apps/{chat.id}/api-keys", json={}).status_code for _ in range(11)]

    assert statuses == [201] * 10 + [status]


def test_lists_show_the_secret_unless_masked(world: World, chat: App) -> None:
    """Servers up to 1.14 print the whole token, the newest only its ends."""
    key = world.add_api_key(tenant_id=chat.tenant_id, at=world.now(), app_id=chat.id)

    open_token, masked = (
        signed_in(SimulatedDify(world, mask_keys=masking))
        .get(f"/apps/{chat.id}/api-keys")
        .json()["data"][0]["token"]
        for masking in (False, True)
    )

    assert open_token == key.token
    assert masked == f"{key.token[:5]}...{key.token[-4:]}"


def test_only_admins_delete_keys(dify: SimulatedDify, world: World, chat: App) -> None:
    """An editor may make a key but not delete it."""
    editor = signed_in(dify, "eddie@dify.test")
    made = editor.post(f"/apps/{chat.id}/api-keys", json={})

    answer = editor.delete(f"/apps/{chat.id}/api-keys/{made.json()['id']}")

    assert (made.status_code, answer.status_code) == (201, 403)


def test_a_dataset_key_opens_all_datasets(dify: SimulatedDify, world: World) -> None:
    """The service API lists the whole workspace to it."""
    key = next(row for row in world.api_keys.values() if row.type == "dataset")
    headers = {"Authorization": f"Bearer {key.token}"}

    answer = stranger(dify).get("http://dify.test/v1/datasets", headers=headers)

    assert answer.json()["total"] == len(world.datasets)
