"""The recorded answers of real servers, read line by line."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from json import loads
from pathlib import Path
from typing import Any

RECORDED = Path(__file__).parent.parent / "recorded"
VERSIONS = ("1.12.1", "1.7.2", "1.16.1", "main-2026-08")
AREAS = (
    "apps",
    "auth",
    "datasets",
    "errors",
    "logs",
    "members",
    "roles",
    "plugin-daemon-down",
    "service-api",
    "statistics",
)


# Everything that is compared: the area `roles` was not recorded of the older versions.
RECORDED_AREAS = tuple(
    (version, area)
    for version in VERSIONS
    for area in AREAS
    if (RECORDED / version / f"{area}.jsonl").exists()
)


@dataclass(frozen=True)
class Exchange:
    """One request and its answer. `body` is JSON, or text when the answer was none."""

    area: str
    name: str
    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    headers: dict[str, str]
    sent: object
    status: int
    body: object

    @property
    def key(self) -> str:
        """Area and name, unique within a version."""
        return f"{self.area}/{self.name}"


@cache
def exchanges(version: str, area: str) -> tuple[Exchange, ...]:
    """All exchanges of one file, in the order of their names."""
    lines = (RECORDED / version / f"{area}.jsonl").read_text(encoding="utf-8").splitlines()
    return tuple(_exchange(area, loads(line)) for line in lines)


@cache
def all_exchanges(version: str) -> tuple[Exchange, ...]:
    """All exchanges of a version that are compared, area by area."""
    areas = [area for told, area in RECORDED_AREAS if told == version]
    return tuple(item for area in areas for item in exchanges(version, area))


def _exchange(area: str, line: dict[str, Any]) -> Exchange:
    request, response = line["request"], line["response"]
    body = response["body"] if response.get("body") is not None else response.get("body_text")
    if isinstance(body, str) and body.strip() == "null":
        body = None
    return Exchange(
        area=area,
        name=line["name"],
        method=request["method"],
        path=request["path"],
        query=tuple((name, value) for name, value in request["query"] or ()),
        headers=dict(request["headers"]),
        sent=request["body"],
        status=response["status"],
        body=body,
    )


@cache
def exchange(version: str, key: str) -> Exchange:
    """One exchange by area and name."""
    area, _, name = key.partition("/")
    return next(item for item in exchanges(version, area) if item.name == name)
