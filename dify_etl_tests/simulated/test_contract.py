"""The simulated server answers as the recorded ones did: status, keys, types, no values."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from functools import cache
from re import sub

import httpx
import pytest

from dify_etl_tests.simulated.contract_auth import AuthReplay
from dify_etl_tests.simulated.contract_left_out import (
    LEFT_OUT,
    LEFT_OUT_OF_ONE,
    WRITES_LEFT_OUT,
)
from dify_etl_tests.simulated.contract_writes import (
    WRITTEN_AREAS,
    WriteReplay,
    recorded_writes,
)
from dify_etl_tests.simulated.json_shape import Shape, differences
from dify_etl_tests.simulated.recorded_exchanges import (
    RECORDED_AREAS,
    VERSIONS,
    Exchange,
    all_exchanges,
    exchange,
    exchanges,
)
from dify_simulated.versions import ServerVersion

# Types that the servers are known to give, though no recorded row happens to have them.
DOCUMENTED = {
    ".icon_url": "str",
    ".icon_background": "NoneType",
    ".data[].finished_at": "NoneType",
    ".data[].error": "str",
    ".feedbacks[].content": "NoneType",
    ".meta.executor": "str",
    ".model_config.model.name": "str",
    ".model_config.model.provider": "str",
    ".model_config.opening_statement": "str",
    ".model_config.suggested_questions[]": "str",
    ".max_active_requests": "int",
    ".tags[]": "dict",
    ".workflow.updated_by": "str",
    ".message_files[]": "dict",
    ".annotation_hit_history": "dict",
    ".partial_member_list[]": "str",
    ".external_knowledge_id": "str",
    ".external_knowledge_api_id": "str",
    ".external_knowledge_api_name": "str",
    ".external_knowledge_api_endpoint": "str",
}
# The same for 1.16.1 and later: types that older servers gave at the same place.
SEEN_ON_OLDER_SERVERS = {
    ".icon_type": "NoneType",
    ".model.name": "NoneType",
    ".model.provider": "NoneType",
    ".last_used_at": "int",
    ".parsing_completed_at": "int",
    ".cleaning_completed_at": "int",
    ".splitting_completed_at": "int",
    ".stopped_at": "int",
    ".indexing_latency": "float",
    ".data[].updated_by": "str",
    ".data[].description": "NoneType",
    ".data[].data_source_type": "NoneType",
    ".data[].indexing_technique": "NoneType",
    ".data[].embedding_model": "NoneType",
    ".data[].embedding_model_provider": "NoneType",
    ".data[].conversation_id": "NoneType",
    ".data[].message_id": "NoneType",
    ".data[].inputs": "NoneType",
    ".iterations[].tokens": "int",
    ".time_cost": "float",
    ".meta.agent_mode": "str",
}
# Recorded types that no simulated row has, by the end of the path, each with the reason.
NOT_SHOWN = {
    ".workflow_run.finished_at": "1.7.2: a log line planted in the database before its run ended",
    ".meta.executor": "1.7.2: an end user without a name",
    ".model_config.model.provider": "a conversation that began before its app was configured",
    ".model_config.model.name": "a conversation that began before its app was configured",
    ".agent_thoughts[].thought": "1.7.2: a planted thought without text",
}
# The same for 1.16.1 and later, by the end of endpoint and path.
NOT_SHOWN_OF_NEWEST = {
    "/apps 200 .data[].bound_agent_id": "agents are compared in test_agents.py",
    "/workflow-archived-logs 200 .data[]": "compared in test_contract_human_input.py",
    "/chat-messages 200 .data[].message_files[]": "a conversation with files was asked for",
    "/apps/{} 200 .max_active_requests": "an app with a limit was asked for",
    "/apps/{} 200 .model_config.pre_prompt": "an app without a prompt was asked for",
    "/documents/{} 200 .doc_metadata": "a document without metadata was planted",
    "/error-docs 200 .data[].processing_started_at": "a failure before any work was planted",
    "/indexing-status 200 .data[].paused_at": "which documents share a batch is chance",
    "/indexing-status 200 .data[].error": "which documents share a batch is chance",
    "/agent/logs 200 .meta.agent_mode": "thoughts without a strategy were planted",
    "/agent/logs 200 .iterations[].tokens": "thoughts without tokens were planted",
    "/agent/logs 200 .iterations[].tool_calls[].time_cost": "thoughts without time were planted",
    "/workflows/draft 200 .updated_by": "a draft that was saved again was asked for",
}
# One row was asked for: which one is chance.
ONE_ROW = "GET /v1/datasets"


def endpoint(item: Exchange) -> str:
    """Method, path with ids replaced by {}, and status."""
    path = sub(r"[0-9a-fA-F]{8}-[0-9a-fA-F-]{27}", "{}", item.path)
    return f"{item.method} {path} {item.status}"


def replayed(version: str, area: str) -> list[Exchange]:
    """The recorded exchanges of an area that are replayed: GETs, and all about sessions."""
    return [
        item
        for item in exchanges(version, area)
        if (item.method == "GET" or area == "auth")
        and item.key not in LEFT_OUT
        and (version, item.key) not in LEFT_OUT_OF_ONE
    ]


@cache
def recorded_pool(version: str) -> dict[str, Shape]:
    """Everything recorded at each endpoint."""
    pools: dict[str, Shape] = {}
    for item in all_exchanges(version):
        pools.setdefault(endpoint(item), Shape()).add(item.body)
    # The service API shows datasets as the console does, but only one was recorded.
    service, console = (pools[f"GET {path}/datasets 200"] for path in ("/v1", "/console/api"))
    for path, types in console.types.items():
        service.types[path] |= types
    return pools


def answered(replay: AuthReplay, item: Exchange) -> httpx.Response:
    """The simulated answer to a recorded exchange."""
    return replay.answer(item) if item.area == "auth" else replay.get(item)


def body_of(answer: httpx.Response) -> object:
    """JSON, or text when the answer is none."""
    is_json = answer.headers.get("content-type", "").startswith("application/json")
    return answer.json() if is_json and answer.content else answer.text


def problems_of(answer: httpx.Response, item: Exchange, version: str) -> list[str]:
    """How a simulated answer differs from the recorded one."""
    if answer.status_code != item.status:
        return [f"{item.key}: status {answer.status_code} instead of {item.status}"]
    pool = recorded_pool(version)[endpoint(item)]
    documented = DOCUMENTED
    if ServerVersion(version).answers_by_models:
        documented = {**DOCUMENTED, **SEEN_ON_OLDER_SERVERS}
    found = differences(body_of(answer), item.body, pool=pool, documented=documented)
    return [f"{item.key}: {problem}" for problem in found]


@pytest.mark.parametrize(("version", "area"), RECORDED_AREAS)
def test_answers_as_recorded(version: str, area: str) -> None:
    """Status, keys and types of every recorded GET and login are those of the real server."""
    replay = AuthReplay(version)

    problems = [
        problem
        for item in replayed(version, area)
        for problem in problems_of(answered(replay, item), item, version)
    ]

    assert problems == []


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("area", WRITTEN_AREAS)
def test_writes_answer_as_recorded(version: str, area: str) -> None:
    """Making, changing, deleting, and being refused, answers as the real server did."""
    replay = WriteReplay(version)

    problems = [
        problem
        for item in recorded_writes(version, area)
        for problem in problems_of(replay.write(item), item, version)
    ]

    assert problems == []


@pytest.mark.parametrize("version", VERSIONS)
def test_shows_every_recorded_type(version: str) -> None:
    """Whatever was null, or a number, or a text on the real server is so somewhere here too."""
    replay, newest = AuthReplay(version), ServerVersion(version).answers_by_models
    ours: dict[str, Shape] = {}
    theirs: dict[str, Shape] = {}
    areas = [area for told, area in RECORDED_AREAS if told == version]
    for item in (item for area in areas for item in replayed(version, area)):
        ours.setdefault(endpoint(item), Shape()).add(body_of(answered(replay, item)))
        theirs.setdefault(endpoint(item), Shape()).add(item.body)

    missing = [
        f"{name} {path}: {kind}"
        for name, shape in theirs.items()
        for path, types in shape.types.items()
        for kind in sorted(types - ours[name].types.get(path, set()))
        if not path.endswith(tuple(NOT_SHOWN))
        and not name.startswith(ONE_ROW)
        and not (newest and any(told in f"{name} {path}" for told in NOT_SHOWN_OF_NEWEST))
    ]

    assert missing == []


@pytest.fixture
def recorded_row() -> tuple[Exchange, Shape]:
    """A recorded list of apps with everything recorded at its endpoint."""
    item = exchange("1.12.1", "apps/list-default")
    return item, recorded_pool("1.12.1")[endpoint(item)]


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (lambda row: row.pop("mode"), "missing .data[].mode"),
        (lambda row: row.update(colour="red"), "extra .data[].colour"),
        (lambda row: row.update(created_at="2026-11-21"), ".data[].created_at is str"),
    ],
)
def test_a_difference_is_found(
    spoil: Callable[[dict[str, object]], object],
    problem: str,
    recorded_row: tuple[Exchange, Shape],
) -> None:
    """A missing key, an extra key and another type each make the comparison fail."""
    item, pool = recorded_row
    spoiled = deepcopy(item.body)
    assert isinstance(spoiled, dict)
    for row in spoiled["data"]:
        spoil(row)

    assert problem in differences(spoiled, item.body, pool=pool, documented=DOCUMENTED)


def test_every_exchange_left_out_exists() -> None:
    """The list of what is not replayed names real exchanges only."""
    known = {(version, item.key) for version in VERSIONS for item in all_exchanges(version)}
    keys = {key for _, key in known}

    assert {key for key in (*LEFT_OUT, *WRITES_LEFT_OUT) if key not in keys} == set()
    assert set(LEFT_OUT_OF_ONE) - known == set()
