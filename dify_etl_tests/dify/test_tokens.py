"""Sessions are kept safely: private files, whole replacement, locks between processes."""

import json
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
import redis

from dify_etl.dify.errors import TokenStoreFailed
from dify_etl.dify.http.redis_tokens import RedisTokenStore
from dify_etl.dify.http.token_stores import token_store_from
from dify_etl.dify.http.tokens import (
    FileTokenStore,
    MemoryTokenStore,
    SessionTokens,
    TokenStore,
)
from dify_etl_tests.dify.pretend_server import PretendServer
from dify_etl_tests.dify.recordings import client

KEY = "https://dify.test:owner@difylab.test"
TOKENS = SessionTokens(
    "access-secret", "refresh-secret", "csrf-secret", "__Host-", datetime(2026, 11, 20, tzinfo=UTC)
)


@pytest.fixture(params=["memory", "file", pytest.param("redis", marks=pytest.mark.redis)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> TokenStore:
    if request.param == "memory":
        return MemoryTokenStore()
    if request.param == "file":
        return FileTokenStore(tmp_path / "session.json")
    return RedisTokenStore(request.getfixturevalue("redis_url"))


def test_gives_back_what_was_kept(store: TokenStore) -> None:
    """A kept session comes back whole."""
    with store.locked(KEY):
        store.save(KEY, TOKENS)

    assert store.load(KEY) == TOKENS


def test_servers_and_accounts_do_not_mix(store: TokenStore) -> None:
    """Another account's session is another entry."""
    store.save(KEY, TOKENS)
    store.save("https://dify.test:other@difylab.test", SessionTokens("other"))

    assert store.load(KEY) == TOKENS
    assert store.load("https://elsewhere.test:owner@difylab.test") is None


def test_lock_admits_one_at_a_time(store: TokenStore) -> None:
    """Whoever comes second waits until the first is done."""
    order: list[str] = []
    held = threading.Event()

    def second() -> None:
        held.wait()
        with store.locked(KEY):
            order.append("second")

    thread = threading.Thread(target=second)
    thread.start()
    with store.locked(KEY):
        held.set()
        thread.join(timeout=0.1)
        order.append("first")
    thread.join()

    assert order == ["first", "second"]


def test_file_is_private(tmp_path: Path) -> None:
    """Only its owner may read the file of sessions."""
    path = tmp_path / "home" / "session.json"
    store = FileTokenStore(path)

    with store.locked(KEY):
        store.save(KEY, TOKENS)

    assert path.stat().st_mode & 0o777 == 0o600
    assert [file.name for file in path.parent.iterdir() if ".json." in file.name] == [
        "session.json.lock"
    ]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"KEY": 1}', '{"KEY": {"access_token": "a"}}'])
def test_damaged_file_means_no_session(tmp_path: Path, text: str) -> None:
    """A file that was cut off or is of another time leads to a new login, not to a crash."""
    path = tmp_path / "session.json"
    path.write_text(text.replace("KEY", KEY))

    assert FileTokenStore(path).load(KEY) is None


def test_file_lock_gives_up_in_time(tmp_path: Path) -> None:
    """A process that holds the lock for ever is reported."""
    path = tmp_path / "session.json"
    holder, waiter = FileTokenStore(path), FileTokenStore(path, lock_seconds=0.05)

    with (
        holder.locked(KEY),
        pytest.raises(TokenStoreFailed, match="another process"),
        waiter.locked(KEY),
    ):
        pass


def test_file_in_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    """A home that is a file is named with what to do."""
    (tmp_path / "home").write_text("")
    store = FileTokenStore(tmp_path / "home" / "session.json")

    with pytest.raises(TokenStoreFailed) as caught, store.locked(KEY):
        pass

    assert "permissions" in caught.value.hint


@pytest.mark.redis
def test_redis_entry_ends_by_itself(redis_url: str) -> None:
    """A session in Redis does not outlive the refresh token."""
    RedisTokenStore(redis_url).save(KEY, TOKENS)

    with redis.Redis.from_url(redis_url) as connection:
        ttl = connection.ttl(f"dify-etl:session:{KEY}")
    assert isinstance(ttl, int)
    assert 0 < ttl <= 30 * 24 * 3600


@pytest.mark.redis
def test_clients_on_two_machines_share_a_session_in_redis(redis_url: str) -> None:
    """The second client begins with the first one's session, and takes over its refresh."""
    server = PretendServer()
    first, second = (client(server, token_store=RedisTokenStore(redis_url)) for _ in range(2))
    first.account.profile()
    server.expire()

    first.account.profile()
    second.account.profile()

    assert (server.count("/login"), server.count("/refresh-token")) == (1, 1)


def test_unreachable_redis_says_where_without_the_password() -> None:
    """The error names host and port, and no secret of the address."""
    store = RedisTokenStore("redis://:redis-secret@127.0.0.1:1/0")

    with pytest.raises(TokenStoreFailed) as caught:
        store.load(KEY)

    assert "127.0.0.1:1" in str(caught.value)
    assert "redis-secret" not in str(caught.value) + repr(store) + repr(caught.value)


def test_setting_names_the_store(tmp_path: Path) -> None:
    """memory, file, file:/path and redis:// are understood."""
    path = tmp_path / "elsewhere.json"

    chosen = token_store_from(f"file:{path}", tmp_path)
    chosen.save(KEY, TOKENS)

    assert json.loads(path.read_text())[KEY]["csrf_token"] == "csrf-secret"
    assert isinstance(token_store_from("memory", tmp_path), MemoryTokenStore)
    assert isinstance(token_store_from("file", tmp_path), FileTokenStore)
    assert isinstance(token_store_from("redis://localhost", tmp_path), RedisTokenStore)


def test_unknown_store_is_refused_without_echo(tmp_path: Path) -> None:
    """A setting that is no store is refused, and not repeated: it may hold a password."""
    with pytest.raises(TokenStoreFailed) as caught:
        token_store_from("postgres://:secret@x", tmp_path)

    assert "secret" not in str(caught.value)


def test_tokens_show_nothing() -> None:
    """The repr of a session holds none of its three secrets."""
    assert "secret" not in repr(TOKENS)
