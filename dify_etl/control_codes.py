"""Texts of strangers, so that nothing obeys them: neither a terminal nor what reads a log.

Names and messages in Dify, and what its server says, are texts of strangers.
"""

import re

# C0 but tab and newline, DEL, C1; marks and isolates of direction; line and paragraph separators.
_OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def harmless(text: str) -> str:
    """The text with everything that a terminal would obey written out, as `\\x1b`."""
    return _OBEYED.sub(lambda found: found[0].encode("unicode_escape").decode(), text)
