"""The account and its workspace, on old and new servers."""

import httpx
import pytest

from dify_etl.dify.errors import UnexpectedAnswer
from dify_etl.simulated import SimulatedDify, World
from dify_etl_tests.dify.pretend_server import PretendServer
from dify_etl_tests.dify.pretend_workspace import EVERY_VERSION, client_of
from dify_etl_tests.dify.recordings import VERSIONS, Handler, client, exchange


@pytest.mark.parametrize("version", VERSIONS)
def test_current_workspace_is_asked_in_the_versions_way(version: str) -> None:
    """GET on old servers, a POST that reads on new ones."""
    asked: list[str] = []

    workspace = client(recorded_server(version, asked)).account.current_workspace()

    assert asked == ["POST" if version == "1.12.1" else "GET"]
    assert (workspace.role, workspace.is_current) == ("owner", True)
    assert workspace.extra == {}


def test_version_in_between_is_asked_both_ways() -> None:
    """Where the version does not tell, a 405 leads to the other method."""
    asked: list[str] = []

    client(recorded_server("1.7.2", asked, told="1.10.0")).account.current_workspace()

    assert asked == ["POST", "GET"]


@pytest.mark.parametrize("version", VERSIONS)
def test_workspaces_tell_which_is_current(version: str) -> None:
    """The list marks the workspace that every session of the account works in."""
    recorded = exchange(version, "auth", "workspaces")

    def server(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/login"):
            return exchange(version, "auth", "login-ok").response()
        return recorded.response()

    workspaces = client(server).account.workspaces()

    assert [(one.name, one.is_current) for one in workspaces] == [("Lab Owner's Workspace", True)]


def recorded_server(version: str, asked: list[str], told: str | None = None) -> Handler:
    def server(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/current"):
            asked.append(request.method)
            name = "workspace-current-post" if request.method == "POST" else "workspace-current"
            response = exchange(version, "auth", name).response()
        elif told and request.url.path.endswith("/login"):
            response = exchange("1.12.1", "auth", "login-ok").response()
        else:
            response = exchange(version, "auth", "login-ok").response()
        response.headers["x-version"] = told or version
        return response

    return server


@pytest.mark.parametrize("version", EVERY_VERSION)
def test_our_role_is_asked_each_time(world: World, version: str) -> None:
    """An owner may change it between two runs."""
    dify = client_of(SimulatedDify(world, version))
    before = dify.account.role()

    world.set_role("admin")

    assert (before, dify.account.role()) == ("owner", "admin")


def test_an_answer_without_a_role_is_told() -> None:
    """No role is no permission: nobody guesses."""
    answer = {"id": "w-1", "name": "Lab", "role": None}
    server = PretendServer(answer=lambda request: httpx.Response(200, json=answer))

    with pytest.raises(UnexpectedAnswer, match="role"):
        client(server).account.role()
