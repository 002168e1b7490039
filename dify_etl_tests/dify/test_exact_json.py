"""Answers become values without losing a digit, and what no column holds is told by its field."""

import time
import tracemalloc
from base64 import urlsafe_b64encode
from typing import Any

import httpx
import pytest

from dify_etl.dify.http.auth import expiry_of
from dify_etl.dify.http.clock import Clock
from dify_etl.dify.http.exact_json import decode, encode
from dify_etl.dify.http.server import NEWEST, Server, parse_version
from dify_etl.dify.json_text import JsonText
from dify_etl.dify.messages import Message
from dify_etl.dify.record import Batch, parse
from dify_etl.dify.workflow_records import NodeExecution, WorkflowRun
from dify_etl.raw.frames import records_frame
from dify_etl.raw.tables import raw_table

NODE = {"id": "n", "node_id": "x", "status": "succeeded", "created_at": 1749397672}
RUN = {"id": "r", "status": "succeeded", "created_at": 1749397672}
IDS = {"app_id": "a", "workflow_run_id": "r"}


def nodes(*rows: Any) -> Batch[NodeExecution]:
    return parse(NodeExecution, rows, endpoint="GET x", context=IDS)


@pytest.mark.parametrize(
    "text",
    [
        '{"z":123456789012345678901234567890,"a":-98765432109876543210}',
        '{"price":0.12345678901234567890123,"id":"0.1234567890123456789"}',
        '{"n":1e400}',
        '{"n":' + "9" * 5000 + "}",
        '{"n":18446744073709551615,"m":-9223372036854775808}',
        '[0.30000000000000004,1749397672.1234567,"1.2.3.4.5.6.7.8.9.10.11"]',
    ],
)
def test_json_comes_out_as_it_came_in(text: str) -> None:
    """Numbers of any length keep their digits, and keys their order."""
    assert encode(decode(text.encode())) == text
    assert str(JsonText.of(decode(text.encode()))) == text


def test_last_of_two_equal_keys_counts() -> None:
    """The fast way and the exact one agree on a key that comes twice."""
    assert decode(b'{"a":1,"a":2}') == {"a": 2}
    assert encode(decode(b'{"a":1,"a":123456789012345678901}')) == '{"a":123456789012345678901}'


