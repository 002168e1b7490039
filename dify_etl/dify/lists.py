"""Read the envelopes of Dify's lists: pages with numbers, cursor pages, and lists sent whole."""

from collections.abc import Mapping
from typing import Any, TypeVar

from dify_etl.dify.errors import UnexpectedAnswer
from dify_etl.dify.record import Batch, Page, Record, parse_each_once

R = TypeVar("R", bound=Record)


def page_of(
    record_class: type[R],
    answer: Any,
    *,
    endpoint: str,
    context: Mapping[str, Any] | None = None,
    key: str = "data",
) -> Page[R]:
    """One page and its numbers; raises UnexpectedAnswer when the answer holds no list."""
    rows = _rows_in(answer, key, endpoint)
    batch = parse_each_once(record_class, rows, endpoint=endpoint, context=context)
    return Page(
        batch.records,
        batch.rejected,
        page=_whole(answer.get("page")),
        limit=_whole(answer.get("limit")),
        total=_whole(answer.get("total")),
        has_more=answer.get("has_more") if isinstance(answer.get("has_more"), bool) else None,
    )


def batch_of(
    record_class: type[R],
    answer: Any,
    *,
    endpoint: str,
    context: Mapping[str, Any] | None = None,
    key: str = "data",
) -> Batch[R]:
    """All rows of a list that Dify sends whole; raises UnexpectedAnswer when there is no list, and
    when the answer says that it is a part of one: the rest would be taken for gone.
    """
    rows = _rows_in(answer, key, endpoint)
    total = _whole(answer.get("total"))
    if answer.get("has_more") is True or (total is not None and total > len(rows)):
        raise UnexpectedAnswer(
            f"the answer is a page of {len(rows)} rows and promises more; every known version "
            "sends this list whole",
            where=endpoint,
            hint="Report the server version and the endpoint.",
        )
    return parse_each_once(record_class, rows, endpoint=endpoint, context=context)


def _rows_in(answer: Any, key: str, endpoint: str) -> list[Any]:
    rows = answer.get(key) if isinstance(answer, dict) else None
    if not isinstance(rows, list):
        raise UnexpectedAnswer(
            f"the answer holds no list under {key!r}",
            where=endpoint,
            hint="Report the server version and the endpoint.",
        )
    return rows


def _whole(value: Any) -> int | None:
    """A number that the ledger can hold; JSON knows larger ones."""
    return value if type(value) is int and -(1 << 63) <= value < 1 << 63 else None
