"""docs/operations.md names everything that can be done, and everything that it names exists."""

import ast
import re
from functools import cache
from operator import attrgetter
from pathlib import Path

import pytest
from pydantic import SecretStr
from typer.main import get_group

from dify_etl.cli.main import app
from dify_etl.defs.code_location import code_location
from dify_etl.dify import DifyClient
from dify_etl.dify.statistics import StatisticMetric
from dify_etl.operations.table import OPERATIONS
from dify_etl_tests.defs.night import settings_for

ROOT = Path(__file__).resolve().parents[1]
DOCUMENT = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip().strip("`") for cell in line.strip("|").split("|")]
    for line in DOCUMENT.splitlines()
    if line.startswith("| ") and "::" in line
]
BY_WHAT = {row[0]: row for row in ROWS}

# Every operation of two older clients, DifyServer of dify-spring-boot-starter and dify_user_client:
# whoever comes from there finds it again.
OLDER_CLIENTS = {
    "DifyServer.apps": "list apps, by mode or name",
    "DifyServer.app": "read one app",
    "DifyServer.createApp": "make an app",
    "DifyServer.updateApp": "change an app",
    "DifyServer.deleteApp": "delete an app",
    "DifyServer.getAppApiKey": "list the keys of an app",
    "DifyServer.initAppApiKey": "make a key of an app",
    "DifyServer.deleteAppApiKey": "delete a key of an app",
    "DifyServer.workflowsPublish": "publish a workflow",
    "DifyServer.updateAppModelConfig": "replace the model configuration",
    "DifyServer.getDatasetApiKey": "list the keys of the datasets",
    "DifyServer.initDatasetApiKey": "make a key of the datasets",
    "DifyServer.deleteDatasetApiKey": "delete a key of the datasets",
    "DifyServer.getDatasetIndexingStatus": "indexing status of a dataset",
    "DifyServer.getDocumentIndexingStatus": "indexing status of a document",
    "DifyServer.getDatasetErrorDocuments": "documents with an error",
    "DifyServer.retryDocumentIndexing": "retry a document",
    "DifyServer.chatConversations": "conversations of an app",
    "DifyServer.dailyConversations": "conversations per day",
    "DifyServer.dailyEndUsers": "end users per day",
    "DifyServer.averageSessionInteractions": "messages per conversation",
    "DifyServer.tokensPerSecond": "tokens per second",
    "DifyServer.userSatisfactionRate": "satisfaction of users",
    "DifyServer.tokenCosts": "tokens and cost per day",
    "DifyServer.dailyMessages": "messages per day",
    "DifyServer statistics of workflows": "workflow runs per day",
    "DifyServer.inviteMembers": "invite members",
    "DifyServer.login": "log in, renew the session",
    "DifyServer.refreshToken": "log in, renew the session",
    "dify_user_client workflow get_logs": "logs of a workflow app",
    "dify_user_client get_node_executions": "nodes of a run",
    "dify_user_client chat get_logs": "conversations of an app",
    "dify_user_client get_messages": "messages of a conversation",
    "dify_user_client Chat.messages": "a conversation with its messages",
}

# Groups of commands that change and show nothing of Dify itself.
OF_THE_HOME = {"audit", "quarantine", "warehouse"}


@pytest.fixture(scope="module")
def client() -> DifyClient:
    """A client that asks nothing."""
    return DifyClient("http://dify.test", email="a@example.com", password=SecretStr("x"))


@cache
def commands() -> frozenset[str]:
    """Every command, with its group."""
    groups = dict(get_group(app).commands)
    return frozenset(groups) | {
        f"{group} {name}"
        for group, held in groups.items()
        for name in getattr(held, "commands", {})
    }


@pytest.fixture(scope="module")
def dagster_names(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Every job and asset."""
    definitions = code_location(settings_for(tmp_path_factory.mktemp("home")))
    jobs = {job.name for job in definitions.resolve_all_job_defs()}
    return jobs | {"/".join(one.key.path) for one in definitions.resolve_all_asset_specs()}


@pytest.mark.parametrize("what", sorted(BY_WHAT))
def test_every_cell_names_something(what: str, client: DifyClient, dagster_names: set[str]) -> None:
    """The method, the command, the job or asset and the test of a row are there."""
    _, method, command, dagster, test = BY_WHAT[what]
    name, _, metric = method.partition("(")
    assert callable(attrgetter(name)(client))
    assert not metric or metric.rstrip(")") in StatisticMetric.__members__
    assert command in commands()
    assert dagster in dagster_names
    path, _, function = test.partition("::")
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    assert function in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_every_write_of_the_client_is_in_the_table(client: DifyClient) -> None:
    """Nothing that changes Dify, and so answers `Written`, is missing from the document."""
    found = {
        f"{room}.{name}"
        for room in vars(client)
        if not room.startswith("_")
        for name, method in vars_of(getattr(client, room)).items()
        if "Written" in str(getattr(method, "__annotations__", {}).get("return", ""))
        and not name.startswith("_")
    }
    assert len(found) > 15
    assert found <= {row[1] for row in ROWS}


def vars_of(room: object) -> dict[str, object]:
    """The methods of a room, inherited ones too."""
    return {name: one for kind in type(room).__mro__ for name, one in vars(kind).items()}


def test_every_operation_and_command_is_told() -> None:
    """No operation goes without a row of its command and job, and no other command without one."""
    assert {(spec.command, spec.job) for spec in OPERATIONS} <= {(row[2], row[3]) for row in ROWS}
    own = {one for one in commands() if " " in one and one.split()[0] not in OF_THE_HOME}
    assert own <= {row[2] for row in ROWS}


@pytest.mark.parametrize("operation", sorted(OLDER_CLIENTS))
def test_nothing_of_older_clients_is_missing(operation: str) -> None:
    """Each of their operations has its row."""
    assert OLDER_CLIENTS[operation] in BY_WHAT


def test_table_was_read_whole() -> None:
    """A row that is written otherwise would go unchecked."""
    lines = [line for line in DOCUMENT.splitlines() if line.startswith("| ")]
    assert len(ROWS) == len(BY_WHAT) == len(lines) - 1
    assert all(len(row) == 5 for row in ROWS)
    assert re.search(r"^# Operations", DOCUMENT)
