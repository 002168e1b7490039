"""API keys are made and deleted on every version, and nothing of them leaks."""

import httpx
import pytest
from pydantic import SecretStr

from dify_etl.dify import DifyClient
from dify_etl.dify.api_keys import MOST_KEYS, fingerprint
from dify_etl.dify.errors import NotAllowed, NotFound, Refused, WriteUnanswered
from dify_etl_tests.dify.pretend_server import PretendServer
from dify_etl_tests.dify.pretend_workspace import (
    EDITOR,
    EVERY_VERSION,
    NOW,
    app_of,
    client_of,
)
from dify_etl_tests.dify.recordings import client
from dify_simulated import Faults, SimulatedDify, World
from dify_simulated.server.faults import Fault


def key_ids(dify: DifyClient, app_id: str) -> set[str]:
    return {key.api_key_id for key in dify.api_keys.of_app(app_id)}


@pytest.mark.parametrize("version", EVERY_VERSION)
def test_a_new_key_brings_its_token(world: World, version: str) -> None:
    """The token that was made is the one that the server knows, told by the same fingerprint."""
    dify, app = client_of(SimulatedDify(world, version)), app_of(world, "chat")

    written = dify.api_keys.create_for_app(app.id)

    new = written.value
    token = new.token.get_secret_value()
    listed = next(k for k in dify.api_keys.of_app(app.id) if k.api_key_id == new.api_key_id)
    assert (written.status, new.app_id, new.created_at) == (201, app.id, NOW)
    assert token == world.api_keys[new.api_key_id].token
    assert new.token_fingerprint == listed.token_fingerprint == fingerprint(token, b"key")
    assert dify.api_keys.fingerprint_of(new.token) == new.token_fingerprint


@pytest.mark.parametrize("version", EVERY_VERSION)
def test_a_dataset_key_is_made_and_deleted(world: World, version: str) -> None:
    """Dify answers 200 here, where it answers 201 for apps; deleting is 204."""
    dify = client_of(SimulatedDify(world, version))

    written = dify.api_keys.create_for_datasets()
    deleted = dify.api_keys.delete_of_datasets(written.value.api_key_id)

    assert (written.status, written.value.app_id, deleted.status) == (200, None, 204)
    assert written.value.api_key_id not in world.api_keys


def test_a_deleted_key_is_gone_and_cannot_be_deleted_again(world: World) -> None:
    """The second time Dify says 404: whoever repeats may take that as done."""
    dify, app = client_of(SimulatedDify(world)), app_of(world, "chat")
    key_id = dify.api_keys.create_for_app(app.id).value.api_key_id

    dify.api_keys.delete_of_app(app.id, key_id)

    assert key_id not in key_ids(dify, app.id)
    with pytest.raises(NotFound):
        dify.api_keys.delete_of_app(app.id, key_id)


def test_each_call_makes_another_key(world: World) -> None:
    """Creating is no initialising: two calls, two keys."""
    dify, app = client_of(SimulatedDify(world)), app_of(world, "chat")
    before = key_ids(dify, app.id)

    made = {dify.api_keys.create_for_app(app.id).value.api_key_id for _ in "12"}

    assert key_ids(dify, app.id) - before == made
    assert len(made) == 2


@pytest.mark.parametrize(
    ("version", "kind"),
    [("1.0.0", Refused), ("1.7.2", WriteUnanswered), ("1.9.2", Refused), ("1.12.1", Refused)],
)
def test_the_eleventh_key_of_an_app(world: World, version: str, kind: type[Exception]) -> None:
    """Some versions refuse it with 500, which means nothing for sure: count before."""
    dify, app = client_of(SimulatedDify(world, version)), app_of(world, "chat")
    for _ in range(MOST_KEYS - len(key_ids(dify, app.id))):
        dify.api_keys.create_for_app(app.id)

    with pytest.raises(kind) as caught:
        dify.api_keys.create_for_app(app.id)

    assert getattr(caught.value, "code", "max_keys_exceeded") == "max_keys_exceeded"
    assert len(key_ids(dify, app.id)) == MOST_KEYS


