"""What docs/settings.md says of each setting beside its prose: made of the settings' own words.

    python -m dify_etl_tests.settings_document

writes these lines anew. Headings and prose are written by hand; a test names what is missing.
"""

import re
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from annotated_types import Ge, Gt, Le
from pydantic.fields import FieldInfo

from dify_etl.setting_sources import is_secret
from dify_etl.settings import setting_names

DOCUMENT = Path(__file__).parents[1] / "docs" / "settings.md"
HEADING = re.compile(r"^### `(\w+)`\n\n(.*)$", re.MULTILINE)


def facts(name: str, field: FieldInfo) -> str:
    """One line: default, example, bounds or choices, whether it may stand in a file; then what
    the setting is.
    """
    told = [f"Default: {_shown(field.default)}", f"example: `{(field.examples or ['…'])[0]}`"]
    if choices := _choices(field.annotation):
        told.append("one of " + ", ".join(f"`{one}`" for one in choices))
    if bounds := _bounds(field):
        told.append(bounds)
    if is_secret(field):
        told.append(f"a secret: it may stand in the file that `{name}_FILE` names")
    return f"*{'; '.join(told)}.* {field.description}"


def _shown(default: Any) -> str:
    if default is None or default == "":
        return "none"
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


def _choices(annotation: Any) -> tuple[str, ...]:
    return get_args(annotation) if get_origin(annotation) is Literal else ()


def _bounds(field: FieldInfo) -> str:
    words = {Ge: ("at least", "ge"), Gt: ("more than", "gt"), Le: ("at most", "le")}
    found = [
        f"{word} {getattr(one, attribute)}"
        for one in field.metadata
        for kind, (word, attribute) in words.items()
        if isinstance(one, kind)
    ]
    return ", ".join(found)


def rewritten(text: str) -> str:
    """The document with its lines of facts as they are today."""
    fields = setting_names()

    def line(found: re.Match[str]) -> str:
        name = found[1]
        return f"### `{name}`\n\n{facts(name, fields[name])}" if name in fields else found[0]

    return HEADING.sub(line, text)


if __name__ == "__main__":
    DOCUMENT.write_text(rewritten(DOCUMENT.read_text("utf-8")), "utf-8")
