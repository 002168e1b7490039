"""Rows that the server cannot show: each takes every answer that holds it with it.

From 1.16.1 a file on a host that does not answer does so, since Dify asks the host while it is
read, and a document whose source is not as expected. `Switches.odd_rows` lets any row do so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from dify_simulated.server.errors import ApiError, internal_error, invalid_param
from dify_simulated.world.rows import Document, JsonObject, Message
from dify_simulated.world.world import World

T = TypeVar("T")


class RowNotShown(Exception):
    """A row that cannot be built: the field, and what pydantic says of it."""

    def __init__(self, field: str, told: str, shown: str) -> None:
        super().__init__(field)
        self.field = field
        self.told = told
        self.shown = shown

    def refusal(self, model: str, *, path: str = "") -> ApiError:
        """The 400 that stands for the whole answer."""
        return invalid_param(f"1 validation error for {model}\n{self.lines(path)}")

    def lines(self, path: str = "") -> str:
        """The lines on this row in pydantic's text."""
        return (
            f"{path}{self.field}\n  Error extracting attribute: {self.told} "
            f"[type=get_attribute_error, input_value=<{self.shown} object at 0x7fcbb7090830>, "
            f"input_type={self.shown}]\n    For further information visit "
            "https://errors.pydantic.dev/2.12/v/get_attribute_error"
        )


def built_page(rows: Iterable[T], show: Callable[[T], JsonObject], model: str) -> list[JsonObject]:
    """All rows as JSON. Raises ApiError (400), which names the place of each that cannot be."""
    shown: list[JsonObject] = []
    problems: list[str] = []
    for position, row in enumerate(rows):
        try:
            shown.append(show(row))
        except RowNotShown as problem:
            problems.append(problem.lines(f"data.{position}."))
    if problems:
        plural = "s" if len(problems) > 1 else ""
        head = f"{len(problems)} validation error{plural} for {model}"
        raise invalid_param("\n".join([head, *problems]))
    return shown


def check_files(row: Message, world: World) -> None:
    """Raises RowNotShown for a message with a file on a dead host."""
    for file in row.message_files:
        if file.remote_url and file.remote_url.split("/")[2] in world.dead_hosts:
            told = "MaxRetriesExceededError: Reached maximum retries (3) for URL " + file.remote_url
            raise RowNotShown("message_files", told, "MessageResponseSource")


def check_source(row: Document) -> None:
    """Raises RowNotShown for a document whose source or metadata is odd."""
    if row.oddity:
        told = {
            "source-info": "DataError: (psycopg2.errors.InvalidTextRepresentation) invalid input "
            'syntax for type uuid: "7"',
            "metadata": "KeyError: 'upload_file_id'",
        }[row.oddity]
        raise RowNotShown("data_source_detail_dict", told, "DocumentWithSegmentsSession")


def refuse_odd(answer: object, odd: dict[str, int]) -> None:
    """Raises ApiError for an answer that holds one of these rows, by id: 400 or 500 each."""
    if not odd or not isinstance(answer, dict):
        return
    rows = answer.get("data")
    listed = rows if isinstance(rows, list) else [answer]
    prefix = isinstance(rows, list)
    for position, row in enumerate(listed):
        status = odd.get(str(row.get("id"))) if isinstance(row, dict) else None
        if status == 400:
            problem = RowNotShown("status", "ValueError: unknown", "Row")
            path = f"data.{position}." if prefix else ""
            raise problem.refusal("RowPaginationResponse" if prefix else "RowResponse", path=path)
        if status is not None:
            raise internal_error()