def test_an_editor_makes_keys_but_deletes_none(world: World) -> None:
    """A key that its maker may not delete: roles are looked at before anything is made."""
    dify, app = client_of(SimulatedDify(world), EDITOR), app_of(world, "chat")

    made = dify.api_keys.create_for_app(app.id).value

    assert dify.account.role() == "editor"
    with pytest.raises(NotAllowed):
        dify.api_keys.delete_of_app(app.id, made.api_key_id)
    with pytest.raises(NotAllowed):
        dify.api_keys.create_for_datasets()


@pytest.mark.parametrize("fault", [Fault.LOST, Fault.TIMEOUT, Fault.TRUNCATED, Fault.SERVER_ERROR])
def test_a_key_whose_answer_is_lost_exists(world: World, fault: Fault) -> None:
    """The server made one key, we did not hear of it, and nothing was sent twice."""
    server, app = SimulatedDify(world), app_of(world, "chat")
    dify = client_of(server)
    before = key_ids(dify, app.id)
    server.faults = Faults(
        after_request=lambda number, method, path, status: fault if method == "POST" else None
    )

    with pytest.raises(WriteUnanswered):
        dify.api_keys.create_for_app(app.id)

    assert len(key_ids(dify, app.id) - before) == 1


@pytest.mark.parametrize("token", ["app-a...x0vk", "app-aIob****x0vk", None])
def test_a_new_key_without_its_token_is_unanswered(token: str | None) -> None:
    """A key was made that nobody can read: not a key, not a plain error."""
    made = {"id": "key-1", "type": "app", "token": token, "created_at": 1795220856}
    server = PretendServer(answer=lambda request: httpx.Response(201, json=made))

    with pytest.raises(WriteUnanswered) as caught:
        client(server).api_keys.create_for_app("app-1")

    assert caught.value.status == 201


def test_a_token_is_read_again_where_lists_are_open(world: World) -> None:
    """Up to 1.14 lists show tokens, the newest mask them; a key that is gone is not found."""
    app = app_of(world, "chat")
    open_dify = client_of(SimulatedDify(world))
    masked_dify = client_of(SimulatedDify(world, mask_keys=True))
    made = open_dify.api_keys.create_for_app(app.id).value
    shared = open_dify.api_keys.create_for_datasets().value

    assert open_dify.api_keys.token_of_app_key(app.id, made.api_key_id) == made.token
    assert open_dify.api_keys.token_of_dataset_key(shared.api_key_id) == shared.token
    assert masked_dify.api_keys.token_of_app_key(app.id, made.api_key_id) is None
    assert masked_dify.api_keys.token_of_dataset_key(shared.api_key_id) is None
    with pytest.raises(NotFound):
        open_dify.api_keys.token_of_app_key(app.id, shared.api_key_id)


def test_a_masking_server_still_tells_a_new_token(world: World) -> None:
    """The answer to the making is the only place: it has no fingerprint in lists."""
    dify, app = client_of(SimulatedDify(world, mask_keys=True)), app_of(world, "chat")

    new = dify.api_keys.create_for_app(app.id).value

    listed = next(k for k in dify.api_keys.of_app(app.id) if k.api_key_id == new.api_key_id)
    assert new.token.get_secret_value() == world.api_keys[new.api_key_id].token
    assert (listed.masked_token, listed.token_fingerprint) == (new.masked_token, None)


def test_a_new_key_does_not_show_its_token(world: World) -> None:
    """Neither its text nor the text of the whole answer holds the secret."""
    dify, app = client_of(SimulatedDify(world)), app_of(world, "chat")

    written = dify.api_keys.create_for_app(app.id)

    assert isinstance(written.value.token, SecretStr)
    assert written.value.token.get_secret_value() not in f"{written} {written!r}"
