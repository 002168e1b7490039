"""Personal details in free text, each replaced by what it was: DIFY_ETL_TEXT=mask.

E-mail addresses, phone numbers, numbers of cards and accounts, national ids, keys and tokens. What
is told by a check digit or a numbering plan is checked (python-stdnum, phonenumbers), so that the
number of an order stays. Names and addresses of people are not found: drop is for these.
"""

import re
from collections.abc import Callable, Sequence
from functools import cache, lru_cache, partial
from itertools import pairwise
from typing import Any

import phonenumbers
import polars as pl
from stdnum import ean, iban, luhn, numdb
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
from dify_etl.dify.http.secret_shapes import KEYS_SUSPICIOUS, keys_replaced

EMAIL, PHONE, CARD, ACCOUNT, NATIONAL_ID, KEY = (
    *("(e-mail)", "(phone)", "(card)", "(bank account)", "(national id)", "(key)"),
)

# What a text has that holds any of them; for Polars, which looks at whole columns.
SUSPICIOUS = (
    r"[@＠]|%40|%2[Bb]\d|\d(?:[\s().\u00a0/-]{0,3}\d){5}|[A-Za-z]{6}\d\d[A-Za-z]\d\d|"
    + KEYS_SUSPICIOUS
)

# Words of letters and digits end where those of ASCII do: in Chinese no blank stands around them.
# All repeats are bounded: a text of 100,000 letters takes no second look at each of them.
# Letters of scripts with blanks between words: Latin, Greek, Cyrillic, Armenian, Hebrew, Arabic.
_MORE = "\u00c0-\u024f\u0370-\u06ff"
_LETTER = f"A-Za-z0-9{_MORE}"
_HAN = "\u3041-\u30ff\u3400-\u9fff\uac00-\ud7a3"  # Chinese, Japanese, Korean
_EMAIL = re.compile(
    rf"[{_LETTER}.!#$%&'*+/=?^_`{{|}}~-]{{1,64}}@(?:[{_LETTER}-]{{1,63}}\.){{1,9}}"
    rf"[A-Za-z{_MORE}]{{2,24}}"
)
# In Chinese nobody knows where a domain ends: by those that there are.
_EMAIL_OF_HAN = re.compile(
    rf"[{_LETTER}{_HAN}._+-]{{1,20}}@(?:[{_LETTER}{_HAN}-]{{1,63}}\.){{1,9}}"
    r"(?:公司|网络|網絡|中国|中國|中文网|网址|网站|商城|集团|在线|香港|台湾|台灣|新加坡|我爱你|移动|公益|"
    r"政务|组织机构|机构|企业|商店|信息|世界|手机|みんな|コム|한국|닷컴|닷넷|[A-Za-z]{2,24})"
)
# As it stands in an address or a form.
_EMAIL_IN_ADDRESS = re.compile(
    r"(?<![A-Za-z0-9._%+-])(?:[A-Za-z0-9._+-]|%(?!40)[0-9A-Fa-f]{2}){1,64}%40"
    r"(?:[A-Za-z0-9-]{1,63}\.){1,9}[A-Za-z]{2,24}"
)
_PHONE_IN_ADDRESS = re.compile(r"%2[Bb](\d{8,15})(?!\d)")
_BEGIN_OF_ACCOUNT = re.compile(r"(?<![A-Za-z0-9])([A-Za-z]{2})\d\d(?=[ -]?[A-Za-z0-9])")
_DIGITS_OF_BBAN = re.compile(r"\d+")
_RUN_OF_DIGITS = re.compile(r"(?<![\w.+-])\d(?:[ -]?\d){11,79}(?![\w-]|\.\d)", re.ASCII)
_GROUP = re.compile(r"\d+", re.ASCII)
# The first digits of cards, and how many a number of such has (ISO/IEC 7812).
_ISSUERS: Sequence[tuple[re.Pattern[str], range | Sequence[int]]] = tuple(
    (re.compile(first), lengths)
    for first, lengths in (
        (r"4", (13, 16, 19)),  # Visa
        (r"5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720", (16,)),  # Mastercard
        (r"3[47]", (15,)),  # American Express
        (r"3(?:0[0-5]|[689])", (14,)),  # Diners Club
        (r"35(?:2[89]|[3-8])", range(16, 20)),  # JCB
        (r"6011|64[4-9]|65|60[0-9]|508|8[12]", (16, 19)),  # Discover, RuPay
        (r"62", range(16, 20)),  # UnionPay
        (r"50(?:18|20|38)|56|57|58|6304|67", (16, 18, 19)),  # Maestro
        (r"220[0-4]", range(16, 20)),  # Mir
    )
)
LEAST_OF_CARD, MOST_OF_CARD = 13, 19
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
# A day with an hour behind, 07.12.2026 12, is none.
_NO_DATE = (
    r"(?!(?:0[1-9]|[12]\d|3[01])(?P<by>[./-])(?:0[1-9]|[12]\d|3[01])(?P=by)"
    r"(?:(?:19|20)\d\d|2\d)(?![\d./-]))"
)
_AT_HOME: Sequence[tuple[re.Pattern[str], Sequence[str]]] = tuple(
    (re.compile(f"{_BEFORE}(?:{pattern}){_AFTER}", re.ASCII), countries)
    for pattern, countries in (
        (
            _NO_DATE + r"\(?0\d{1,4}\)?(?:[ ./-]{0,2}\d{1,5}){1,5}",
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
# Names of a graph below which ids stand, and ways to variables.
_REFERENCES = re.compile(
    r"(?:id|source|target|sourceHandle|targetHandle|parentId|.*_id|.*Id|.*selector|variable|key)"
)
_PLAIN_WORD = re.compile(r"[A-Za-z0-9_.#-]{1,200}")
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
    text = keys_replaced(text, KEY)
    if "@" in text:
        text = _EMAIL_OF_HAN.sub(EMAIL, _EMAIL.sub(EMAIL, text))
    if "%40" in text:
        text = _EMAIL_IN_ADDRESS.sub(EMAIL, text)
    if not any(character.isdigit() for character in text):
        return text
    text = _without_accounts(text)
    for pattern, check in _IDS:
        text = pattern.sub(partial(_checked, check), text)
    text = _NATIONAL_INSURANCE.sub(NATIONAL_ID, text)
    text = _RUN_OF_DIGITS.sub(_without_cards, text)
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


def masked_graph(text: str) -> str:
    """The graph of a workflow masked as JSON, but for the words by which its nodes know each other:
    ids are numbers of the editor, which figures are joined by.
    """
    try:
        held = decode(text.encode("utf-8", "replace"))
    except ValueError:
        return masked(text)
    kept = _masked_value(held, keeps=_REFERENCES)
    return text if kept == held else encode(kept)


def without_emails(text: str, replaced: Callable[[str], str]) -> str:
    """A text with what `replaced` makes of each e-mail address in it."""
    return _EMAIL.sub(lambda one: replaced(one[0]), text)


def _masked_value(value: Any, *, keeps: re.Pattern[str] | None = None, name: str = "") -> Any:
    """JSON with its texts masked; single words below names that `keeps` matches stay."""
    if isinstance(value, dict):
        return {key: _masked_value(inner, keeps=keeps, name=key) for key, inner in value.items()}
    if isinstance(value, list):
        return [_masked_value(inner, keeps=keeps, name=name) for inner in value]
    if not isinstance(value, str):
        return value
    is_kept = keeps is not None and keeps.fullmatch(name) and _PLAIN_WORD.fullmatch(value)
    return value if is_kept else masked(value)


def _without_accounts(text: str) -> str:
    """Each IBAN of a text, by the length that its country gives it, becomes `(bank account)`."""
    kept, end = [], 0
    for begin in _BEGIN_OF_ACCOUNT.finditer(text):
        length = _length_of_account(begin[1].upper())
        if begin.start() < end or length is None:
            continue
        found = _rest_of_account(length).match(text, begin.start())
        if found is not None and _is_account(found[0]):
            kept += [text[end : begin.start()], ACCOUNT]
            end = found.end()
    return "".join([*kept, text[end:]])


def _is_account(text: str) -> bool:
    # By its check digits: the lists of banks that python-stdnum has for some countries lack many.
    return bool(iban.is_valid(text.upper(), check_country=False))


@cache
def _length_of_account(country: str) -> int | None:
    """How many letters and digits an IBAN of a country has; None of one without them."""
    bban = numdb.get("iban").info(country)[0][1].get("bban")
    return None if bban is None else 4 + sum(map(int, _DIGITS_OF_BBAN.findall(bban)))


@cache
def _rest_of_account(length: int) -> re.Pattern[str]:
    return re.compile(rf"[A-Za-z]{{2}}\d\d(?:[ -]?[A-Za-z0-9]){{{length - 4}}}(?![A-Za-z0-9])")


def _without_cards(found: re.Match[str]) -> str:
    """Numbers with single blanks or hyphens between; a card is some groups of digits in a row, and
    what stands beside it (its expiry, its code) is none of it.
    """
    run = found[0]
    groups = [one.span() for one in _GROUP.finditer(run)]
    kept, end, first = [], 0, 0
    while first < len(groups):
        last = _last_of_card(run, groups, first)
        if last is not None:
            kept += [run[end : groups[first][0]], CARD]
            end, first = groups[last][1], last
        first += 1
    return "".join([*kept, run[end:]])


def _last_of_card(run: str, groups: Sequence[tuple[int, int]], first: int) -> int | None:
    """With which group the card ends that begins with this one; None: none does."""
    digits = ""
    for last in range(first, len(groups)):
        begin, end = groups[last]
        digits += run[begin:end]
        if len(digits) > MOST_OF_CARD:
            return None
        if len(digits) >= LEAST_OF_CARD and _is_card(digits):
            return last
        if end - begin < 3:  # of a card only the last group may be so short
            return None
    return None


def _is_card(digits: str) -> bool:
    is_issued = any(first.match(digits) and len(digits) in of for first, of in _ISSUERS)
    if not is_issued or not luhn.is_valid(digits):
        return False
    return len(digits) != 13 or not ean.is_valid(digits)  # the number of a product


def _checked(check: Any, found: re.Match[str]) -> str:
    return NATIONAL_ID if check.is_valid(found[0]) else found[0]


def _without_phones(text: str) -> str:
    if "+" in text:
        spans = [(one.start, one.end) for one in phonenumbers.PhoneNumberMatcher(text, None)]
        for start, end in reversed(spans):
            text = f"{text[:start]}{PHONE}{text[end:]}"
    if "%2" in text:
        text = _PHONE_IN_ADDRESS.sub(
            lambda one: PHONE if _is_phone(f"+{one[1]}", None) else one[0], text
        )
    text = _ABROAD.sub(lambda one: PHONE if _is_phone(f"+{one[1]}", None) else one[0], text)
    for pattern, countries in _AT_HOME:
        text = pattern.sub(partial(_at_home, countries), text)
    return text


def _at_home(countries: Sequence[str], found: re.Match[str]) -> str:
    if _is_counted(found[0]):
        return found[0]
    digits = _digits(found[0])
    is_long = 9 <= len(digits) <= 12
    is_phone = is_long and any(_is_phone(digits, country) for country in countries)
    return PHONE if is_phone else found[0]


def _is_counted(text: str) -> bool:
    """Whether it is a row of numbers such as 01 02 03 04."""
    numbers = [int(one) for one in _GROUP.findall(text)]
    steps = {after - before for before, after in pairwise(numbers)}
    return len(numbers) > 3 and len(steps) == 1 and max(map(abs, steps)) <= 1


@lru_cache(maxsize=10_000)
def _is_phone(number: str, region: str | None) -> bool:
    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(number, region))
    except phonenumbers.NumberParseException:
        return False


def _digits(text: str) -> str:
    return re.sub(r"\D", "", text)
