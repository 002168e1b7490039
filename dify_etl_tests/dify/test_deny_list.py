"""What opens something is taken out of JSON and texts; what only looks like it stays."""

import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from dify_etl.dify.http.answers import failure_of, where_of
from dify_etl.dify.http.deny_list import (
    SUSPICIOUS,
    text_without_secrets,
    without_secrets,
)
from dify_etl.dify.http.secret_names import is_secret_name
from dify_etl.dify.http.secret_shapes import REMOVED
from dify_etl.dify.messages import Message
from dify_etl.dify.record import Record, parse
from dify_etl_tests.dify.recordings import RECORDED, Exchange, exchanges
from dify_etl_tests.dify.secret_places import SECRET, places

ALL_VERSIONS = sorted(folder.name for folder in RECORDED.iterdir())
# As the recordings name what they replaced, and API keys, which are real ones of a dead server.
PLANTED = re.compile(
    r"form-token-\d+|activation-token-\d+|site-code-\d+|jwt-\d+|refresh-\d+|csrf-\d+|&token=[^(&\"]+|"
    r"\b(?:app|dataset)-[A-Za-z0-9]{24}\b"
)


def recorded() -> list[Exchange]:
    return [one for version in ALL_VERSIONS for one in exchanges(version)]


def secrets_in(exchange: Exchange) -> list[str]:
    return PLANTED.findall(json.dumps(exchange.body))


def changed(before: Any, after: Any, path: str = "") -> Iterator[str]:
    """The paths of what differs, list positions left out."""
    if isinstance(before, dict):
        for name in before:
            yield from changed(before[name], after[name], f"{path}.{name}")
    elif isinstance(before, list):
        for one, other in zip(before, after, strict=True):
            yield from changed(one, other, path)
    elif before != after:
        yield path


@pytest.mark.parametrize("version", ALL_VERSIONS)
def test_no_recorded_token_is_left(version: str) -> None:
    """Form, activation and session tokens, site codes and keys are in no answer any more."""
    found = [one for one in exchanges(version) if secrets_in(one)]

    left = {
        one.name: PLANTED.findall(json.dumps(without_secrets(one.body)))
        for one in found
        if PLANTED.search(json.dumps(without_secrets(one.body)))
    }

    assert len(found) > 10
    assert left == {}


def test_nothing_else_of_the_recorded_answers_changes() -> None:
    """Of all fields of all recorded answers, these and no other lose their value."""
    paths = {path for one in recorded() for path in changed(one.body, without_secrets(one.body))}

    assert paths == {
        *(".token", ".data.token", ".site.access_token", ".site.code"),
        *(".invitation_results.url", ".data.access_token", ".data.refresh_token"),
        *(".data.reasons.form_token", ".paused_nodes.pause_type.backstage_input_url"),
        *(".data.extra_contents.form_definition.form_token",),
        *(".extra_contents.form_definition.form_token",),
        *(".message", ".errors.password", ".errors.refresh_token"),  # of errors
    }


@pytest.mark.parametrize(
    "name",
    [
        *("form_token", "token", "accessToken", "refresh_token", "csrf_token", "X-Api-Key"),
        *("api_key", "apiKey", "password", "client_secret", "Authorization", "Set-Cookie"),
        *("backstage_input_url", "form_url", "activation_url", "webhook_url", "private_key"),
    ],
)
def test_name_of_a_secret_is_known(name: str) -> None:
    """However it is written, and the quick look finds it too."""
    assert is_secret_name(name)
    assert re.search(SUSPICIOUS, f'{{"{name}":"x"}}')
    assert without_secrets({name: "c4n4ry"}) == {name: REMOVED}


@pytest.mark.parametrize("name", places(SECRET))
def test_secret_of_an_app_is_taken_out_wherever_dify_saves_one(name: str) -> None:
    """Of graphs, variables and configurations, as tables have them; the quick look finds it."""
    held = places(SECRET)[name]
    assert SECRET not in json.dumps(without_secrets(held))
    assert re.search(SUSPICIOUS, json.dumps(held, separators=(",", ":")))


