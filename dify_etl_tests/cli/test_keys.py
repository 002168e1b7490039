"""`dify-etl keys` over a socket: shown first, done with the plan's id, and no key anywhere."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from dify_etl_tests.cli.command_line import Answer, ServedDify, Shell
from dify_etl_tests.cli.small_policies import bots_key, let_another_consumer_hold_it
from dify_etl_tests.cli.small_servers import served, small_world, some_days_ago
from dify_etl_tests.sync.small_worlds import app_of
from dify_simulated.world.rows import ApiKey, App


@pytest.fixture
def rotated_dify() -> Iterator[ServedDify]:
    """A small Dify of the test's own."""
    with served(small_world()) as server:
        yield server


@pytest.fixture
def old_key(rotated_dify: ServedDify, tmp_path: Path) -> ApiKey:
    """The key that the bot uses today."""
    return bots_key(rotated_dify.world, tmp_path)


@pytest.fixture
def own(rotated_dify: ServedDify, old_key: ApiKey, tmp_path: Path) -> Shell:
    """A folder with a policy and the bot's key."""
    return Shell(tmp_path, rotated_dify.variables(some_days_ago(3)))


def app_keys(dify: ServedDify, app: App) -> list[ApiKey]:
    return [key for key in dify.world.api_keys.values() if key.app_id == app.id]


def plan_id(answer: Answer) -> str:
    (found,) = set(re.findall(r"--apply ([0-9a-f]{12})", answer.out))
    return str(found)


def test_a_leaked_key_is_replaced_from_the_terminal(
    own: Shell, rotated_dify: ServedDify, old_key: ApiKey
) -> None:
    """Plan, rotate, status, list: the bot has a new key, and nothing ever showed one."""
    app = app_of(rotated_dify.world, "chat")
    words = ["keys", "rotate", "--compromised", old_key.id]
    shown = own.run(*words)
    assert app_keys(rotated_dify, app) == [old_key]
    done = own.run(*words, "--apply", plan_id(shown))
    assert done.code == 0, done.text
    (new,) = app_keys(rotated_dify, app)
    assert (own.folder / "bot.env").read_text() == f"DIFY_KEY={new.token}\n"
    status, listed = own.run("keys", "status", "--all"), own.run("keys", "list")
    assert "proven" in status.out
    assert "current" in listed.out
    texts = "".join(one.text for one in (shown, done, status, listed))
    files = b"".join(p.read_bytes() for p in own.home.rglob("*") if p.is_file())
    for key in (old_key, new):
        assert key.token not in texts
        assert key.token.encode() not in files


def test_a_rotation_is_taken_back_from_the_terminal(
    own: Shell, rotated_dify: ServedDify, old_key: ApiKey
) -> None:
    """Within the grace period the bot gets its old key again."""
    words = ["keys", "rotate", "--target", "the chat app"]
    done = own.run(*words, "--apply", plan_id(own.run(*words)))
    (rotation,) = re.findall(r"rotation ([0-9a-f]{12})", done.out)
    words = ["keys", "rollback", rotation]
    taken = own.run(*words, "--apply", plan_id(own.run(*words)))
    assert "rolled_back" in taken.out, taken.text
    assert (own.folder / "bot.env").read_text() == f"DIFY_KEY={old_key.token}\n"
    assert app_keys(rotated_dify, app_of(rotated_dify.world, "chat")) == [old_key]


def test_rollback_that_does_not_come_to_its_end_fails(own: Shell, rotated_dify: ServedDify) -> None:
    """The new key cannot be deleted: whoever asked for that must hear of it."""
    words = ["keys", "rotate", "--target", "the chat app"]
    done = own.run(*words, "--apply", plan_id(own.run(*words)))
    (rotation,) = re.findall(r"rotation ([0-9a-f]{12})", done.out)
    words = ["keys", "rollback", rotation]
    agreed = plan_id(own.run(*words))
    let_another_consumer_hold_it(rotated_dify.world, own.folder)
    taken = own.run(*words, "--apply", agreed)
    assert "withdrawing" in taken.out, taken.text
    assert "still gets it" in taken.out
    assert taken.code == 1


def test_status_says_what_cannot_be_taken_back(own: Shell) -> None:
    """The entry was empty: nobody learns that only when he needs it."""
    (own.folder / "bot.env").unlink()
    words = ["keys", "rotate", "--target", "the chat app"]
    own.run(*words, "--apply", plan_id(own.run(*words)))
    status = own.run("keys", "status")
    assert "cannot be taken back: the entry never held the old key" in status.out
    assert json.loads(own.run("keys", "status", "--json").out)["rotations"][0]["has_no_way_back"]


