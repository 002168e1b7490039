"""Names that are looked for in texts: which are, how JSON, CSV and links write them, and how one
whose pseudonym alone is known is found again.

A plain word of ASCII (`anna-7`, `anna@example.com`) is found by its length among all words of a
text. Any other name (`auth0|507f`, `jörg@firma.de`) is found by its shape: how long its parts are,
and what stands between them.
"""

import re
from collections.abc import Collection, Iterator
from functools import lru_cache

import polars as pl

_WORD = r"[A-Za-z0-9_@+-]+(?:\.[A-Za-z0-9_@+-]+)*"
# In JSON the letter behind a backslash is none of the word.
PLAIN_WORDS = re.compile(rf"\\u[0-9a-fA-F]{{4}}|\\.|{_WORD}")
_SHORTEST, _LONGEST = 6, 512
# user-1 is not in user-10, and anna@x.de not in joanna@x.de or eva.anna@x.de.
_BEGIN = r"(?:(?<![\w@+-])(?<![\w@+-]\.)|(?<=\\[nrtbf])|(?<=\\u[0-9a-fA-F]{4}))"
_END = r"(?!\.?[\w@+-])"
_PARTS = re.compile(r"[A-Za-z0-9]+|[^\x00-\x7f]+|.", re.ASCII | re.DOTALL)
_SHAPE = re.compile(r"a(\d+)|u(\d+)-(\d+)|(.)", re.DOTALL)
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
# What JSON may write behind a backslash.
_ESCAPED = frozenset('"/')


def is_searched(name: str) -> bool:
    """Whether a name is looked for in texts: an e-mail address or an id, and no plain word.

    No number either: those stand in JSON without quotes, and mean anything.
    """
    return (
        _SHORTEST <= len(name) <= _LONGEST
        and name.isprintable()
        and not any(letter.isspace() for letter in name)
        and any(letter.isalpha() for letter in name)
        and not name.isalpha()
        and re.fullmatch(r"[\d.+-]+[eE][\d+-]+", name) is None
    )


def word_length(name: str) -> int | None:
    """By which a name is found among the plain words of a text; None: it is none, or not searched.

    >>> word_length("anna-7"), word_length("auth0|507f")
    (6, None)
    """
    return len(name) if is_searched(name) and re.fullmatch(_WORD, name) else None


def word_shape(name: str) -> str | None:
    """By which any other name is found; None: it is a plain word, or not searched.

    >>> word_shape("auth0|507f"), word_shape("jörg.b@x.de")
    ('a5|a4', 'a1u1-1a2.a1@a1.a2')
    """
    if not is_searched(name) or re.fullmatch(_WORD, name):
        return None
    return "".join(_part_shape(part) for part in _PARTS.findall(name))


def _part_shape(part: str) -> str:
    if not part.isascii():
        return f"u{len(part)}-{len(_units(part))}"
    return f"a{len(part)}" if part.isalnum() else part


def of_shapes(texts: pl.Series, shapes: Collection[str]) -> Iterator[tuple[str, str]]:
    """What in these texts has one of these shapes: as it is written there, and plain."""
    if not shapes:
        return
    patterns = [_of_shape(one) for one in shapes]
    near = texts.filter(texts.str.contains("|".join(patterns)).fill_null(value=False))
    found: set[str] = set()
    for pattern in patterns if len(near) else ():
        # Behind a look at each place, as one may begin within another.
        anywhere = re.compile(rf"{_BEGIN}(?=({pattern}){_END})", re.ASCII)
        found.update(one[1] for text in near for one in anywhere.finditer(text))
    for written in found:
        for name in _plain(written):
            yield written, name


@lru_cache(maxsize=1024)
def _of_shape(shape: str) -> str:
    """A pattern of what has this shape, in JSON too; Polars takes it as well as Python."""
    pattern = ""
    for ascii_length, length, units, separator in _SHAPE.findall(shape):
        if separator:
            pattern += _written_separator(separator)
        elif ascii_length:
            pattern += f"[A-Za-z0-9]{{{ascii_length}}}"
        else:
            pattern += rf"(?:[^\x00-\x7f]|\\+u[0-9a-fA-F]{{4}}){{{length},{units}}}"
    return pattern


def _written_separator(separator: str) -> str:
    if separator == "\\":
        return r"\\+"
    return (r"\\*" if separator in _ESCAPED else "") + re.escape(separator)


def _plain(written: str) -> Iterator[str]:
    """What may be meant: as it stands there, in JSON, in JSON inside JSON, and so on."""
    yield written
    while (text := _unescaped(written)) != written:
        yield (written := text)


def _unescaped(text: str) -> str:
    text = _ESCAPE.sub(lambda one: chr(int(one[1], 16)) if one[1] else one[2], text)
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def standing_alone(names: Collection[str]) -> re.Pattern[str]:
    """These texts where no letter or digit of ASCII stands beside them."""
    ordered = sorted(map(re.escape, names), key=len, reverse=True)
    return re.compile(f"{_BEGIN}(?:{'|'.join(ordered)}){_END}", re.ASCII)


def names_in_files(names: Collection[str], *, alone: bool = True) -> re.Pattern[bytes]:
    """Names as words of a file in UTF-8, however JSON, CSV, links and XML write them; an address in
    any spelling. Not `alone`: within longer words, too.
    """
    ordered = sorted(names, key=len, reverse=True)
    words = "|".join(_written(one) for one in ordered)
    pattern = f"{_BEGIN}(?:{words}){_END}" if alone else words
    return re.compile(pattern.encode(), re.ASCII)


def _written(name: str) -> str:
    is_address = "@" in name
    word = "".join(_written_letter(letter, is_address) for letter in name)
    return f"(?i:{word})" if is_address else word


_PLAIN_LETTERS = frozenset("_-. ")
# Of XML and HTML, and of CSV.
_OF_FORMATS = (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;"), ('"', '""'))


def _written_letter(letter: str, is_address: bool) -> str:
    if letter.isascii() and (letter.isalnum() or letter in _PLAIN_LETTERS):
        return re.escape(letter)
    if letter.isascii():
        forms = [_written_separator(letter), f"%{ord(letter):02x}"]
        forms += [one for of, one in _OF_FORMATS if of == letter]
        return f"(?i:{'|'.join(forms)})"
    spellings = {letter, letter.lower(), letter.upper()} if is_address else {letter}
    forms = []
    for one in sorted(spellings):
        escapes = "".join(rf"\\+u{unit:04x}" for unit in _units(one))
        in_links = "".join(f"%{byte:02x}" for byte in one.encode("utf-8", "replace"))
        forms += [re.escape(one), f"(?i:{escapes})", f"(?i:{in_links})"]
    return f"(?:{'|'.join(forms)})"


def _units(text: str) -> list[int]:
    """The code units of UTF-16, of which JSON writes each as one escape."""
    encoded = text.encode("utf-16-be", "surrogatepass")
    return [int.from_bytes(encoded[at : at + 2], "big") for at in range(0, len(encoded), 2)]
