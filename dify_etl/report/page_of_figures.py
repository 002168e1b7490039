"""The HTML of a report: figures, sentences, scripts and styles in one file that loads nothing.

Texts of strangers stand in a block of JSON, which no browser runs, and reach the page as text
alone. The page's policy lets it run the two scripts of this file and ask no address at all.
"""

import base64
import hashlib
import json
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from string import Template
from typing import Any, Literal

import orjson

from dify_etl.report.figures import Figures

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, ...] = ("en", "zh")
Sentences = dict[str, dict[str, str]]  # key -> language -> sentence

GENERATOR = "dify-etl report"
ECHARTS = "echarts/echarts.common.min.js"
SCRIPTS = (
    "exact.js",
    "figures.js",
    "sentences.js",
    "elements.js",
    "charts.js",
    "sections_of_usage.js",
    "sections_of_operation.js",
    "main.js",
)
# What ends or opens markup in a script element, and line ends that only JSON takes for text.
_ESCAPED = {ord(one): f"\\u{ord(one):04x}" for one in "<>&\u2028\u2029"}


def page_of(figures: Figures, *, state: str, language: Language | None) -> bytes:
    """The file, in UTF-8. Without a language it opens in the reader's.

    `state` comes back from `dify_etl.report.writing.state_of_file`.
    """
    about = {**figures["about"], "language": language, "made_by": version("dify-etl")}
    style, charts, script = _text("style.css"), _text(ECHARTS), _script()
    sentences = page_sentences()
    page = Template(_text("page.html")).substitute(
        language="zh-Hans" if language == "zh" else "en",
        policy=_policy(style, charts, script),
        generator=GENERATOR,
        state=state,
        chosen=language or "",
        style=style,
        noscript=" ".join(sentences["noscript"].values()),
        data=_json({**figures, "about": about, "sentences": sentences}),
        charts=charts,
        script=script,
    )
    return page.encode()


@cache
def page_sentences() -> Sentences:
    """What the page says, in each language."""
    held: Sentences = json.loads(_text("sentences.json"))
    return held


@cache
def _script() -> str:
    return '"use strict";\n' + "".join(_text(name) for name in SCRIPTS)


@cache
def _text(name: str) -> str:
    return (files("dify_etl.report") / "page" / name).read_text("utf-8")


def _json(value: Any) -> str:
    return orjson.dumps(value).decode().translate(_ESCAPED)


def _policy(style: str, *scripts: str) -> str:
    """What the page may load: nothing; and run: what has these hashes."""
    run = " ".join(_hash(one) for one in scripts)
    return (
        f"default-src 'none'; script-src {run}; style-src {_hash(style)}; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
