"""YAML for git: what was a text of many lines is one in the file, and reads back exactly."""

from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dify_etl.operations.bounded_yaml import read_yaml
from dify_etl.operations.readable_yaml import yaml_text

# What YAML gives a meaning, what PyYAML escapes, and what readers take for the end of a line.
TELLING = " \t\n\r\x85\u2028\u2029\ufeff\ufffe\x00\x1b\x7f:#-?'\"\\{}[],&*!|>%@`~=yn01e.😀中é"
WORDS = ["yes", "1e3", "0o7", "2024-01-01", "~", "=", "<<", "", "1_000", "1:20", "---", "...", "!x"]
characters = st.sampled_from(TELLING) | st.characters(exclude_categories=["Cs"])
texts = (
    st.text(characters, max_size=25)
    | st.text(st.sampled_from(" \t\na"), max_size=10)
    | st.sampled_from(WORDS)
)
scalars = texts | st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False)
documents = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=300, deadline=None, database=None)
@example("--- a\n...\n")
@example("\t\tindented first\n")
@example("\n\n  \n after blank lines\n\n\n")
@example("only CR\rhere\r\n")
@given(documents)
def test_every_document_reads_back_exactly(document: Any) -> None:
    """By the parser in C and the one in Python, in lists and below names; written again, nothing
    changes.
    """
    whole = {"a": document, "l": [document, [document]]}
    text = yaml_text(whole)
    assert read_yaml(text) == whole
    assert yaml.load(text, Loader=yaml.SafeLoader) == whole
    assert yaml_text(read_yaml(text)) == text


PROMPT = "You are a bot.{}\n\n- Answer in 中文 😀\n"


@pytest.mark.parametrize("end", ["", " ", "   ", "\t", " \t "])
def test_blank_and_tab_leave_a_prompt_readable(end: str) -> None:
    """A literal block carries them: the lines of the file are those of the prompt."""
    text = yaml_text({"prompt": PROMPT.format(end)})
    assert text == f"prompt: |\n  You are a bot.{end}\n\n  - Answer in 中文 😀\n"


@pytest.mark.parametrize("odd", ["\r", "\ufeff", "\x85", "\u2028", "\x00", "\x1b"])
def test_what_no_block_can_carry_leaves_a_line_per_line(odd: str) -> None:
    """Escaped where it stands, and the other lines are as they are."""
    prompt = PROMPT.format(odd)
    lines = yaml_text({"prompt": prompt}).splitlines()
    assert lines[0].startswith('prompt: "You are a bot.\\')
    assert lines[-1] == '  - Answer in 中文 😀\\n"'
    assert odd not in "\n".join(lines)


def test_blanks_at_the_beginning_of_an_escaped_line_stay() -> None:
    """Readers would skip them."""
    text = yaml_text({"code": "if x:\r\n  y\r\n"})
    assert text == 'code: "if x:\\r\\n\\\n  \\  y\\r\\n"\n'
    assert read_yaml(text) == {"code": "if x:\r\n  y\r\n"}


def test_numbers_of_newer_readers_are_quoted_too() -> None:
    """Whoever reads the file by YAML 1.2 gets the text."""
    assert yaml_text({"a": "1e3", "b": "0o7"}) == "a: '1e3'\nb: '0o7'\n"


def test_half_a_character_is_refused() -> None:
    """No file in UTF-8 holds it."""
    with pytest.raises(ValueError, match="half a character"):
        yaml_text({"text": "a\ud800"})
