"""The account and its workspace, on old and new servers."""

import contextlib
from dataclasses import dataclass, field

import httpx
import pytest

from dify_etl.dify.errors import DifyError, LoginRefused, UnexpectedAnswer
from dify_etl_tests.dify.pretend_server import PROFILE, PretendServer
from dify_etl_tests.dify.pretend_workspace import EVERY_VERSION, client_of
from dify_etl_tests.dify.recordings import VERSIONS, client, exchange
from dify_simulated import SimulatedDify, World

RECORDED = ("1.7.2", "1.12.1", "1.16.1", "main-2026-08")
CURRENT, SUMMARY = "/workspaces/current", "/workspaces/current/summary"
# The recording of each route, by method and path; what is not here was not recorded.
ROUTES = {
    ("POST", "/login"): "login-ok",
    ("GET", "/account/profile"): "profile",
    ("POST", CURRENT): "workspace-current-post",
    ("GET", CURRENT): "workspace-current",
    ("GET", SUMMARY): "workspace-current-summary",
    ("GET", "/workspaces"): "workspaces",
}
MEMBERS = "/workspaces/current/members"


@dataclass
class RecordedServer:
    """Answers as a recorded server did; `gone` are paths that it has no more."""

    version: str
    names: dict[tuple[str, str], str] = field(default_factory=lambda: dict(ROUTES))
    gone: tuple[str, ...] = ()
    told: str | None = None
    asked: list[tuple[str, str]] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/console/api")
        if path != "/ping":
            self.asked.append((request.method, path))
        response = self._answer(request.method, path)
        response.headers["x-version"] = self.told or self.version.replace("main-2026-08", "1.16.1")
        return response

    def _answer(self, method: str, path: str) -> httpx.Response:
        if path in self.gone:
            return exchange("main-2026-08", "auth", "workspace-current").response()
        if path == MEMBERS:
            # Recorded lists are cut; these hold the account that asks.
            name = "list" if self.version in ("1.7.2", "1.12.1") else "list-before"
            return exchange(self.version, "members", name).response()
        name = self.names.get((method, path), "login-ok")
        version = "1.12.1" if name == "login-ok" and self.told else self.version
        return exchange(version, "auth", name).response()

    def asked_for_workspace(self) -> list[tuple[str, str]]:
        """The requests that ask for the workspace, in their order."""
        return [one for one in self.asked if one[1].startswith("/workspaces")]


@pytest.mark.parametrize(
    ("version", "asked"),
    [
        ("1.7.2", [("GET", CURRENT)]),
        ("1.12.1", [("POST", CURRENT)]),
        ("1.16.1", [("POST", CURRENT)]),
        ("main-2026-08", [("POST", CURRENT), ("GET", CURRENT), ("GET", SUMMARY)]),
    ],
)
def test_current_workspace_is_told_by_what_the_server_has(
    version: str, asked: list[tuple[str, str]]
) -> None:
    """1.16.1 and main tell the same version: the route that answers counts, not the version."""
    server = RecordedServer(version)

    workspace = client(server).account.current_workspace()

    assert server.asked_for_workspace() == asked
    assert (
        workspace.workspace_id
        == exchange(version, "auth", "workspaces").body["workspaces"][0]["id"]
    )
    assert (workspace.role, workspace.is_current) == ("owner", True)
    assert workspace.extra == {}


def test_route_that_answered_is_asked_from_then_on() -> None:
    """The routes that are not there are asked once per client, not before every list."""
    server = RecordedServer("main-2026-08")
    account = client(server).account
    account.current_workspace()
    server.asked.clear()

    account.current_workspace()

    assert server.asked == [("GET", SUMMARY)]
    assert account.is_summarised


def test_route_that_goes_while_we_run_is_replaced() -> None:
    """A server that is upgraded under a long run is asked as a new one."""
    server = RecordedServer("1.16.1")
    account = client(server).account
    before = account.current_workspace().workspace_id
    server.gone = (CURRENT,)

    assert account.current_workspace().workspace_id == before


@pytest.mark.parametrize("version", RECORDED)
def test_workspace_and_role_without_their_routes(version: str) -> None:
    """When both routes are gone, the list tells the workspace and the members tell the role."""
    server = RecordedServer(version, gone=(CURRENT, SUMMARY))
    account = client(server).account

    workspace = account.current_workspace()

    assert (workspace.name, workspace.is_current) == ("Lab Owner's Workspace", True)
    assert account.role() == "owner"


@pytest.mark.parametrize("role", ["normal", "editor", "admin", "dsop"])
@pytest.mark.parametrize("version", ["1.16.1", "main-2026-08"])
def test_every_role_is_told(version: str, role: str) -> None:
    """The answer of a member of each role tells that role."""
    names = {
        **ROUTES,
        ("POST", CURRENT): f"workspace-current-post-as-{role}",
        ("GET", SUMMARY): f"workspace-current-summary-as-{role}",
    }

    told = client(RecordedServer(version, names=names)).account.role()

    assert told == ("dataset_operator" if role == "dsop" else role)


def test_version_in_between_is_asked_both_ways() -> None:
    """Where the version does not tell, a 405 leads to the other method."""
    server = RecordedServer("1.7.2", told="1.10.0")

    client(server).account.current_workspace()

    assert server.asked_for_workspace() == [("POST", CURRENT), ("GET", CURRENT)]


@pytest.mark.parametrize("situation", ["archived-workspace", "no-workspace"])
@pytest.mark.parametrize("version", ["1.16.1", "main-2026-08"])
def test_session_without_a_workspace_says_so(version: str, situation: str) -> None:
    """A session goes on while its workspace is archived or its account removed: one login tells."""
    names = {
        ("GET", "/account/profile"): f"{situation}-profile",
        ("POST", CURRENT): {
            "archived-workspace": "archived-workspace-post",
            "no-workspace": "no-workspace-current-post",
        }[situation],
        ("GET", SUMMARY): f"{situation}-summary",
        ("GET", "/workspaces"): f"{situation}-workspaces",
        ("GET", CURRENT): "workspace-current",
        ("POST", "/refresh-token"): "refresh-invalid",
    }
    login = (
        "archived-workspace-login" if situation == "archived-workspace" else "login-no-workspace"
    )
    server = RecordedServer(version, names=names)
    dify = client(server)
    _ = dify.server_version
    with contextlib.suppress(DifyError):
        dify.apps.page()  # the session is made while the account still has its workspace
    server.names[("POST", "/login")] = login

    with pytest.raises(LoginRefused, match="in no workspace: it was removed from it, or") as caught:
        dify.account.current_workspace()

    assert "archived" in str(caught.value)
    assert server.asked.count(("POST", "/login")) == 2


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


@pytest.mark.parametrize("version", EVERY_VERSION)
def test_our_role_is_asked_each_time(world: World, version: str) -> None:
    """An owner may change it between two runs."""
    dify = client_of(SimulatedDify(world, version))
    before = dify.account.role()

    world.set_role("admin")

    assert (before, dify.account.role()) == ("owner", "admin")


def test_an_answer_without_a_role_is_told() -> None:
    """No role is no permission: nobody guesses."""
    answer = {**PROFILE, "role": None, "accounts": [{"id": "another", "role": "owner"}]}
    server = PretendServer(answer=lambda request: httpx.Response(200, json=answer))

    with pytest.raises(UnexpectedAnswer, match="role"):
        client(server).account.role()