def test_rotations_reach_the_warehouse(own: Shell) -> None:
    """ops.key_rotations and ops.audit are filled once a sync has made the warehouse."""
    assert own.run("sync").code == 0
    words = ["keys", "rotate", "--target", "the chat app"]
    own.run(*words, "--apply", plan_id(own.run(*words)))
    with duckdb.connect(own.home / "live.duckdb", read_only=True) as warehouse:
        rows = warehouse.execute("SELECT state, consumer FROM ops.key_rotations").fetchall()
        audited = warehouse.execute("SELECT count(*) FROM ops.audit").fetchall()
    assert rows == [("overlap", "bot")]
    assert audited[0][0] > 4


def test_without_a_policy_the_command_says_so(own: Shell) -> None:
    """Exit code 2, and where a policy is looked for."""
    answer = own.run("keys", "plan", "--policy", "missing.toml")
    assert answer.code == 2
    assert "missing.toml" in answer.text


def test_keys_are_listed_before_there_is_a_policy(own: Shell, old_key: ApiKey) -> None:
    """Whoever writes the first policy needs the ids; all keys belong to nobody yet."""
    (own.folder / "rotation.toml").unlink()
    answer = own.run("keys", "list")
    assert answer.code == 0, answer.text
    assert old_key.id in answer.out
    assert "unowned" in answer.out


@pytest.mark.parametrize("words", [("plan",), ("rotate",), ("status",)], ids=" ".join)
def test_a_twin_of_an_app_does_not_stop_rotation_unheard(
    own: Shell, rotated_dify: ServedDify, words: tuple[str, ...]
) -> None:
    """Whoever gives an app the name of a target's: exit code 1, and both ids are named."""
    app, twin = app_of(rotated_dify.world, "chat"), app_of(rotated_dify.world, "workflow")
    assert own.run("keys", *words).code == 0
    twin.name = app.name
    answer = own.run("keys", *words)
    assert answer.code == 1, answer.text
    assert app.id in answer.text
    assert twin.id in answer.text


def test_a_twin_is_told_beside_a_plan_that_is_applied(
    own: Shell, rotated_dify: ServedDify, old_key: ApiKey
) -> None:
    """What can be rotated is; exit code 1 all the same, since a target was passed over."""
    world, policy = rotated_dify.world, own.folder / "rotation.toml"
    other = world.add_app(
        name="another",
        mode="chat",
        at=world.now(),
        created_by=world.account_id,
        tenant_id=world.workspace_id,
    )
    policy.write_text(
        policy.read_text()
        + '\n[[targets]]\nconsumer = "site"\napp = "another"\nsink = "bot"\nentry = "SITE_KEY"\n'
    )
    app_of(world, "workflow").name = "another"
    words = ["keys", "rotate", "--compromised", old_key.id]
    done = own.run(*words, "--apply", plan_id(own.run(*words)))
    assert done.code == 1
    assert "proven" in done.out
    assert other.id in done.text


def test_app_under_the_name_of_another_gets_no_entry(
    own: Shell, rotated_dify: ServedDify, old_key: ApiKey
) -> None:
    """An editor swaps the names of two apps: the bot's entry keeps its key, and no key is made."""
    chat, other = app_of(rotated_dify.world, "chat"), app_of(rotated_dify.world, "workflow")
    chat.name, other.name = other.name, chat.name
    before = set(rotated_dify.world.api_keys)
    shown = own.run("keys", "rotate", "--target", "the chat app")
    assert shown.code == 1
    assert "no key of this target" in shown.text
    assert set(rotated_dify.world.api_keys) == before
    assert (own.folder / "bot.env").read_text() == f"DIFY_KEY={old_key.token}\n"


def test_an_entry_is_adopted_from_the_terminal(own: Shell, rotated_dify: ServedDify) -> None:
    """Shown first, done with the plan's id; then the rotation may go on."""
    (own.folder / "bot.env").write_text("DIFY_KEY=put-it-here\n")
    words = ["keys", "adopt", "the chat app / bot"]
    shown = own.run(*words)
    assert str(own.folder / "bot.env") in shown.out
    assert own.run(*words, "--apply", plan_id(shown)).code == 0
    words = ["keys", "rotate", "--target", "the chat app"]
    done = own.run(*words, "--apply", plan_id(own.run(*words)))
    assert "overlap" in done.out, done.text
    assert "keys.adopt" in own.run("audit", "list", COLUMNS="300").out
