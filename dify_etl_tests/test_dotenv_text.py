"""Values go into a dotenv file so that python-dotenv reads exactly the same ones."""

from io import StringIO

import pytest
from dotenv import dotenv_values
from hypothesis import given
from hypothesis import strategies as some

from dify_etl.dotenv_text import with_values, with_variable

ODD = ("a b", "it's", 'say "x"', "a#b", "a #b", "$HOME", "${HOME}", "${", "}", "a\\", "\\\\",
       "\\'", "'", '"', " lead", "trail ", "ünï密码", "${:-x}", "$\\", "",
       "\\n", "a=b", "`x`")  # fmt: skip
BEFORE = "# mine\nexport A=old # why\n\nB='x # y'  # z\r\nC=\"q\"\n"


def same(value: str, text: str) -> bool:
    """Whether the value is read back, as a new variable and in the place of old ones."""
    out = with_values(text, dict.fromkeys("ABN", value))
    held = dotenv_values(stream=StringIO(out))
    return {held[name] for name in "ABN"} == {value} and (not text or held["C"] == "q")


@pytest.mark.parametrize("value", ODD)
def test_odd_value_is_read_back(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Quotes, signs, spaces and what looks like a variable."""
    monkeypatch.setenv("HOME", "not this")
    assert same(value, "")
    assert same(value, BEFORE)


@given(some.text(some.sampled_from("ab'\"\\ #$ {}:-=\tü"), max_size=12))
def test_any_value_is_read_back(value: str) -> None:
    """However these signs stand together."""
    assert same(value, BEFORE)


def test_comments_and_other_lines_stay() -> None:
    """Also those behind the value, and the line ends of the file."""
    assert with_variable(BEFORE, "A", "new").startswith("# mine\nexport A=new # why\r\n\nB=")
    assert "\nB=new  # z\r\n" in with_variable(BEFORE, "B", "new")
    assert with_variable("A=1", "B", "2") == "A=1\nB=2\n"
