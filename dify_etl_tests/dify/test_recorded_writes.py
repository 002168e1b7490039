"""Every recorded answer to a write goes through the client: it is understood, or named here."""

from collections.abc import Callable
from typing import Any

import pytest

from dify_etl.dify import DifyClient
from dify_etl.dify.app_writes import AppDraft
from dify_etl.dify.errors import (
    DifyError,
    NoSuchEndpoint,
    NotAllowed,
    NotFound,
    Refused,
    WriteUnanswered,
)
from dify_etl.dify.http.writes import Written
from dify_etl.dify.model_config import ModelConfig
from dify_etl.dify.record import Record
from dify_etl_tests.dify.recordings import (
    VERSIONS,
    Exchange,
    by_area,
    complaints,
    exchange,
    exchanges,
    playing,
)
from dify_etl_tests.dify.test_recorded_answers import named, pattern_of

MODEL = {"provider": "openai", "name": "gpt-4o", "completion_params": {}}
CONFIG = ModelConfig.of({"model": MODEL})
MEMBERS = "/workspaces/current/members"

WRITES: dict[str, Callable[[DifyClient], Written[Any]]] = {
    "POST /apps": lambda dify: dify.apps.create(AppDraft("a", "chat")),
    "DELETE /apps/ID": lambda dify: dify.apps.delete("a"),
    "POST /apps/ID/name": lambda dify: dify.apps.rename("a", "b"),
    "POST /apps/ID/site-enable": lambda dify: dify.apps.switch_site("a", False),
    "POST /apps/ID/api-enable": lambda dify: dify.apps.switch_api("a", False),
    "POST /apps/ID/model-config": lambda dify: dify.apps.replace_model_config("a", CONFIG),
    "POST /apps/ID/workflows/publish": lambda dify: dify.workflows.publish("a"),
    "POST /apps/imports": lambda dify: dify.apps.import_dsl("kind: app"),
    "POST /apps/ID/api-keys": lambda dify: dify.api_keys.create_for_app("a"),
    "DELETE /apps/ID/api-keys/ID": lambda dify: dify.api_keys.delete_of_app("a", "k"),
    "POST /datasets/api-keys": lambda dify: dify.api_keys.create_for_datasets(),
    "DELETE /datasets/api-keys/ID": lambda dify: dify.api_keys.delete_of_datasets("k"),
    "POST /datasets/ID/retry": lambda dify: dify.datasets.retry_document("d", "x"),
    f"POST {MEMBERS}/invite-email": lambda dify: dify.members.invite(["a@dify.test"], "normal"),
    f"PUT {MEMBERS}/ID/update-role": lambda dify: dify.members.set_role("m", "normal"),
    f"DELETE {MEMBERS}/ID": lambda dify: dify.members.remove("m"),
}
NOT_HERE = {
    "PUT /apps/ID": "reads before it writes: tested with the apps",
    "POST /apps/ID/icon": "reads the list of apps after it: tested with the apps",
    "POST /apps/imports/ID/confirm": "a DSL of a newer version is confirmed in the console",
    "POST /apps/ID/copy": "apps are copied in the console",
    "POST /apps/ID/star": "everybody's own mark",
    "DELETE /apps/ID/star": "everybody's own mark",
    "POST /account/timezone": "would move all days of the account",
    "POST /datasets/ID/api-keys": "Dify answers 500",
    "POST /datasets/ID/api-keys/enable": "switched in the console",
    # Agents are drawn in the console; their keys are those of their apps.
    "POST /agent": "made by an import",
    "PUT /agent/ID": "changed as an app",
    "DELETE /agent/ID": "deleted as an app",
    "POST /agent/ID/publish": "published in the console",
    "POST /agent/ID/api-enable": "switched as an app",
    "POST /agent/ID/api-keys": "made as a key of its app",
    "DELETE /agent/ID/api-keys/ID": "deleted as a key of its app",
    "POST /agent/ID/feedbacks": "people judge answers",
    "POST /activate": "the invited person does that",
    "POST /apps/ID/workflows/draft": "drafts are drawn in the console",
    "POST /apps/ID/workflows/draft/run": "debugging is done in the console",
    "POST /apps/ID/advanced-chat/workflows/draft/run": "debugging is done in the console",
    "POST /apps/ID/annotations": "annotations are written in the console",
    "POST /apps/ID/feedbacks": "people judge answers",
    "DELETE /apps/ID/chat-conversations/ID": "deletes logs",
    "PATCH /apps/ID": "no such method",
    "DELETE /apps/ID/api-keys/not-uuid": "no such route",
}
KINDS: dict[int, type[DifyError] | tuple[type[DifyError], ...]] = {
    400: Refused,
    403: NotAllowed,
    404: (NotFound, NoSuchEndpoint),
    409: Refused,
    415: Refused,
    422: Refused,
    500: WriteUnanswered,
}


def write_of(item: Exchange) -> str:
    return f"{item.method} {pattern_of(item)}"


def recorded_writes() -> list[Exchange]:
    return [
        item
        for version in VERSIONS
        for item in exchanges(version)
        if item.method in ("POST", "PUT", "PATCH", "DELETE")
        and item.path.startswith("/console/api")
        and item.area != "auth"
    ]


def known(*, good: bool) -> list[Exchange]:
    return [i for i in recorded_writes() if write_of(i) in WRITES and (i.status < 300) is good]


GOOD, REFUSED = by_area(known(good=True)), by_area(known(good=False))


def is_understood(item: Exchange) -> None:
    with playing(item) as dify:
        written = WRITES[write_of(item)](dify)

    assert written.status == item.status
    assert not (isinstance(written.value, Record) and written.value.extra)


@pytest.mark.parametrize("area", GOOD)
def test_good_answers_are_understood(area: str) -> None:
    """Status and all; no key of a known server is unknown."""
    assert complaints(is_understood, GOOD[area]) == {}


def tells_what_to_do(item: Exchange) -> None:
    with playing(item) as dify, pytest.raises(DifyError) as caught:
        WRITES[write_of(item)](dify)

    assert caught.value.hint
    assert isinstance(caught.value, KINDS[item.status])


@pytest.mark.parametrize("area", REFUSED)
def test_refusals_tell_what_to_do(area: str) -> None:
    """Each recorded error becomes one of ours; a 500 leaves open what was done."""
    assert complaints(tells_what_to_do, REFUSED[area]) == {}


@pytest.mark.parametrize("version", VERSIONS)
def test_every_recorded_write_is_accounted_for(version: str) -> None:
    """The client has a method for it, or the reason stands in NOT_HERE."""
    writes = [item for item in recorded_writes() if item.version == version]

    assert writes
    assert [named(one) for one in writes if write_of(one) not in {*WRITES, *NOT_HERE}] == []


@pytest.mark.parametrize("version", VERSIONS)
def test_a_recorded_dsl_is_exported(version: str) -> None:
    """The text as the server wrote it."""
    recorded = exchange(version, "apps", "export-dsl")

    with playing(recorded) as dify:
        assert dify.apps.export_dsl("a") == recorded.body["data"]