@pytest.mark.parametrize("text", [b"plain words ", rb"\n\"quoted\" ", "很".encode()])
@pytest.mark.parametrize("others", [b"", b"[" * 2_000 + b"]" * 2_000])
def test_long_text_takes_little_memory_beside_a_long_number(text: bytes, others: bytes) -> None:
    """A document with the digits of pi in it: some times its size, not a hundred times."""
    words = text * (3_000_000 // len(text))
    body = b'{"answer":"%b 3.14159265358979323846","others":%b}' % (words, others or b"0")
    tracemalloc.start()
    try:
        found = decode(body)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found["answer"].endswith(" 3.14159265358979323846")
    assert most < 20 * len(body)


@pytest.mark.parametrize("end", [b"", b"\\"])
@pytest.mark.parametrize("before", [b"", b"[" * 2_000])
def test_answer_that_was_cut_off_in_a_text_is_soon_none(before: bytes, end: bytes) -> None:
    """Also where quotes and a long number stand in the text, each quote being no begin of one."""
    words = b"3.14159265358979323846 " + rb"\"quoted\" " * 100_000
    began = time.process_time()
    with pytest.raises(ValueError, match=r"JSON|deep|Unterminated"):
        decode(before + b'{"answer":"' + words + end)
    assert time.process_time() - began < 2


@pytest.mark.parametrize("text", [b"<html>", b"", b"{", b"[" * 100_000, b"\xff"])
def test_what_is_no_json_is_a_value_error(text: bytes) -> None:
    """Whatever the server sends, one kind of error tells that it cannot be read."""
    with pytest.raises(ValueError, match=r"JSON|utf-8|deep|char"):
        decode(text)


@pytest.mark.parametrize("tokens", [2**63, 2**64, 10**40, -(2**63) - 1])
def test_number_beyond_its_column_is_set_aside_alone(tokens: int) -> None:
    """The field waits in quarantine under its name; the row is loaded without it."""
    odd = {**NODE, "execution_metadata": decode(b'{"total_tokens":%d}' % tokens)}
    batch = nodes(odd, {**NODE, "id": "good"})
    assert [one.error_path for one in batch.rejected] == ["execution_metadata.total_tokens"]
    rows = records_frame(raw_table("node_executions"), NodeExecution, batch.records)
    assert rows["total_tokens"].to_list()[0] is None
    assert rows["odd_fields"].to_list() == ["total_tokens", None]


def test_largest_numbers_that_fit_are_loaded() -> None:
    """The ends of the columns themselves belong to them."""
    told = {"total_tokens": 2**63 - 1, "total_price": "999999999999999999.9999999999"}
    batch = nodes({**NODE, "execution_metadata": told})
    loaded = records_frame(raw_table("node_executions"), NodeExecution, batch.records)
    assert loaded["total_tokens"].to_list() == [2**63 - 1]
    assert str(loaded["total_price"][0]) == "999999999999999999.9999999999"


@pytest.mark.parametrize("price", ["1e18", "-1e18", "NaN", "Infinity", "1234567890123456789012.5"])
def test_price_beyond_its_column_is_set_aside(price: str) -> None:
    """A price of more than 18 digits before the point is told by its field."""
    batch = nodes({**NODE, "execution_metadata": {"total_price": price}})
    assert [one.error_path for one in batch.rejected] == ["execution_metadata.total_price"]


@pytest.mark.parametrize(
    ("price", "kept"),
    [
        ("1E+5", "100000.0000000000"),
        ("1E-999999", "0.0000000000"),
        ("0." + "1" * 60, "0.1111111111"),
        ("0E-7", "0.0000000000"),
    ],
)
def test_price_of_any_writing_is_loaded(price: str, kept: str) -> None:
    """However Dify writes a price that fits, the column holds it with ten decimals."""
    batch = nodes({**NODE, "execution_metadata": {"total_price": price}})
    loaded = records_frame(raw_table("node_executions"), NodeExecution, batch.records)
    assert format(loaded["total_price"][0], ".10f") == kept


@pytest.mark.parametrize(
    "at",
    [253402300799, -62135596800, 0, -1, 10**15, -(10**15), 10**40, 1.5e300, True, "1749397672"],
)
def test_time_without_a_local_day_is_set_aside(at: object) -> None:
    """A time at an end of the calendar, in milliseconds or of another type names its field."""
    rows = [decode(encode({**RUN, "created_at": at}).encode()) if at != 10**40 else
            decode(b'{"id":"r","status":"x","created_at":1%s}' % (b"0" * 40))]  # fmt: skip
    batch = parse(WorkflowRun, rows, endpoint="GET x", context={"app_id": "a"})
    assert [one.error_path for one in batch.rejected] == ["created_at"]


@pytest.mark.parametrize("depth", [300, 1000, 1100, 100_000])
def test_deep_json_costs_its_field_alone(depth: int) -> None:
    """A field nested deeper than JSON can be written is null and named, also an unknown one."""
    deep = decode(b'{"a":' * depth + b"1" + b"}" * depth)
    batch = nodes({**NODE, "inputs": deep}, {**NODE, "brand_new": deep}, {**NODE, "id": "good"})
    assert [one.error_path for one in batch.rejected] == ["inputs", "brand_new"]
    assert [record.odd_fields for record in batch.records] == [("inputs",), ("extra",), ()]
    assert records_frame(raw_table("node_executions"), NodeExecution, batch.records).height == 3


@pytest.mark.parametrize("depth", [1100, 100_000])
def test_deep_json_costs_no_neighbour(depth: int) -> None:
    """The rest of an answer is read, brackets in its texts and all, and nothing writes the mark."""
    deep = b"[" * depth + b"]" * depth
    good = {"text": 'a "[[[" b', "list": [{"a": [1]}]}
    found = decode(b'[%s,{"deep":%s},%s]' % (encode(good).encode(), deep, encode(good).encode()))
    assert [found[0], found[2]] == [good, good]
    with pytest.raises(ValueError, match="JSON"):
        encode(found[1])


def test_lone_surrogates_and_nan_are_loaded() -> None:
    """Half a character becomes a question mark, NaN becomes null."""
    assert decode(b'{"a":"x\\ud800y","b":NaN}') == {"a": "x?y", "b": None}


@pytest.mark.parametrize(
    "rows", [["text"], [[]], [None], [1], [{"id": [], "feedbacks": 3, "agent_thoughts": {}}]]
)
def test_rows_of_any_shape_are_set_aside(rows: list[Any]) -> None:
    """A row that is no object, or has odd parts, is rejected and raises nothing."""
    batch = parse(Message, rows, endpoint="GET x", context={"app_id": "a"})
    assert (len(batch.records), len(batch.rejected)) == (0, 1)


def test_version_of_absurd_size_counts_as_newest() -> None:
    """A version header with a number of 5,000 digits raises nothing."""
    assert parse_version("1." + "9" * 5000) == NEWEST
    assert parse_version("1.10.1-fix.1") == (1, 10, 1)


@pytest.mark.parametrize(
    "date", ["Mon, 01 Jan 99999 00:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 GMT", "1", "x" * 9000]
)
def test_date_header_of_absurd_size_is_not_believed(date: str) -> None:
    """Our own clock stands in for a time that no calendar holds."""
    server = Server("http://dify.test", Clock())
    server.observe(httpx.Headers({"date": date}))
    assert abs((server.time - Clock().now()).total_seconds()) < 60


@pytest.mark.parametrize("expires", [b"1e400", b"9" * 400, b'"x"', b"-1", b"null", b"[]"])
def test_expiry_of_absurd_size_is_none(expires: bytes) -> None:
    """A token's end that is no time of ours is not known: the 401 tells it."""
    claims = urlsafe_b64encode(b'{"exp":' + expires + b"}").decode()
    assert expiry_of(f"x.{claims}.y") is None
