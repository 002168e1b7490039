"""A small stand-in for Vault's KV version 2 over HTTP. No Vault server can be installed here.

It keeps versions and checks `cas` as the documentation of KV 2 says; policies, leases, soft deletes
and namespaces it does not have. What only a real Vault would show, these tests do not show.
"""

from datetime import UTC, datetime

from werkzeug.exceptions import HTTPException
from werkzeug.routing import Map, Rule
from werkzeug.wrappers import Request, Response

from dify_simulated.server.answers import json_response

TOKEN = "vault-token-of-the-tests"


class VaultStandIn:
    """A WSGI application with one KV 2 engine at `secret`."""

    def __init__(self) -> None:
        self.versions: dict[str, list[dict[str, str]]] = {}
        self._map = Map(
            [
                Rule("/v1/secret/data/<path:path>", endpoint="data"),
                Rule("/v1/secret/metadata/<path:path>", endpoint="metadata"),
            ]
        )

    def __call__(self, environ, start_response):  # type: ignore[no-untyped-def]
        request = Request(environ)
        return self._answer(request)(environ, start_response)

    def _answer(self, request: Request) -> Response:
        if request.headers.get("X-Vault-Token") != TOKEN:
            return json_response({"errors": ["permission denied"]}, 403)
        try:
            endpoint, values = self._map.bind_to_environ(request.environ).match()
        except HTTPException:
            return json_response({"errors": []}, 404)
        path = str(values["path"])
        if endpoint == "metadata":
            self.versions.pop(path, None)
            return Response("", 204)
        if request.method == "GET":
            return self._read(path, request.args.get("version", type=int))
        return self._write(path, request)

    def _read(self, path: str, version: int | None) -> Response:
        held = self.versions.get(path, [])
        number = version or len(held)
        if not 0 < number <= len(held):
            return json_response({"errors": []}, 404)
        told = {"data": held[number - 1], "metadata": _metadata(number)}
        return json_response({"data": told}, 200)

    def _write(self, path: str, request: Request) -> Response:
        body = request.get_json()
        held = self.versions.setdefault(path, [])
        if body["options"]["cas"] != len(held):
            text = "check-and-set parameter did not match the current version"
            return json_response({"errors": [text]}, 400)
        held.append(body["data"])
        return json_response({"data": _metadata(len(held))}, 200)


def _metadata(version: int) -> dict[str, object]:
    now = datetime.now(UTC).isoformat()
    return {"version": version, "created_time": now, "deletion_time": "", "destroyed": False}
