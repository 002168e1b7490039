"""docs/data-dictionary.md is that of today."""

import difflib

from dify_etl_tests.data_dictionary import DOCUMENT, data_dictionary


def test_data_dictionary_is_up_to_date() -> None:
    """`make dictionary` would change nothing."""
    held = DOCUMENT.read_text(encoding="utf-8").splitlines()
    made = data_dictionary().splitlines()
    told = list(difflib.unified_diff(held, made, "docs/data-dictionary.md", "of today", n=0))
    assert not told, "run `make dictionary`:\n" + "\n".join(told[:20])
