"""A transport that plays Dify's answers back with one value of some objects replaced."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

import httpx
import orjson

from dify_etl_tests.fuzz.grammar import (
    DUPLICATE,
    KINDS,
    OF_ANOTHER_APP,
    Path,
    at_path,
    draw_path,
    encoded,
    replaced,
)
from dify_etl_tests.fuzz.objects import Found, id_in, objects_in


@dataclass(frozen=True, eq=False)
class Case:
    """One replaced value: of which object, at which path, by what."""

    found: Found
    where: Path
    kind: str
    sent: Any = field(repr=False)

    def __str__(self) -> str:
        at = ".".join(map(str, self.where)) or "(all)"
        return f"{self.found.route.pattern} {self.found.object_id or ''} {at}: {self.kind}"


@dataclass
class Heard:
    """What a server answered to each GET, so that it is asked once; the world stands still."""

    answers: dict[str, httpx.Response] = field(default_factory=dict)

    def objects(self) -> list[Found]:
        """Every object that an answer showed, once per path."""
        seen: dict[tuple[str, str | None], Found] = {}
        for url, answer in self.answers.items():
            if answer.status_code == 200 and "json" in answer.headers.get("content-type", ""):
                path, _, query = url.partition("?")
                for found in objects_in(path, query, orjson.loads(answer.content)):
                    seen.setdefault((found.path, found.object_id), found)
        return sorted(seen.values(), key=lambda one: (one.path, one.object_id or ""))


class AlteredAnswers(httpx.BaseTransport):
    """Answers as the server does, or did, but for the cases."""

    def __init__(self, inner: httpx.BaseTransport, heard: Heard, cases: Iterable[Case]) -> None:
        self._inner = inner
        self._heard = heard
        self._cases: dict[str, list[Case]] = defaultdict(list)
        for case in cases:
            self._cases[case.found.path].append(case)
        self.met: set[Case] = set()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer one request."""
        answer = self._answer(request)
        cases = self._cases.get(request.url.path)
        is_json = "json" in answer.headers.get("content-type", "")
        if request.method != "GET" or not cases or answer.status_code != 200 or not is_json:
            return answer
        headers = [one for one in answer.headers.multi_items() if one[0] != "content-length"]
        body = encoded(self._altered(request.url.path, orjson.loads(answer.content), cases))
        return httpx.Response(200, headers=headers, content=body)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        if request.method != "GET":
            return self._inner.handle_request(request)
        url = request.url.raw_path.decode()
        if url not in self._heard.answers:
            answer = self._inner.handle_request(request)
            answer.read()
            self._heard.answers[url] = answer
        held = self._heard.answers[url]
        return httpx.Response(held.status_code, headers=held.headers, content=held.content)

    def _altered(self, path: str, answer: Any, cases: Sequence[Case]) -> Any:
        around = [case for case in cases if case.found.object_id is None]
        by_id = {case.found.object_id: case for case in cases}
        route = cases[0].found.route
        if route.rows is not None and isinstance(answer.get(route.rows), list):
            answer = {
                **answer,
                route.rows: [
                    self._changed(row, by_id.get(id_in(route, path, row)))
                    for row in answer[route.rows]
                ],
            }
        for case in around:
            answer = self._changed(answer, case)
        return answer

    def _changed(self, row: Any, case: Case | None) -> Any:
        if case is None:
            return row
        self.met.add(case)
        return replaced(row, case.where, case.sent)


def draw_cases(objects: Sequence[Found], chance: Random, most: int) -> list[Case]:
    """Cases of one sync: at most one per object, and none above or below another."""
    order = list(objects)
    chance.shuffle(order)
    order.sort(key=lambda found: _turn(found, chance))
    touched: set[str] = set()
    above: set[str] = set()
    tables: set[str] = set()
    hiding: set[str] = set()  # answers of which what stands around the rows is touched
    cases: list[Case] = []
    for found in order:
        if len(cases) >= most:
            break
        if found.identity in touched | above or found.above & touched or found.path in hiding:
            continue
        if found.object_id is None and found.route.rows:
            deepest = deepest_id(found)
            if deepest in above or (deepest is None and found.route.table in tables):
                continue  # it would hide what was touched in it
        case = draw_case(found, objects, chance)
        if case is None:
            continue
        cases.append(case)
        tables.add(found.route.table)
        touched |= {found.identity}
        if found.object_id is None and found.route.rows:
            hiding |= {found.path}
        if found.object_id is None:  # what stands around rows may cost any of them
            deepest = deepest_id(found)
            touched |= {deepest} if deepest else set()
            above |= found.above - {deepest}
        else:
            above |= found.above
    return cases


def deepest_id(found: Found) -> str | None:
    ids = [one for one in found.path.split("/") if one in found.above]
    return ids[-1] if ids else None


def _turn(found: Found, chance: Random) -> int:
    """Few apps and answers as a whole, some parents, and what is left of their children."""
    if found.route.table == "apps" or (found.object_id is None and found.route.rows):
        return 0 if chance.random() < 0.02 else 9
    if found.route.table in ("conversations", "workflow_runs", "datasets"):
        return 1 if chance.random() < 0.2 else 3
    return 2 if chance.random() < 0.4 else 4


def draw_case(found: Found, objects: Sequence[Found], chance: Random) -> Case | None:
    """One replaced value of an object; ids of others come from `objects`. None: there is none."""
    where = draw_path(found.row, chance)
    if found.object_id is None and found.route.rows and where[:1] == (found.route.rows,):
        where = where[:1]
    dice = chance.random()
    if dice < 0.04:
        where = ()
    elif found.object_id and dice < 0.3:  # what a row needs is where rows are lost
        where = chance.choice(found.route.needed_paths or [where])
    elif dice < 0.42:  # and what fields look into is where values are lost
        held = [one for one in found.route.looked_into if isinstance(at_path(found.row, one), dict)]
        where = chance.choice(held or [where])
    held = at_path(found.row, where)
    if where in (("id",), found.route.id_path) and found.object_id and chance.random() < 0.6:
        kind = chance.choice((DUPLICATE, OF_ANOTHER_APP))
        alike = [
            one
            for one in objects
            if one.route == found.route
            and one.object_id
            and one.identity != found.identity
            and (
                (one.path, one.above) == (found.path, found.above)
                if kind == DUPLICATE
                else one.path != found.path
            )
        ]
        if not alike:
            return None
        return Case(found, where, kind, chance.choice(alike).object_id)
    kind = chance.choice(list(KINDS))
    sent = KINDS[kind](held) if where or kind != "missing key" else None
    return None if type(sent) is type(held) and sent == held else Case(found, where, kind, sent)
