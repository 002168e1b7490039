"""What a mask finds in a text, and what it leaves."""

import re
import signal

import pytest

from dify_etl.raw.masks import SUSPICIOUS, masked, masked_json

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
    "10.1000/182, doi 10.1038/s41586-020-2649-2",
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


def test_texts_in_json_are_masked() -> None:
    """Names of keys, numbers and the bytes of JSON without a detail stay."""
    assert masked_json('{"a@b.de":["x ada@b.de",1.50]}') == '{"a@b.de":["x (e-mail)",1.5]}'
    assert masked_json('{"a":  1.50}') == '{"a":  1.50}'
    assert masked_json('{"cut": "ada@b.de') == '{"cut": "(e-mail)'


@pytest.mark.parametrize(
    "text", ["1" * 100_000, "a." * 50_000 + "@", "1." * 50_000, "-eyJaaaaaaaaaa" * 7_000]
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
