"""Sends recorded requests to a simulated server of the same version, as the same kind of person."""

from __future__ import annotations

from base64 import b64encode
from re import fullmatch, search, sub

import httpx

from dify_etl_tests.simulated.contract_world import EMAILS, Casting, ContractWorld
from dify_etl_tests.simulated.recorded_exchanges import Exchange
from dify_simulated import SimulatedDify
from dify_simulated.versions import ServerVersion

BASE = "http://dify.test"

_PEOPLE = {
    "normal": "normal.user@dify.test",
    "editor": "eddie@dify.test",
    "dataset-operator": "datasets@dify.test",
    "dataset_operator": "datasets@dify.test",
}
# Who holds a token of the recordings of 1.16.1 and main; all others are the owner's.
_OF_TOKEN = {
    "jwt-0003": "normal.user@dify.test",
    "jwt-0005": "eddie@dify.test",
    "jwt-0007": "admin@dify.test",
    "jwt-0009": "datasets@dify.test",
}


class Replay:
    """One simulated server with the cast of the recordings."""

    def __init__(self, version: str) -> None:
        self.cast = ContractWorld(newest=ServerVersion(version).answers_by_models)
        # A document that is retried is done before the next request, as it was on main.
        at_once = 0.0 if ServerVersion(version).keeps_datasets_private else None
        self.dify = SimulatedDify(self.cast.world, version, indexing_seconds=at_once)
        self.casting = Casting(version, self.cast)
        self._people: dict[str, httpx.Client] = {}

    @property
    def uses_cookies(self) -> bool:
        """Whether this version has the cookie session."""
        return self.dify.version.since(1, 9, 2)

    def client(self, *, signed_in_as: str | None) -> httpx.Client:
        """A client of the simulated server; a person stays signed in."""
        if signed_in_as is None:
            return httpx.Client(transport=httpx.WSGITransport(app=self.dify), base_url=BASE)
        if signed_in_as not in self._people:
            client = self.client(signed_in_as=None)
            self.sign_in(client, signed_in_as)
            self._people[signed_in_as] = client
        return self._people[signed_in_as]

    def sign_in(self, client: httpx.Client, email: str) -> httpx.Response:
        """Log a person in and let the client show it from then on."""
        password = self.cast.world.account.password or ""
        if self.uses_cookies:
            password = b64encode(password.encode()).decode()
        answer = client.post("/console/api/login", json={"email": email, "password": password})
        answer.raise_for_status()
        if self.uses_cookies:
            client.headers["X-CSRF-Token"] = client.cookies["csrf_token"]
        else:
            token = answer.json()["data"]["access_token"]
            client.headers["Authorization"] = f"Bearer {token}"
        return answer

    def forget_people(self) -> None:
        """Let everybody sign in again with the next request."""
        self._people.clear()

    def person_of(self, item: Exchange) -> str | None:
        """Who sent a recorded request: nobody, the owner, or the member that the name tells."""
        if not {"cookie", "authorization"} & item.headers.keys():
            return None
        if self.dify.version.since(1, 16):
            told = search(r"access_token=([^;]+)", item.headers.get("cookie", ""))
            return _OF_TOKEN.get(told.group(1) if told else "", self.cast.world.account.email)
        named = sub(r"^list-(?=normal|dataset)", "as-", item.name)
        for role, email in _PEOPLE.items():
            if f"as-{role}" in named or item.name.endswith(f"me-{role}"):
                return email
        return self.cast.world.account.email

    def get(self, item: Exchange) -> httpx.Response:
        """Replay a recorded GET."""
        self._prepare(item)
        person = None if item.area == "service-api" else self.person_of(item)
        query: list[tuple[str, str | int | float | bool | None]] = [
            (name, self.casting.replaced(value)) for name, value in item.query
        ]
        headers = self._service_key(item) if item.area == "service-api" else {}
        return self.client(signed_in_as=person).get(
            self.casting.path_of(item), params=query, headers=headers
        )

    def set_switches(self, item: Exchange) -> None:
        """Put the server into the state that area and name of an exchange tell."""
        self.dify.plugin_daemon_down = item.area == "plugin-daemon-down"
        self.dify.providers_in_cache = item.name.endswith("with-providers-in-the-cache")
        told = fullmatch("api-keys-list-masked-(dots|stars)", item.name)
        self.dify.mask_keys = told.group(1) if told else False

    def _prepare(self, item: Exchange) -> None:
        """Put the server and a chatflow run into the state that the name of an exchange tells."""
        self.set_switches(item)
        told = fullmatch(
            "chatflow-conversations-with-a-(paused|running|scheduled|stopped)-run", item.name
        )
        run_id = self.cast.ids["chatflow run succeeded"]
        self.cast.world.set_run_status(run_id, told.group(1) if told else "succeeded")

    def _service_key(self, item: Exchange) -> dict[str, str]:
        """A key that works, or one that was deleted."""
        world = self.cast.world
        kind = "dataset" if "datasets" in item.path else "app"
        key = next(row for row in world.api_keys.values() if row.type == kind)
        gone = any(told in item.name for told in ("deleted", "after-delete", "unknown"))
        return {"Authorization": f"Bearer {'app-gone' if gone else key.token}"}

    def sent_body(self, item: Exchange) -> dict[str, object]:
        """The recorded body with simulated e-mail addresses and passwords."""
        body = dict(item.sent) if isinstance(item.sent, dict) else {}
        if "email" in body:
            body["email"] = EMAILS.get(str(body["email"]), body["email"])
        right = self.cast.world.account.password or ""
        passwords = {"Difylab2026": right}
        if self.uses_cookies:
            passwords["RGlmeWxhYjIwMjY="] = b64encode(right.encode()).decode()
        if body.get("password") in passwords:
            body["password"] = passwords[str(body["password"])]
        return body
