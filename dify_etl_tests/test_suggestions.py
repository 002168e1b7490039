"""Which names somebody may have meant."""

import pytest

from dify_etl.suggestions import did_you_mean, nearest

NAMES = ("Support bot 🤖", "Sales-Assistent", "Übersetzer", "翻译助手", "Invoice check", "🚲")


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("suport bot", "Support bot 🤖"),
        ("SUPPORT BOT", "Support bot 🤖"),
        ("salesassistent", "Sales-Assistent"),
        ("invoice", "Invoice check"),
        ("ubersetzer", "Übersetzer"),
        ("翻译", "翻译助手"),
        ("🚲🚲", None),
        ("zzz", None),
        ("", None),
    ],
)
def test_nearest_name(text: str, first: str | None) -> None:
    """Case, accents, signs, a part and typing errors are seen through; nothing is made up."""
    assert next(iter(nearest(text, NAMES)), None) == first


def test_sentence() -> None:
    """Only names that are nearly as near as the nearest are named."""
    assert did_you_mean("TIMZONE", ("TIMEZONE", "TEXT")) == "Did you mean 'TIMEZONE'? "
    assert did_you_mean("zzz", NAMES) == ""
