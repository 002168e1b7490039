"""What a mask finds in a text, and what it leaves."""

import json
import re
import signal
from itertools import product
from random import Random

import polars as pl
import pytest

from dify_etl.dify.http import deny_list
from dify_etl.dify.http.deny_list import text_without_secrets
from dify_etl.raw.masks import SUSPICIOUS, masked, masked_graph, masked_json
from dify_etl.raw.privacy import Privacy
from dify_etl.raw.tables import RAW_TABLES

MASKED = [
    ("write to Ada.Love+x@mail.example.co.uk!", "write to (e-mail)!"),
    ("call +49 30 1234567 or +1 (415) 555-2671", "call (phone) or (phone)"),
    ("030 1234567, (415) 555-2671, 020 7946 0958", "(phone), (phone), (phone)"),
    ("手机 13812345678", "手机 (phone)"),
    ("电话13912345678谢谢，手机号是139 1234 5678", "电话(phone)谢谢，手机号是(phone)"),
    ("卡号4111111111111111，身份证号11010519491231002X", "卡号(card)，身份证号(national id)"),
    ("请联系foo@bar.com谢谢", "请联系(e-mail)谢谢"),
    ("电话：１３９１２３４５６７８", "电话：(phone)"),
    ("foo＠bar.com", "(e-mail)"),
    ("josé@müller.de", "(e-mail)"),
    ("phone=415-555-2671, Tel.:0301234567", "phone=(phone), Tel.:(phone)"),
    ("(11) 96123-4567, 612 34 56 78", "(phone), (phone)"),
    ("de89370400440532013000", "(bank account)"),
    ("0044 20 7946 0958", "(phone)"),
    ("DE89 3704 0044 0532 0130 00", "(bank account)"),
    ("GB82WEST12345698765432.", "(bank account)."),
    ("4111 1111 1111 1111 and 378282246310005", "(card) and (card)"),
    ("身份证 11010519491231002X", "身份证 (national id)"),
    ("SSN 536-22-8726", "SSN (national id)"),
    ("36 574 261 809", "(national id)"),
    ("RSSMRA85T10A562S", "(national id)"),
    ("12345678Z, X1234567L", "(national id), (national id)"),
    ("390.533.447-05", "(national id)"),
    ("AB 12 34 56 C", "(national id)"),
    ("sk-proj-abcdefghijklmnop1234", "(key)"),
    ("ghp_abcdefghijklmnopqrstuvwxyz012345, AKIAIOSFODNN7EXAMPLE", "(key), (key)"),
    ("-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY----- ok", "(key) ok"),
    ("4111 1111 1111 1111 12/27 cvv 123", "(card) 12/27 cvv 123"),
    ("4111111111111111 12/27", "(card) 12/27"),
    ("4111 1111 1111 1111 123, 4111-1111-1111-1111-1227", "(card) 123, (card)-1227"),
    ("5500005555555559 09 28 321", "(card) 09 28 321"),
    ("12 4111 1111 1111 1111 5500 0055 5555 5559", "12 (card) (card)"),
    ("30569309025904, 6011111111111117, 3530111333300000", "(card), (card), (card)"),
    ("6200000000000000000, 2223003122003222", "(card), (card)"),
    ("AT611904300234573201 danke", "(bank account) danke"),
    ("BE68 5390 0754 7034 voor Anna", "(bank account) voor Anna"),
    ("ES91 2100 0418 4502 0005 1332 a nombre", "(bank account) a nombre"),
    ("SE45 5000 0000 0583 9825 7466 till Anna", "(bank account) till Anna"),
    ("AT611904300234573201 BE68 5390 0754 7034", "(bank account) (bank account)"),
    ("?email=anna.mueller%40firma.de&phone=%2B4915112345678", "?email=(e-mail)&phone=(phone)"),
    ("анна@почта.рф, anna@почта.рф, άννα@mail.gr", "(e-mail), (e-mail), (e-mail)"),
    ("用户@例子.公司", "(e-mail)"),
    ("am 07.12.2026 030 1234567", "am 07.12.2026 (phone)"),
    ("06 12 34 56 78, 06.12.34.56.78", "(phone), (phone)"),
    ("+86 138 1234 5678, +4915112345678", "(phone), (phone)"),
    (
        "https://hooks.slack.com/services/T00000/B0000/XXXXXXXXXXX",
        "https://hooks.slack.com/services/(key)",
    ),
]
# As their providers document them.
KEYS = [
    *("tvly-dev-abcdefghijklmnop1234", "xai-abcdefghijklmnopqrstuvwxyz", "pplx-" + "a1b2" * 8),
    *("r8_abcdefghijklmnopqrstuvwxyz123456", "fc-0123456789abcdef0123456789abcdef"),
    *("ntn_abcdefghijklmnopqrstuvwxyz0123456789ABCDEF", "GOCSPX-abcdefghijklmnopqrstuvwx"),
    *("dop_v1_" + "0123456789abcdef" * 4, "shpat_0123456789abcdef0123456789abcdef"),
    *("pypi-AgEIcHlwaS5vcmcCJ" + "DAwMDAwMDAw" * 5, "lin_api_abcdefghijklmnopqrstuvwxyz012345"),
    *("xapp-1-A012-345-abcdef0123456789", "xoxb-123456789012-abcdefghijkl", "hf_" + "aB3d" * 9),
    *("sk-ant-api03-abcdefghijklmnopqrstuvwxyz", "sk_live_abcdefghijklmnop1234"),
    *(
        "whsec_abcdefghijklmnop1234",
        "AIzaSyA1234567890abcdefghijklmnopqrstuvw",
        "glpat-" + "aB3d" * 5,
    ),
    *("github_pat_11ABCDEFG0abcdefghijkl", "npm_abcdefghijklmnopqrstuvwxyz0123456789"),
    *("123456789:AAabcdefghijklmnopqrstuvwxyz0123456", "ya29.a0AfH6SMBabcdefghijklmnop"),
    *(
        "gsk_abcdefghijklmnopqrstuvwxyz",
        "secret_" + "aB3d" * 11,
        "pat" + "aB3dE6g" * 2 + "." + "0f" * 32,
    ),
    *("SG.abcdefghijklmnopqrst.abcdefghijklmnopqrstuv", "eyJhbGciOiJIUzI1.eyJzdWIiOiIx.abcdefgh"),
    *(
        "app-abcdefghijklmnopqrstuvwx",
        "sk-or-v1-0123456789abcdef0123456789abcdef",
        "sk_" + "0f" * 24,
    ),
]
LEFT = [
    "",
    "no detail at all",
    "order 123456789, invoice 2026-000123, 4111 1111 1111 1112",
    "8a1c2b3c-4123-8123-9123-123456789012",
    "2026-03-12 15:30:20.123456+00:00, 2026-03-12, 12.03.2026 15 Uhr",
    "price 0.0001234, 1,234,567.89, 1700000000, 1700000000123",
    "10.0.0.1, 192.168.100.200, v1.16.1, 3.14159265358979",
    "https://example.com/a/1234567890123456/b?x=123456789012",
    "DE00 3704 0044 0532 0130 00",
    "langgenius/openai/openai:0.0.26@",
    "react@18.2.0, @angular/core@1.2.3",
    "1 000 000 000, 2023 2024 2025, 10 20 30 40 50, 100 200 3000, 4711-0815-2024",
    "10.1000/182, doi 10.1038/s41586-020-2649-2, doi:10.1007/978-3-319-24277-4",
    "07.12.2026 12 Uhr, 07/12/2026 12 h, 07-12-2026 12, 7.12.2026 12, 07.12.26 12 30",
    "01 02 03 04 05, 02 03 04 05 06, (02) 03 04 05 06 07",
    "#1024 100 200 3000, EAN 4006381333931, 1764547200005000, 1764547200005000123",
    "sk-learn_is_a_long_package_name, pk_fields_of_the_table_users",
    "sk_buff_head_init_function_in_kernel, rk-means-clustering-with-large-data, ask-me-now",
    "AT611904300234573202 danke, SE45 5000 0000 0583 9825 74",
    "100%40 or 5%40ff.x, %2B12",
]


