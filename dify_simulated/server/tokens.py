"""Access, CSRF and refresh tokens of the simulated server.

Access and CSRF tokens are real JWTs (HS256) with Dify's claims, so that a client may read `exp`.
They are stateless: logging out does not revoke them. Refresh tokens are opaque and single use.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from json import dumps, loads
from secrets import token_hex

REFRESH_SECONDS = 30 * 86_400


@dataclass(frozen=True)
class TokenSet:
    """What a login or a refresh hands out."""

    access: str
    refresh: str
    csrf: str

    def __repr__(self) -> str:
        return "TokenSet(***)"


class TokenExpired(Exception):
    """The token was good once."""


class TokenInvalid(Exception):
    """The token was never good."""


class Tokens:
    """Makes and checks tokens. `access_seconds` is the lifetime of access and CSRF tokens."""

    def __init__(self, access_seconds: int) -> None:
        self.access_seconds = access_seconds
        self._secrets = [token_hex(16)]
        self._accounts: dict[str, tuple[str, datetime]] = {}
        self._latest: dict[str, str] = {}

    def issue(self, account_id: str, *, at: datetime) -> TokenSet:
        """Three fresh tokens for an account. Earlier refresh tokens stay good."""
        exp = int(at.timestamp()) + self.access_seconds
        access = {
            "user_id": account_id,
            "exp": exp,
            "iss": "SELF_HOSTED",
            "sub": "Console API Passport",
        }
        refresh = token_hex(64)
        self._accounts[refresh] = (account_id, at + timedelta(seconds=REFRESH_SECONDS))
        self._latest[account_id] = refresh
        return TokenSet(self._sign(access), refresh, self._sign({"exp": exp, "sub": account_id}))

    def expire(self) -> None:
        """Let every access and CSRF token that is out expire now."""
        self._secrets.append(token_hex(16))

    def account_of_access(self, token: str, *, at: datetime) -> str:
        """The account of an access token. Raises TokenExpired or TokenInvalid."""
        claims = self._claims(token, at)
        account_id = claims.get("user_id")
        if not isinstance(account_id, str):
            raise TokenInvalid
        return account_id

    def is_csrf_of(self, account_id: str, token: str, *, at: datetime) -> bool:
        """Whether a CSRF token is good and belongs to the account."""
        try:
            return self._claims(token, at).get("sub") == account_id
        except (TokenExpired, TokenInvalid):
            return False

    def spend_refresh(self, token: str, *, at: datetime) -> str | None:
        """The account of a refresh token, which is used up by this; None when it is no good."""
        account_id, until = self._accounts.pop(token, ("", at))
        return account_id if until > at else None

    def forget(self, account_id: str) -> None:
        """Log out: only the latest refresh token of the account goes."""
        self._accounts.pop(self._latest.pop(account_id, ""), None)

    def _sign(self, claims: dict[str, object]) -> str:
        head = _part({"alg": "HS256", "typ": "JWT"})
        body = f"{head}.{_part(claims)}"
        return f"{body}.{_signature(body, self._secrets[-1])}"

    def _claims(self, token: str, at: datetime) -> dict[str, object]:
        body, _, signature = token.rpartition(".")
        ages = [
            number for number, key in enumerate(self._secrets) if _matches(body, key, signature)
        ]
        if not ages:
            raise TokenInvalid
        claims = loads(urlsafe_b64decode(body.partition(".")[2] + "=="))
        if not isinstance(claims, dict):
            raise TokenInvalid
        if ages[0] < len(self._secrets) - 1 or claims["exp"] <= at.timestamp():
            raise TokenExpired
        return claims


def _part(value: dict[str, object]) -> str:
    return urlsafe_b64encode(dumps(value, separators=(",", ":")).encode()).rstrip(b"=").decode()


def _signature(body: str, key: str) -> str:
    digest = hmac.new(key.encode(), body.encode(), sha256).digest()
    return urlsafe_b64encode(digest).rstrip(b"=").decode()


def _matches(body: str, key: str, signature: str) -> bool:
    return hmac.compare_digest(_signature(body, key).encode(), signature.encode())
