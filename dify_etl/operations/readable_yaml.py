"""YAML for git: a text of several lines is written line by line, and read back exactly.

PyYAML's own emitter puts a text into one escaped line as soon as a line ends with a blank or holds
a tab. A literal block carries both. What no block can carry (a carriage return, a byte order mark,
control characters, the line ends of Unicode) is escaped, in quotes that go on over the lines.
"""

import re
from typing import Any

import yaml

# What readers of a literal block hand back as it is. They take the other line ends for their own.
_BEYOND_ASCII = r"\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010fffd"
_BLOCK = re.compile(rf"[\t\n\x20-\x7e{_BEYOND_ASCII}]+")
_ESCAPED = re.compile(rf"[^\x20\x21\x23-\x5b\x5d-\x7e{_BEYOND_ASCII}]")
_HALF = re.compile("[\ud800-\udfff]")
# Each line with its end, and what comes behind the last.
_END = r"\n\r\x85\u2028\u2029"
_LINES = re.compile(rf"[^{_END}]*(?:\r\n|[{_END}])|[^{_END}]+")
# Numbers to readers of YAML 1.2, though not to Dify's.
_NEWER_NUMBER = re.compile(r"0o[0-7]+|[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)[eE][-+]?[0-9]+")
_NAMES = {"\t": "t", "\n": "n", "\r": "r", "\x85": "N", "\u2028": "L", "\u2029": "P", "\0": "0"}
_NAMES |= {"\x1b": "e", "\x07": "a", "\x08": "b", "\x0b": "v", "\x0c": "f", '"': '"', "\\": "\\"}


def yaml_text(document: Any) -> str:
    """The document as YAML that reads back as the same: keys in order, block style, LF, no folded
    lines, equal parts written out each time. ValueError for half a character, which no file holds.
    """
    text: str = yaml.dump(
        document,
        Dumper=_Dumper,
        sort_keys=True,
        allow_unicode=True,
        default_flow_style=False,
        width=float("inf"),
    )
    return text


class _Dumper(yaml.SafeDumper):  # type: ignore[misc]  # yaml ships no types
    def ignore_aliases(self, data: Any) -> bool:
        return True

    def analyze_scalar(self, scalar: str) -> Any:
        analysis = super().analyze_scalar(scalar)
        analysis.allow_block = _BLOCK.fullmatch(scalar) is not None
        return analysis

    def determine_block_hints(self, text: str) -> str:
        """Readers find the indentation by the first line, unless that begins with a blank."""
        hints: str = super().determine_block_hints(text)
        return f"{self.best_indent}{hints}" if text.startswith("\t") else hints

    def write_double_quoted(self, text: str, split: bool = True) -> None:
        """`split`: a new line in the file for each line of the text; a name stays on one."""
        lines = _LINES.findall(text) if split else [text]
        self.write_indicator('"', True)
        for number, line in enumerate(lines):
            told = _ESCAPED.sub(_escaped, line)
            if number:
                self.stream.write("\\")
                self.write_indent()
                # Readers skip blanks at the beginning, but not an escaped one.
                told = f"\\{told}" if told.startswith(" ") else told
            self.column += len(told)
            self.stream.write(told)
        self.write_indicator('"', False)


def _escaped(found: re.Match[str]) -> str:
    character = found[0]
    if character in _NAMES:
        return f"\\{_NAMES[character]}"
    code = ord(character)
    if code > 0xFFFF:
        return f"\\U{code:08X}"
    return f"\\u{code:04X}" if code > 0xFF else f"\\x{code:02X}"


def _text(dumper: _Dumper, value: str) -> Any:
    if _HALF.search(value):
        raise ValueError("a text is half a character")
    style = "'" if _NEWER_NUMBER.fullmatch(value) else None
    if value and not _BLOCK.fullmatch(value):
        style = '"'
    elif "\n" in value:
        style = "|"
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)