@pytest.mark.parametrize(("text", "expected"), MASKED)
def test_details_are_masked(text: str, expected: str) -> None:
    """Each becomes what it was, and the search over columns sees it; once more changes nothing."""
    assert masked(text) == expected
    assert re.search(SUSPICIOUS, text) is not None
    assert masked(expected) == expected


@pytest.mark.parametrize("text", LEFT)
def test_the_rest_stays(text: str) -> None:
    """Numbers of orders, ids, times, prices and addresses of machines are no details of people."""
    assert masked(text) == text


@pytest.mark.parametrize("key", KEYS)
def test_key_of_a_provider_is_masked(key: str) -> None:
    """By its begin and its length; the search over columns sees it, and so does the deny list."""
    assert masked(f"use {key}, please") == "use (key), please"
    assert re.search(SUSPICIOUS, key) is not None
    assert text_without_secrets(f"use {key}, please") == "use (secret), please"
    assert re.search(deny_list.SUSPICIOUS, key) is not None


def test_dates_before_hours_stay() -> None:
    """Every day of the first nine of a month, as three languages write it."""
    for day, month, hour in product(range(1, 10), range(1, 13), (8, 10, 12, 18)):
        for form in ("{:02}.{:02}.2026 {} Uhr", "{:02}/{:02}/2026 {} h", "{:02}-{:02}-2026 {} h"):
            text = form.format(day, month, hour)
            assert masked(text) == text


