"""A Dify in which a stranger has written into everything that is no id, number, time or keyword."""

import json
import re
from collections.abc import Callable, Iterable
from typing import Any

from dify_simulated import SimulatedDify

StartResponse = Callable[..., Any]

# What a terminal obeys: CSI, OSC, C1, a bell, a mark that turns the direction of text.
CODES = "\x1b[2J\x1b]0;owned\x07\x9b31m\u202e"
# What Markdown obeys: an image, a link, HTML, an end of a cell, of a list, of a fence.
MARKUP = "![p](http://evil.example/p.png)[l](http://evil.example)<img src=x>|`````"
EVIL = CODES + MARKUP

# Fields of Dify whose values choose what is done next: a server that spoils these is another test.
_KEYWORDS = re.compile(
    r"(.*_)?(id|ids|token|type|mode|role|status|result|timezone|language|currency|url|hash|version"
    r"|from|source|permission|state|plan|rating|strategy|theme|data|batch|event|format|technique"
    r"|code|object|method|belongs_to|email|ip|background|invoke_from|triggered_from|via)"
)
_NO_WORDS = re.compile(r"[\d\W]*|[0-9a-f-]{36}|\d{4}-\d\d-\d\d.*", re.DOTALL)


def planted(answer: Any, key: str = "") -> Any:
    """The answer with EVIL behind every text that may be a person's."""
    if isinstance(answer, dict):
        return {name: planted(value, name) for name, value in answer.items()}
    if isinstance(answer, list):
        return [planted(value, key) for value in answer]
    if not isinstance(answer, str) or _KEYWORDS.fullmatch(key) or _NO_WORDS.fullmatch(answer):
        return answer
    return answer + EVIL


def as_it_is(path: str, answer: Any) -> Any:
    """No change beside the planting."""
    return answer


class PlantedDify:
    """Plants into every answer, errors too.

    `spoiled` names paths whose answers are not served but refused, with a message of the stranger.
    """

    def __init__(self, server: SimulatedDify) -> None:
        self._server = server
        self.spoiled: Callable[[str], int | None] = lambda path: None
        self.change: Callable[[str, Any], Any] = as_it_is

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        told: list[tuple[str, list[tuple[str, str]]]] = []

        def remember(status: str, headers: list[tuple[str, str]], *_: object) -> Any:
            told.append((status, headers))

        path = environ["PATH_INFO"]
        body = b"".join(self._server(environ, remember))
        status, headers = told[0]
        refused = self.spoiled(path)
        if refused is not None:
            status = f"{refused} REFUSED"
            body = json.dumps({"code": "refused", "message": "refused", "status": refused}).encode()
        if any(name == "Content-Type" and "json" in text for name, text in headers) and body:
            body = json.dumps(planted(self.change(path, json.loads(body)))).encode()
        kept = [one for one in headers if one[0] != "Content-Length"]
        start_response(status, [*kept, ("Content-Length", str(len(body)))])
        return [body]
