"""Personal details in free text, each replaced by what it was: DIFY_ETL_TEXT=mask.

E-mail addresses, phone numbers, numbers of cards and accounts, national ids, keys and tokens. What
is told by a check digit or a numbering plan is checked (python-stdnum, phonenumbers), so that the
number of an order stays. Names and addresses of people are not found: drop is for these.
"""

import re
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any

import phonenumbers
import polars as pl
from stdnum import iban, luhn
from stdnum.br import cpf
from stdnum.cn import ric
from stdnum.de import idnr
from stdnum.es import dni, nie
from stdnum.fr import nir
from stdnum.in_ import aadhaar
from stdnum.it import codicefiscale
from stdnum.kr import rrn
from stdnum.us import ssn

from dify_etl.dify.http.exact_json import decode, encode

EMAIL, PHONE, CARD, ACCOUNT, NATIONAL_ID, KEY = (
    *("(e-mail)", "(phone)", "(card)", "(bank account)", "(national id)", "(key)"),
)

# What a text has that holds any of them; for Polars, which looks at whole columns.
SUSPICIOUS = (
    r"[@＠]|\d(?:[\s().\u00a0/-]{0,3}\d){5}|[A-Za-z]{6}\d\d[A-Za-z]\d\d|-----BEGIN|"
    r"(?:sk|pk|rk)[-_]|gh[oprsu]_|github_pat_|glpat-|xox[abeprs]-|hf_|AKIA|ASIA|AIza|"
    r"gsk_|SG\.|ya29\.|eyJ|npm_|whsec_"
)

# Words of letters and digits end where those of ASCII do: in Chinese no blank stands around them.
# All repeats are bounded: a text of 100,000 letters takes no second look at each of them.
_LETTER = "A-Za-z0-9\u00c0-\u024f"
_EMAIL = re.compile(
    rf"[{_LETTER}.!#$%&'*+/=?^_`{{|}}~-]{{1,64}}@(?:[{_LETTER}-]{{1,63}}\.){{1,9}}"
    r"[A-Za-z\u00c0-\u024f]{2,24}"
)
_KEYS = re.compile(
    r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]{0,40}PRIVATE KEY-----|$)"
    r"|\b(?:sk|pk|rk)[-_](?:live_|test_|proj-|ant-|or-)?[\w-]{16,500}"
    r"|\bgh[oprsu]_\w{20,500}|\bgithub_pat_\w{20,500}|\bglpat-[\w-]{16,500}"
    r"|\bxox[abeprs]-[\w-]{10,500}|\bhf_\w{20,500}|\bgsk_\w{20,500}|\bnpm_\w{20,500}"
    r"|\bwhsec_[\w+/=]{20,500}|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b|\bAIza[\w-]{30,500}"
    r"|\bSG\.[\w-]{16,500}\.[\w-]{16,500}|\bya29\.[\w-]{20,500}"
    r"|(?<![\w-])eyJ[\w-]{8,2000}\.[\w-]{8,2000}\.[\w-]{8,2000}",
    re.ASCII,
)
_ACCOUNT = re.compile(
    r"\b[A-Za-z]{2}\d\d(?:[ -]?[A-Za-z0-9]{4}){2,7}(?:[ -]?[A-Za-z0-9]{1,3})?\b", re.ASCII
)
_CARD = re.compile(r"(?<![\w.-])\d(?:[ -]?\d){12,18}(?![\w-])", re.ASCII)
# Words of digits and letters that may be the id of a person, and who can tell.
_IDS: Sequence[tuple[re.Pattern[str], Any]] = tuple(
    (re.compile(rf"(?<![\w.-])(?:{pattern})(?![\w-])", re.ASCII), check)
    for pattern, check in (
        (r"\d{17}[\dXx]", ric),  # China, resident identity card
        (r"\d{3}-\d\d-\d{4}", ssn),  # United States, social security
        (r"\d{2} ?\d{3} ?\d{3} ?\d{3}", idnr),  # Germany, tax id
        (r"[12] ?\d\d ?\d\d ?[\dAB]{2} ?\d{3} ?\d{3} ?\d\d", nir),  # France, social security
        (r"\d{8}-?[A-Za-z]", dni),  # Spain, identity card
        (r"[XYZxyz]-?\d{7}-?[A-Za-z]", nie),  # Spain, foreigners
        (r"[A-Za-z]{6}\d\d[A-Za-z]\d\d[A-Za-z]\d{3}[A-Za-z]", codicefiscale),  # Italy
        (r"\d{3}\.\d{3}\.\d{3}-\d\d|\d{11}", cpf),  # Brazil
        (r"(?!(?:19|20)\d\d )\d{4} \d{4} \d{4}", aadhaar),  # India
        (r"\d{6}-\d{7}", rrn),  # South Korea
    )
)
_NATIONAL_INSURANCE = re.compile(
    r"\b[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?\d\d ?\d\d ?\d\d ?[A-D]\b", re.ASCII
)
# Numbers as people write them at home, and the countries that may know them.
_BEFORE, _AFTER = r"(?<![\w/+-])(?<!\d[.:])", r"(?![\w-]|[.:]\d)"
_AT_HOME: Sequence[tuple[re.Pattern[str], Sequence[str]]] = tuple(
    (re.compile(f"{_BEFORE}(?:{pattern}){_AFTER}", re.ASCII), countries)
    for pattern, countries in (
        (
            r"\(?0\d{1,4}\)?(?:[ ./-]{0,2}\d{1,5}){1,5}",
            ("GB", "DE", "FR", "IT", "NL", "AT", "CH", "CN", "JP", "KR", "IN"),
        ),
        (r"\(?[2-9]\d\d\)?[ .-]{1,2}[2-9]\d\d[ .-]\d{4}", ("US",)),
        (r"1[3-9]\d[ -]?\d{4}[ -]?\d{4}", ("CN",)),
        (r"[6-9]\d{4} \d{5}", ("IN",)),
        (r"[67]\d\d(?: \d{2,3}){2,3}", ("ES",)),
        (r"3\d\d \d{3} ?\d{3,4}", ("IT",)),
        (r"\(\d\d\) ?9?\d{4}-\d{4}", ("BR",)),
    )
)
_ABROAD = re.compile(r"(?<![\w.:/+-])00([1-9]\d(?:[ ./()-]{0,2}\d){6,12})(?![\w-])", re.ASCII)
# Full width, as Chinese and Japanese keyboards write.
_WIDE = str.maketrans("０１２３４５６７８９＠＋．－（）　", "0123456789@+.-() ")


