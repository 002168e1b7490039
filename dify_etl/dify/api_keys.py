"""API keys of apps and of the workspace's datasets: listed without their secrets, made, deleted.

Up to 1.16.1 Dify lists every key in the clear; later servers and proxies before them show parts.
The token is turned into a masked form and a fingerprint before a record is made, and kept nowhere;
only a new key brings its token along.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import SecretStr

from dify_etl.dify import routes
from dify_etl.dify.errors import NotFound, UnexpectedAnswer
from dify_etl.dify.http.session import Session
from dify_etl.dify.http.writes import Written, record_written, unanswered
from dify_etl.dify.json_text import JsonText
from dify_etl.dify.lists import batch_of
from dify_etl.dify.record import Batch, Id, Instant, JsonRow, KeyRecord, aliased, optional

MASK = "..."
SHOWN_START, SHOWN_END = 5, 4  # the form in which the newest servers list keys
# What stands for hidden characters: whatever a key cannot hold, or a long line of dashes.
_HIDDEN = re.compile(r"[^A-Za-z0-9_-]+|-{4,}|_{4,}")
SHORTEST_TOKEN = 16  # Dify's keys have 28 characters or more: less is a part of one
MOST_SHOWN = 12  # characters of a key that are kept of a mask, whoever made it
TELLING = 4  # characters beside the prefix by which a masked key can be told from others
MOST_KEYS = 10  # of an app, and of the datasets of a workspace


class ApiKey(KeyRecord):
    """A key of an app or of the datasets (GET apps/{id}/api-keys, datasets/api-keys)."""

    api_key_id: Id = aliased("id", description="id of the key")
    app_id: str | None = optional(description="id of the app; null for dataset keys")
    key_type: str = aliased("type", description="app or dataset")
    masked_token: str = aliased(
        "masked_token", description="first 5 and last 4 characters, or as Dify masks it"
    )
    token_fingerprint: str | None = optional(
        description="HMAC-SHA256 of the token, hex; null when Dify masks it or no key is set"
    )
    dataset_ids: JsonText | None = optional(
        description="datasets that the key is for, JSON list (newest servers)"
    )
    created_at: Instant = aliased("created_at", description="when the key was made")
    last_used_at: Instant | None = optional(
        description="last use: at most a minute late, up to an hour since 1.13", is_volatile=True
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


@dataclass(frozen=True)
class NewApiKey:
    """A key that was just made: the one moment in which every server tells its token."""

    api_key_id: str
    app_id: str | None  # None for a dataset key
    token: SecretStr
    masked_token: str
    token_fingerprint: str | None
    created_at: datetime


class ApiKeys:
    """`dify.api_keys`.

    Reading takes any member (newest: an editor), making an app key an editor, making a dataset key
    and deleting any key an admin or owner.
    """

    def __init__(self, session: Session, fingerprint_key: bytes | None) -> None:
        self._session = session
        self._fingerprint_key = fingerprint_key

    def of_app(self, app_id: str) -> Batch[ApiKey]:
        """GET /apps/{app_id}/api-keys: all keys, at most 10, in no order."""
        return self._batch(
            self._session.get(routes.APP_API_KEYS, app_id=app_id), routes.APP_API_KEYS, app_id
        )

    def of_datasets(self) -> Batch[ApiKey]:
        """GET /datasets/api-keys: all dataset keys of the workspace, at most 10."""
        return self._batch(
            self._session.get(routes.DATASET_API_KEYS), routes.DATASET_API_KEYS, None
        )

    def create_for_app(self, app_id: str) -> Written[NewApiKey]:
        """POST /apps/{app_id}/api-keys: one more key, every time.

        Count the keys first: the eleventh is refused with 400 `max_keys_exceeded` (Refused), and on
        1.7 and 1.8 with 500 (WriteUnanswered). Raises NotAllowed, NotFound.
        """
        written = self._session.write("POST", routes.APP_API_KEYS, app_id=app_id)
        return self._new_key(written, f"POST {routes.APP_API_KEYS}", app_id)

    def create_for_datasets(self) -> Written[NewApiKey]:
        """POST /datasets/api-keys: one more key for all datasets of the workspace.

        The eleventh is refused with 400 (1.0) or 500 (WriteUnanswered, seen on 1.7 and 1.12).
        """
        written = self._session.write("POST", routes.DATASET_API_KEYS)
        return self._new_key(written, f"POST {routes.DATASET_API_KEYS}", None)

    def delete_of_app(self, app_id: str, api_key_id: str) -> Written[None]:
        """DELETE /apps/{app_id}/api-keys/{id}: 204. Raises NotFound when it is gone already.

        Up to 1.12 the next call with the key gets 401. From 1.13 on a server's cache may let it
        live for 10 more minutes.
        """
        route = f"{routes.APP_API_KEYS}/{{api_key_id}}"
        written = self._session.write("DELETE", route, app_id=app_id, api_key_id=api_key_id)
        return written.holding(None)

    def delete_of_datasets(self, api_key_id: str) -> Written[None]:
        """DELETE /datasets/api-keys/{id}: as `delete_of_app`."""
        route = f"{routes.DATASET_API_KEYS}/{{api_key_id}}"
        return self._session.write("DELETE", route, api_key_id=api_key_id).holding(None)

    def token_of_app_key(self, app_id: str, api_key_id: str) -> SecretStr | None:
        """The token as the list of an app's keys shows it; None where the server masks lists.

        Raises NotFound when the key is not in the list.
        """
        answer = self._session.get(routes.APP_API_KEYS, app_id=app_id)
        return _token_in(answer, api_key_id, endpoint=f"GET {routes.APP_API_KEYS}")

    def token_of_dataset_key(self, api_key_id: str) -> SecretStr | None:
        """The same for a dataset key."""
        answer = self._session.get(routes.DATASET_API_KEYS)
        return _token_in(answer, api_key_id, endpoint=f"GET {routes.DATASET_API_KEYS}")

    def fingerprint_of(self, token: SecretStr) -> str | None:
        """The fingerprint under which lists show this token; None without a fingerprint key."""
        return fingerprint(token.get_secret_value(), self._fingerprint_key)

    def digest_of(self, value: SecretStr) -> str | None:
        """A keyed hash of whatever text, a key or not; None without a fingerprint key."""
        if self._fingerprint_key is None:
            return None
        text = value.get_secret_value().encode()
        return hmac.new(self._fingerprint_key, text, hashlib.sha256).hexdigest()

    def is_of(self, key: ApiKey, token: SecretStr) -> bool | None:
        """Whether a listed key is the one with this token; None where its mask shows too little.

        Sure where the list shows keys (and a fingerprint key is set). Where it masks them, several
        keys may look like the same token: whoever asks looks at all of them.
        """
        if key.token_fingerprint is not None:
            return key.token_fingerprint == self.fingerprint_of(token)
        return looks_like(key.masked_token, token)

    def _batch(self, answer: Any, route: str, app_id: str | None) -> Batch[ApiKey]:
        return batch_of(ApiKey, answer, endpoint=f"GET {route}", context=self._context(app_id))

    def _new_key(
        self, written: Written[Any], endpoint: str, app_id: str | None
    ) -> Written[NewApiKey]:
        """The key in the answer. Raises WriteUnanswered: a key that nobody can read was made."""
        context = self._context(app_id)
        key = record_written(written, ApiKey, endpoint=endpoint, context=context).value
        token = written.value["token"]
        if is_masked(token):
            error = UnexpectedAnswer(
                "the new key comes without its token",
                where=endpoint,
                hint="Delete that key: nobody can read its token any more.",
            )
            raise unanswered(error, status=written.status)
        new = NewApiKey(
            api_key_id=key.api_key_id,
            app_id=app_id,
            token=SecretStr(token),
            masked_token=key.masked_token,
            token_fingerprint=key.token_fingerprint,
            created_at=key.created_at,
        )
        return written.holding(new)

    def _context(self, app_id: str | None) -> dict[str, Any]:
        return {"app_id": app_id, "fingerprint_key": self._fingerprint_key}


def _token_in(answer: Any, api_key_id: str, *, endpoint: str) -> SecretStr | None:
    for row in answer.get("data") or () if isinstance(answer, dict) else ():
        if row.get("id") == api_key_id:
            token = row.get("token")
            is_whole = isinstance(token, str) and not is_masked(token)
            return SecretStr(token) if is_whole else None
    raise NotFound(
        f"key {api_key_id} is not among the keys",
        where=endpoint,
        hint="It was deleted, or belongs to another app.",
    )


def is_masked(token: str) -> bool:
    """Whether a text is a part of a key, in any form of masking: `app-a...x0vk`, `app-a****x0vk`.

    A whole key holds letters, digits, `-` and `_` alone; a text that is too short is a part too.
    """
    return len(token) < SHORTEST_TOKEN or _HIDDEN.search(token) is not None


def looks_like(mask: str, token: SecretStr) -> bool | None:
    """Whether a token has the ends, and what else is shown, of a masked form of any shape.

    None where they agree, but hardly more than the prefix is shown. How many characters are hidden
    is not told by the length of a mask.
    """
    whole, shown = token.get_secret_value(), _HIDDEN.split(mask)
    if len(shown) == 1:  # cut off, without a sign that stands for the rest
        shown.append("")
    if is_masked(whole) or not re.fullmatch(".+".join(map(re.escape, shown)), whole):
        return False
    prefix = len(whole.split("-")[0]) + 1
    telling = max(len(shown[0]) - prefix, 0) + sum(len(part) for part in shown[1:])
    return True if telling >= TELLING else None


def masked(token: str) -> str:
    """`app-aIobu…` as `app-a...x0vk`; what Dify has masked already stays, if little is shown."""
    shown = _HIDDEN.split(token)
    if len(shown) > 1 and sum(len(part) for part in shown) <= MOST_SHOWN:
        return token
    if len(token) < SHORTEST_TOKEN:
        return f"{token[:SHOWN_START]}{MASK}"
    return f"{token[:SHOWN_START]}{MASK}{token[-SHOWN_END:]}"


def fingerprint(token: str, key: bytes | None) -> str | None:
    """A keyed hash that tells keys apart without telling them."""
    if key is None or is_masked(token):
        return None
    return hmac.new(key, token.encode(), hashlib.sha256).hexdigest()