def test_epoch_milliseconds_stay() -> None:
    """Of two years, by chance: ids of Dify's nodes are such."""
    chance = Random(3)
    first, last = 1_711_000_000_000, 1_774_000_000_000
    for _ in range(5_000):
        moment = str(chance.randrange(first, last))
        assert masked(moment) == moment


def test_nodes_of_a_graph_keep_their_ids() -> None:
    """Whatever they look like, ids and ways to variables stay; texts are masked."""
    card = "4111111111111111"
    held = {
        "nodes": [{"id": card, "data": {"title": f"of {card}", "context": {"x": card}}}],
        "edges": [{"source": card, "target": card, "sourceHandle": "source"}],
        "variables": [{"value_selector": [card, "text"], "label": "ada@b.de"}],
    }
    kept = json.loads(masked_graph(json.dumps(held)))
    assert kept == {
        "nodes": [{"id": card, "data": {"title": "of (card)", "context": {"x": "(card)"}}}],
        "edges": held["edges"],
        "variables": [{"value_selector": [card, "text"], "label": "(e-mail)"}],
    }
    assert masked_graph('{"id":  "x"}') == '{"id":  "x"}'
    assert masked_graph("cut ada@b.de") == "cut (e-mail)"
    column = RAW_TABLES["workflow_versions"].table.column("graph")
    graph = pl.Series("graph", [json.dumps(held)])
    assert json.loads(Privacy("mask").column(column, graph)[0]) == kept


def test_texts_in_json_are_masked() -> None:
    """Names of keys, numbers and the bytes of JSON without a detail stay."""
    assert masked_json('{"a@b.de":["x ada@b.de",1.50]}') == '{"a@b.de":["x (e-mail)",1.5]}'
    assert masked_json('{"a":  1.50}') == '{"a":  1.50}'
    assert masked_json('{"cut": "ada@b.de') == '{"cut": "(e-mail)'


@pytest.mark.parametrize(
    "text",
    [
        *("1" * 100_000, "a." * 50_000 + "@", "1." * 50_000, "-eyJaaaaaaaaaa" * 7_000),
        *("1 " * 50_000 + "x", "AT61 " * 20_000, "用" * 100_000 + "@", "%2" * 50_000),
        "a%40" * 25_000,
    ],
    ids=range(9),
)
def test_long_text_of_a_stranger_holds_nobody_up(text: str) -> None:
    """No pattern looks again and again through a run of letters or digits: that took a minute."""

    def give_up(number: int, frame: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(20)  # it takes a tenth of a second
    try:
        assert masked(text) == text
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
