"""The text of a dotenv file: one variable changed, every other line as it was.

Values are written so that python-dotenv, which reads `.env` here, has exactly the same value.
"""

import re
from io import StringIO

from dotenv import dotenv_values
from dotenv.parser import Binding, parse_stream

BOM = "\ufeff"
_PLAIN = re.compile(r"[\w@%+=:,./~-]*", re.ASCII)
# What stands before the value; the value, as the parser takes it; spaces and a comment behind it.
_LINE = re.compile(
    r"""(?P<lead>\s*(?:export\s+)?)[^\s=]+[^\S\r\n]*(?:=[^\S\r\n]*
    (?:'(?:\\'|[^'])*'|"(?:\\"|[^"])*"|[^\r\n]*?(?=\s+\#|\s*$)))?
    (?P<tail>[^\S\r\n]+\#[^\r\n]*)?\s*""",
    re.VERBOSE,
)


class ValueUnwritable(ValueError):
    """No way of writing this value is read back as the same value."""


def bindings_of(text: str) -> list[Binding]:
    """The lines of a file as python-dotenv parses them, comments and errors too."""
    return list(parse_stream(StringIO(text.removeprefix(BOM))))


def with_variable(text: str, name: str, written: str) -> str:
    """The same file with one variable changed, or added at the end; comments stay, those behind its
    value too. `written` is the value as it is to stand there, see `written_value`.
    """
    bom = BOM if text.startswith(BOM) else ""
    line_end = "\r\n" if "\r\n" in text else "\n"
    line = f"{name}={written}"
    bindings = bindings_of(text)
    # For readers the last of several wins, so all are changed.
    out = bom + "".join(
        _changed(one.original.string, line) + line_end if one.key == name else one.original.string
        for one in bindings
    )
    if any(one.key == name for one in bindings):
        return out
    return out + ("" if not out or out.endswith("\n") else line_end) + line + line_end


def with_values(text: str, values: dict[str, str]) -> str:
    """The file with all these values. ValueUnwritable names a variable that would not be read back
    as the same value.
    """
    for name, value in values.items():
        text = with_variable(text, name, written_value(value))
    held = dotenv_values(stream=StringIO(text.removeprefix(BOM)))
    for name, value in values.items():
        if held.get(name) != value:
            raise ValueUnwritable(name)
    return text


def written_value(value: str) -> str:
    """A value as it is to stand in the file: plain, or in single quotes.

    python-dotenv puts variables into every value, quoted or not, and has no sign against it; the
    default of a variable without a name is what it takes literally. A backslash before the closing
    quote would take that with it.
    """
    if _PLAIN.fullmatch(value):
        return value
    escaped = value.replace("\\", "\\\\").replace("'", "\\'").replace("${", "${:-${}")
    if value.endswith("\\"):
        escaped = escaped.removesuffix("\\\\") + "${:-\\\\}"
    return f"'{escaped}'"


def _changed(binding: str, line: str) -> str:
    """Blank lines and `export` before the name, and a comment behind the value, stay."""
    found = _LINE.match(binding)
    assert found is not None  # the parser has found a name there
    return found["lead"] + line + (found["tail"] or "")