def mask_column(series: pl.Series, mask: Callable[[str], str]) -> pl.Series:
    """A column of texts with `mask` over those that may hold a detail; the others are not touched.

    Polars looks at all of them at once: most texts hold none.
    """
    suspects = series.str.contains(SUSPICIOUS)
    if not suspects.any():
        return series
    pairs = zip(series, suspects, strict=True)
    return pl.Series(series.name, [mask(text) if is_one else text for text, is_one in pairs])


def masked(text: str) -> str:
    """A text with each detail replaced by what it was, such as `(e-mail)`; the rest as it is."""
    plain = text.translate(_WIDE)
    kept = _masked(plain)
    return text if kept == plain else kept


def _masked(text: str) -> str:
    text = _KEYS.sub(KEY, text)
    text = _EMAIL.sub(EMAIL, text)
    if not any(character.isdigit() for character in text):
        return text
    text = _ACCOUNT.sub(lambda one: ACCOUNT if iban.is_valid(one[0].upper()) else one[0], text)
    for pattern, check in _IDS:
        text = pattern.sub(partial(_checked, check), text)
    text = _NATIONAL_INSURANCE.sub(NATIONAL_ID, text)
    text = _CARD.sub(lambda one: CARD if luhn.is_valid(_digits(one[0])) else one[0], text)
    return _without_phones(text)


def masked_json(text: str) -> str:
    """JSON text with each of its texts masked, keys and numbers as they are; a text that is no JSON
    is masked as a text.
    """
    try:
        held = decode(text.encode("utf-8", "replace"))
        kept = _masked_value(held)
        return text if kept == held else encode(kept)
    except ValueError:
        return masked(text)


def without_emails(text: str, replaced: Callable[[str], str]) -> str:
    """A text with what `replaced` makes of each e-mail address in it."""
    return _EMAIL.sub(lambda one: replaced(one[0]), text)


def _masked_value(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _masked_value(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_masked_value(inner) for inner in value]
    return masked(value) if isinstance(value, str) else value


def _checked(check: Any, found: re.Match[str]) -> str:
    return NATIONAL_ID if check.is_valid(found[0]) else found[0]


def _without_phones(text: str) -> str:
    if "+" in text:
        spans = [(one.start, one.end) for one in phonenumbers.PhoneNumberMatcher(text, None)]
        for start, end in reversed(spans):
            text = f"{text[:start]}{PHONE}{text[end:]}"
    text = _ABROAD.sub(lambda one: PHONE if _is_phone(f"+{one[1]}", None) else one[0], text)
    for pattern, countries in _AT_HOME:
        text = pattern.sub(partial(_at_home, countries), text)
    return text


def _at_home(countries: Sequence[str], found: re.Match[str]) -> str:
    digits = _digits(found[0])
    is_long = 9 <= len(digits) <= 12
    is_phone = is_long and any(_is_phone(digits, country) for country in countries)
    return PHONE if is_phone else found[0]


@lru_cache(maxsize=10_000)
def _is_phone(number: str, region: str | None) -> bool:
    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(number, region))
    except phonenumbers.NumberParseException:
        return False


def _digits(text: str) -> str:
    return re.sub(r"\D", "", text)
