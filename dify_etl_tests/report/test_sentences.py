"""Both languages say the same things, and every sentence is said."""

import re
from importlib.resources import files

from dify_etl.report.page_of_figures import LANGUAGES, SCRIPTS, page_sentences

# Groups of words for values that stand in tables.
WORDS = re.compile(r"word\(\"(\w+)\"|say\(`(\w+)\.\$\{")
SCRIPT = "".join((files("dify_etl.report") / "page" / name).read_text("utf-8") for name in SCRIPTS)
CHINESE = re.compile("[\u4e00-\u9fff]")
THE_SAME = {"mode.agent-chat", "mode.advanced-chat", "figure.dify"}  # Dify's own words in both


def test_languages_have_the_same_sentences() -> None:
    """Each key in each language, with the same places for values, and Chinese is Chinese."""
    for key, held in page_sentences().items():
        assert held.keys() == set(LANGUAGES), key
        assert len({frozenset(re.findall(r"\{\w+\}", one)) for one in held.values()}) == 1, key
        assert (held["zh"] == held["en"]) == (key in THE_SAME), key
        assert CHINESE.search(held["zh"]) or key in THE_SAME or key.startswith("kind."), key


def test_every_sentence_is_said() -> None:
    """Each key stands in a script, alone or by its group; each that is said is there."""
    keys = page_sentences().keys()
    groups = {name for found in WORDS.findall(SCRIPT) for name in found if name}
    quoted = set(re.findall(r"\"([a-z_0-9.]+)\"", SCRIPT))
    unsaid = {key for key in keys if key not in quoted and key.partition(".")[0] not in groups} - {
        "noscript"
    }
    assert unsaid == set()
    assert set(re.findall(r"(?:say|note)\(\"([^\"]+)\"", SCRIPT)) - keys == set()
