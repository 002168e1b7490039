"""Every server generation is read whole, over a real socket; what it cannot tell is said."""

from collections.abc import Iterator

import pytest
from pydantic import SecretStr

from dify_etl.dify.http.auth import AdminKeyCredentials
from dify_etl.dify.http.redis_tokens import RedisTokenStore
from dify_etl.dify.http.tokens import FileTokenStore
from dify_etl.feeds.table import FEEDS
from dify_etl.sync.opt_in import is_read
from dify_etl_tests.sync.comparison import EXPECTED, differences
from dify_etl_tests.sync.conftest import Open
from dify_etl_tests.sync.expected_values import version_of
from dify_etl_tests.sync.small_worlds import brief_world, quiet_world
from dify_etl_tests.sync.workplace import Workplace

VERSIONS = (
    *("1.0.0", "1.6.0", "1.7.2", "1.9.1", "1.9.2", "1.10.1", "1.11.0", "1.12.1", "1.13.0"),
    *("1.14.2", "1.15.0", "1.16.1", "main-2026-08"),
)
# An owner reads every version, an editor (the role that is recommended) the main generations.
EDITED = ("1.0.0", "1.9.2", "1.16.1", "main-2026-08")
READERS = [(one, "owner") for one in VERSIONS] + [(one, "editor") for one in EDITED]
# Feed and app mode of what a server before a version does not tell, with words of the reason.
UNTOLD: dict[tuple[str, str | None], tuple[tuple[int, ...], str]] = {
    ("messages", "completion"): ((99,), "the list of completion logs tells no message id"),
    ("workflow_runs", "workflow"): ((1, 9, 2), "none that another workflow called"),
    ("node_executions", "workflow"): ((1, 9, 2), "none that another workflow called"),
    ("workflow_runs", "advanced-chat"): ((1, 9, 2), "servers before 1.9.2 list no published"),
    ("node_executions", "advanced-chat"): ((1, 9, 2), "runs: servers before 1.9.2 list no"),
    ("message_feedbacks", "chat"): ((1, 10, 1), "servers before 1.10.1 export no feedback"),
    ("message_feedbacks", "agent-chat"): ((1, 10, 1), "servers before 1.10.1 export no"),
    ("message_feedbacks", "advanced-chat"): ((1, 10, 1), "servers before 1.10.1 export no"),
    ("message_feedbacks", "completion"): ((1, 10, 1), "servers before 1.10.1 export no"),
}
# From a version on: what nothing shows, or not to an editor.
HIDDEN_SINCE: dict[tuple[str, str | None], tuple[tuple[int, ...], str]] = {
    ("messages", "agent"): ((1, 15), "debugging talk of another account"),
}
HIDDEN_FROM_EDITORS: dict[tuple[str, str | None], tuple[tuple[int, ...], str]] = {
    ("datasets", None): ((1,), "only the workspace's owner is shown"),
    ("documents", None): ((1,), "only the workspace's owner is shown"),
    ("dataset_api_keys", None): ((1, 17), "not shown to this account"),
}


@pytest.fixture(params=READERS, ids="-".join)
def generation(request: pytest.FixtureRequest, workplace: Open) -> Iterator[Workplace]:
    """A workspace on a server of one version, behind a socket, read once by an account of a role.

    It has what the version knows: forms, triggers and archived runs from 1.13, agents from 1.15.
    """
    version, role = request.param
    world = brief_world(version)
    world.set_role(role)
    with workplace(world, version).listening() as place:
        place.read()
        yield place


def test_generation_is_read_whole(generation: Workplace) -> None:
    """Every raw table equals the world; what this version cannot tell, or not to this role, is
    unproven with a reason. No field is unknown, and no row is rejected.
    """
    role = generation.value("SELECT role FROM ops.source")
    hidden = hidden_things(generation, role)
    shown = tuple(one for one in EXPECTED if (one, None) not in hidden)
    assert differences(generation, shown) == []
    assert generation.rows("SELECT feed, field FROM ops.schema_drift") == []
    assert generation.rows("SELECT feed, error_path FROM ops.quarantine") == []
    version = version_of(generation.version)
    untold = {key: reason for key, (until, reason) in UNTOLD.items() if version < until}
    untold |= hidden
    found = doubts(generation)
    assert found.keys() == untold.keys()
    assert [key for key, reason in untold.items() if reason not in found[key]] == []


def hidden_things(place: Workplace, role: str) -> dict[tuple[str, str | None], str]:
    """Feed and app mode (None: of the workspace) of what is not shown, with words of the reason."""
    of_role = HIDDEN_FROM_EDITORS if role == "editor" else {}
    version = version_of(place.version)
    return {
        key: reason
        for key, (since, reason) in {**HIDDEN_SINCE, **of_role}.items()
        if version >= since
    }


def doubts(place: Workplace) -> dict[tuple[str, str | None], str]:
    """Feed and app mode of all slices that are not proven, with a reason; none of them failed."""
    found = place.rows(
        "SELECT DISTINCT s.feed, a.mode, s.state, s.reason "
        "FROM ops.slices s LEFT JOIN raw.apps a USING (app_id) WHERE s.state <> 'proven'"
    )
    assert {state for _, _, state, _ in found} <= {"unproven"}
    return {(feed, mode): reason for feed, mode, _, reason in found}


@pytest.mark.parametrize("version", ["1.7.2", "1.12.1"])
def test_admin_key_reads_the_same(workplace: Open, version: str) -> None:
    """With the admin key and a workspace id the rows are those that the owner's login gives."""
    place = workplace(brief_world(), version)
    place.credentials = AdminKeyCredentials(
        SecretStr(place.world.admin_api_key), place.world.workspace_id
    )
    with place.listening():
        place.read()
    assert differences(place) == []
    assert place.server.requests_of("/login") == []


@pytest.mark.parametrize("version", ["1.7.2", "1.10.1", "1.12.1"])
def test_second_run_reuses_the_session_of_the_file(workplace: Open, version: str) -> None:
    """In each style of session a second run does not log in again."""
    place = workplace(quiet_world(), version)
    place.token_store = FileTokenStore(place.home / "session.json")
    with place.listening():
        place.read(("apps",))
        place.read(("apps",))
    assert len(place.server.requests_of("/login")) == 1


def test_second_run_reuses_the_session_in_redis(workplace: Open, redis_url: str) -> None:
    """Two machines that share a Redis share one session."""
    place = workplace(quiet_world())
    place.token_store = RedisTokenStore(redis_url)
    place.read(("apps",))
    place.token_store = RedisTokenStore(redis_url)
    place.read(("apps",))
    assert len(place.server.requests_of("/login")) == 1


def test_expired_session_is_renewed_in_the_middle(workplace: Open) -> None:
    """When the access token expires during a sync, it is refreshed and nothing is lost."""
    place = workplace(brief_world())
    with place.opened() as sync:
        for feed in (one for one in FEEDS if is_read(one.name, place.rules)):
            place.server.expire_access_tokens()
            feed.read(sync)
    assert differences(place) == []
    assert len(place.server.requests_of("/login")) == 1
