"""API keys of apps and of the workspace's datasets, without their secrets.

Servers before the newest list every key in the clear. The token is turned into a masked form and
a fingerprint before a record is made, and kept nowhere.
"""

import hashlib
import hmac
from collections.abc import Mapping
from typing import Any

from dify_etl.dify.lists import batch_of
from dify_etl.dify.record import (
    Batch,
    Id,
    Instant,
    JsonRow,
    JsonText,
    KeyRecord,
    aliased,
    optional,
)
from dify_etl.dify.session import Session

MASK = "..."
SHOWN_START, SHOWN_END = 5, 4  # the form in which the newest servers list keys


class ApiKey(KeyRecord):
    """A key of an app or of the datasets (GET apps/{id}/api-keys, datasets/api-keys)."""

    api_key_id: Id = aliased("id", description="id of the key")
    app_id: str | None = optional(description="id of the app; null for dataset keys")
    key_type: str = aliased("type", description="app or dataset")
    masked_token: str = aliased("masked_token", description="first 5 and last 4 characters")
    token_fingerprint: str | None = optional(
        description="HMAC-SHA256 of the token, hex; null when Dify masks it or no key is set"
    )
    dataset_ids: JsonText | None = optional(
        description="datasets that the key is for, JSON list (newest servers)"
    )
    created_at: Instant = aliased("created_at", description="when the key was made")
    last_used_at: Instant | None = optional(
        description="last use: at most a minute late, up to an hour since 1.13"
    )

    @classmethod
    def prepare(cls, row: JsonRow, context: Mapping[str, Any]) -> JsonRow:
        """Take the token out of the row."""
        rest = {key: row[key] for key in row if key != "token"}
        token = row.get("token")
        if isinstance(token, str):
            rest["masked_token"] = masked(token)
            rest["token_fingerprint"] = fingerprint(token, context.get("fingerprint_key"))
        return {**rest, "app_id": context.get("app_id")}


class ApiKeys:
    """`dify.api_keys`."""

    def __init__(self, session: Session, fingerprint_key: bytes | None) -> None:
        self._session = session
        self._fingerprint_key = fingerprint_key

    def of_app(self, app_id: str) -> Batch[ApiKey]:
        """GET /apps/{app_id}/api-keys: all keys, at most 10, in no order."""
        route = "/apps/{app_id}/api-keys"
        return self._batch(self._session.get(route, app_id=app_id), route, app_id)

    def of_datasets(self) -> Batch[ApiKey]:
        """GET /datasets/api-keys: all dataset keys of the workspace, at most 10."""
        route = "/datasets/api-keys"
        return self._batch(self._session.get(route), route, None)

    def _batch(self, answer: Any, route: str, app_id: str | None) -> Batch[ApiKey]:
        context = {"app_id": app_id, "fingerprint_key": self._fingerprint_key}
        return batch_of(ApiKey, answer, endpoint=f"GET {route}", context=context)


def masked(token: str) -> str:
    """`app-aIobu…` as `app-a...x0vk`; a token that Dify has masked already stays as it is."""
    if MASK in token:
        return token
    return f"{token[:SHOWN_START]}{MASK}{token[-SHOWN_END:]}"


def fingerprint(token: str, key: bytes | None) -> str | None:
    """A keyed hash that tells keys apart without telling them."""
    if key is None or MASK in token:
        return None
    return hmac.new(key, token.encode(), hashlib.sha256).hexdigest()
