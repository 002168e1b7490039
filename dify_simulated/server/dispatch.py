"""From a URL to a handler: routes of a release, apps of routes, roles, and how refusals look."""

from __future__ import annotations

from functools import cache
from typing import cast

from werkzeug.exceptions import HTTPException, MethodNotAllowed
from werkzeug.routing import Map, MapAdapter, Rule
from werkzeug.wrappers import Request, Response

from dify_simulated.server.answers import json_response
from dify_simulated.server.calls import Call, Route
from dify_simulated.server.errors import ApiError, forbidden, not_found
from dify_simulated.server.sessions import Sessions
from dify_simulated.server.unbuilt_rows import RowNotShown, refuse_odd
from dify_simulated.versions import ServerVersion

CONSOLE = "/console/api"


class Dispatcher:
    """The URL map of one release."""

    def __init__(
        self, console: tuple[Route, ...], service: tuple[Route, ...], version: ServerVersion
    ) -> None:
        self.version = version
        placed = [(CONSOLE + route.rule, route) for route in console]
        placed += [("/v1" + route.rule, route) for route in service]
        existing = [(rule, route) for rule, route in placed if route.exists_in(version)]
        self._routes = [route for _, route in existing]
        self._map = _url_map(tuple((rule, route.method) for rule, route in existing))

    def answer(self, call: Call, sessions: Sessions) -> Response:
        """The response to a call; refusals included, in JSON, unknown routes in HTML."""
        request = call.request
        adapter = self._map.bind_to_environ(request.environ)
        if request.method == "OPTIONS":
            return Response("", mimetype="text/html")
        try:
            route, path = self._match(adapter)
        except MethodNotAllowed:
            text = "The method is not allowed for the requested URL."
            return json_response(_body("method_not_allowed", text, 405), 405)
        except HTTPException as error:
            return error.get_response(request.environ)
        call.path = {name: str(value).lower() for name, value in path.items()}
        try:
            return _as_response(self._handle(call, route, sessions))
        except ApiError as error:
            return self._refused(error, route, request)

    def _match(self, adapter: MapAdapter) -> tuple[Route, dict[str, object]]:
        place, path = adapter.match()
        return self._routes[cast(int, place)], dict(path)

    def _handle(self, call: Call, route: Route, sessions: Sessions) -> object:
        sessions.admit(call, route)
        if "app_id" in call.path and call.signed_in is not None:
            self._find_app(call, route)
        if call.signed_in is not None and not route.admits(call.role, call.version):
            raise forbidden()
        try:
            answer = route.handler(call)
        except RowNotShown as problem:
            raise problem.refusal("DetailResponse") from None
        refuse_odd(answer, call.switches.odd_rows)
        return answer

    def _find_app(self, call: Call, route: Route) -> None:
        app = call.world.apps.get(call.path["app_id"])
        if app is None or app.tenant_id != call.tenant_id:
            raise not_found("App not found.", "app_not_found")
        if route.modes and app.mode not in route.modes:
            text = f"App mode is not in the supported list: {set(route.modes)}."
            raise not_found(text, "app_not_found")
        call.found_app = app

    def _refused(self, error: ApiError, route: Route, request: Request) -> Response:
        """flask-restx (from 1.7) adds a guess at the meant URL to most texts of a 404."""
        body = dict(error.body)
        if error.status == 404 and self.version.since(1, 7) and not route.rule.endswith(">"):
            rule = CONSOLE + route.rule
            body["message"] = (
                f"{body.get('message')} You have requested this URI [{request.path}]"
                f" but did you mean {rule} ?"
            )
        response = json_response(body, error.status)
        if error.status == 401 and "result" not in body:
            response.headers["WWW-Authenticate"] = 'Bearer realm="api"'
        return response


@cache
def _url_map(rules: tuple[tuple[str, str], ...]) -> Map:
    """The compiled map of some rules and methods; the endpoint is the place. Compiling is slow."""
    return Map(
        [
            Rule(rule, endpoint=place, methods=[method])
            for place, (rule, method) in enumerate(rules)
        ],
        strict_slashes=True,
        redirect_defaults=False,
        merge_slashes=False,
    )


def _body(code: str, message: str, status: int) -> dict[str, object]:
    return {"code": code, "message": message, "status": status}


def _as_response(answer: object) -> Response:
    return answer if isinstance(answer, Response) else json_response(answer, 200)