@pytest.mark.parametrize(
    "name",
    [
        *("tokens", "token_count", "completion_tokens", "total_tokens", "max_tokens"),
        *("masked_token", "credential_id", "credential_type", "secret_refs", "is_password_set"),
        *("customize_token_strategy", "api_key_count", "tokens_per_second", "session_id", "url"),
    ],
)
def test_harmless_name_stays(name: str) -> None:
    """Counts, and what is only said about a secret."""
    assert without_secrets({name: "kept"}) == {name: "kept"}


def test_figures_and_absences_under_such_a_name_stay() -> None:
    """A time to the first token, and a form that was submitted: its token is null."""
    held = {"time_to_first_token": 1.25, "form_token": None, "token": "", "password": False}

    assert without_secrets(held) == held


@pytest.mark.parametrize(
    "text",
    [
        '{"form_token": "c4n4ry-0001"}',
        '{"tool": "{\\"form_token\\": \\"c4n4ry-0001\\"}"}',
        "the tool said {'api_key': 'c4n4ry-0001'}",
        'cut off {"token":"c4n4ry-0001", "a',
        'escaped {\\"access_token\\": \\"c4n4ry-0001\\"}',
        "http://dify.test/form/c4n4ry-0001abc",
        "http://dify.test/activate?email=a%40b.c&token=c4n4ry-0001",
        "form not found, token=c4n4ry-0001. You have requested [/form/human_input/c4n4ry-0001abc]",
        "call https://dify.test/triggers/webhook/c4n4ry-0001abc to start it",
        "Authorization: Bearer c4n4ry-0001abc",
        "use app-c4n4ryAAAAAAAAAAAAAAAA01",
        "eyJc4n4ryAAAA.eyJc4n4ryAAAA.c4n4ryAAAA",
    ],
)
def test_text_loses_its_secret_alone(text: str) -> None:
    """JSON in a text, links, headers, keys: the text says so in the secret's place."""
    kept = text_without_secrets(text)

    assert "c4n4ry" not in kept
    assert REMOVED in kept
    assert re.search(SUSPICIOUS, text)


@pytest.mark.parametrize(
    "text",
    [
        "max_tokens=4096, total_tokens=5, token=17",
        "see /form/contact-us for the form",
        "I forgot my password and the secret question",
        "The bearer of bad news",
        '{"total_tokens": 5,  "usage": {"tokens": "12"}}',
    ],
)
def test_harmless_text_stays_to_the_byte(text: str) -> None:
    """People write of passwords and forms; JSON keeps its blanks."""
    assert text_without_secrets(text) == text


def test_once_more_changes_nothing() -> None:
    """What was cleaned is clean: a second pass makes no change of the row."""
    for one in recorded():
        kept = without_secrets(one.body)
        assert without_secrets(kept) == kept


def test_error_quotes_no_form_token() -> None:
    """Dify's message of an unknown form quotes the token twice; place and text lose it."""
    found = [
        one
        for one in recorded()
        if one.method == "GET" and one.status >= 400 and "form-token" in json.dumps(one.body)
    ]
    assert found
    for one in found:
        response = one.response()
        response.request = httpx.Request("GET", f"https://dify.test{one.path}")
        told = f"{failure_of(response)} {where_of(response.request)}"
        assert "form-token" not in told


def test_repr_of_a_record_tells_no_token() -> None:
    """A record in a traceback, a log or a failed assertion shows none of its live tokens."""
    rows = next(
        one for one in exchanges("1.16.1") if one.name == "chat-messages-human-input-waiting"
    ).body["data"]
    rows = [row | {"brand_new": {"form_token": "form-token-0099"}} for row in rows]

    records: tuple[Record, ...] = parse(
        Message, rows, endpoint="GET chat-messages", context={"app_id": "a"}
    ).records

    assert any("form-token" in json.dumps(row) for row in rows)
    assert "form-token" not in repr(records)


def test_rejected_row_is_kept_without_its_token() -> None:
    """What goes to the quarantine is the row as Dify sent it, but for the token."""
    rows = next(
        one for one in exchanges("1.16.1") if one.name == "chat-messages-human-input-waiting"
    ).body["data"]
    row = next(row for row in rows if "form-token" in json.dumps(row))

    rejected = parse(Message, [{**row, "status": 5}], endpoint="GET chat-messages").rejected

    assert rejected[0].raw is not None
    assert "form-token" not in rejected[0].raw
    assert json.loads(rejected[0].raw)["extra_contents"][0]["submitted"] is False
