"""What somebody may have meant who wrote a name that is none: other case, without signs, a part."""

import difflib
import unicodedata
from collections.abc import Iterable

MOST = 3
NEAR = 0.1  # so much less alike than the best of them


def did_you_mean(text: str, names: Iterable[str]) -> str:
    """`Did you mean 'a' or 'b'? ` with the nearest of the names; empty when none is near.

    The same letters and digits come first, whatever their case, accents and signs between them
    (emoji, spaces, dashes); then names of which the text is a part; then typing errors.
    """
    found = nearest(text, names)
    return f"Did you mean {' or '.join(map(repr, found))}? " if found else ""


def nearest(text: str, names: Iterable[str]) -> list[str]:
    """The nearest names, at most three, the best first."""
    wanted, known = _letters(text), sorted({*names} - {text})
    letters = {name: _letters(name) for name in known}
    same = [name for name in known if letters[name] == wanted] if wanted else []
    part = [name for name in known if wanted in letters[name]] if wanted else []
    part += [name for name in known if text.strip() and text.strip() in name]
    close = difflib.get_close_matches(wanted, [one for one in letters.values() if one], n=MOST)
    close = [one for one in close if _likeness(wanted, one) > _likeness(wanted, close[0]) - NEAR]
    typed = [name for one in close for name in known if letters[name] == one]
    return list(dict.fromkeys([*same, *part, *typed]))[:MOST]


def _likeness(one: str, other: str) -> float:
    return difflib.SequenceMatcher(None, one, other).ratio()


def _letters(text: str) -> str:
    """Letters and digits alone, in one case, without accents."""
    plain = unicodedata.normalize("NFKD", text)
    return "".join(one for one in plain if one.isalnum()).casefold()
