"""The store of sessions that a setting names."""

from pathlib import Path

from dify_etl.dify.http.tokens import (
    FileTokenStore,
    MemoryTokenStore,
    TokenStore,
    unknown_store,
)
from dify_etl.home import Home


def token_store_from(text: str, home: Path) -> TokenStore:
    """The store that a setting names: memory, file, file:/path, redis://host:port/0 (or rediss).

    Plain `file` means `session.json` in `home`. Raises TokenStoreFailed for anything else.
    """
    if text == "memory":
        return MemoryTokenStore()
    if text == "file":
        return FileTokenStore(Home(home).session)
    if text.startswith("file:"):
        return FileTokenStore(Path(text.removeprefix("file:").removeprefix("//")))
    if text.startswith(("redis://", "rediss://", "unix://")):
        from dify_etl.dify.http.redis_tokens import RedisTokenStore  # loads a library

        return RedisTokenStore(text)
    raise unknown_store()
