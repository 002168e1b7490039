"""`dify-etl docs`: pages, sections, and what is said where there is none."""

import pytest
from typer.testing import CliRunner

from dify_etl.cli.main import app
from dify_etl.manual import known_names, pages, sections, text_of

PAGE = """# Page

One.

## A `name`, Other

```sh
# no heading
```

### Below

## Last
"""


def test_section_ends_at_the_next_of_its_size() -> None:
    """What is smaller belongs to it, and a comment in a block of code is no heading."""
    _, first, below, last = sections(PAGE)
    assert first.anchor == "a-name-other"
    assert first.names == ["A `name", "Other"]
    assert first.text == PAGE[PAGE.index("## A") : PAGE.index("## Last")].rstrip() + "\n"
    assert (below.text, last.text) == ("### Below\n", "## Last\n")


@pytest.mark.parametrize(
    "name", ["troubleshooting", "docs/troubleshooting.md", "TROUBLESHOOTING", "readme"]
)
def test_page_goes_by_its_name(name: str) -> None:
    """As the list says it, or as a document links to it."""
    assert text_of(name) in pages().values()


@pytest.mark.parametrize(
    "name", ["is_whole", "docs/troubleshooting.md#is_whole", "troubleshooting#is_whole"]
)
def test_section_goes_by_check_or_anchor(name: str) -> None:
    """And by the name of an error, whatever its case."""
    assert str(text_of(name)).startswith("### `is_whole`\n")
    assert text_of("accountlocked") == text_of("LoginRefused")


def test_what_is_not_there_gets_the_nearest_names() -> None:
    """And no text of another page."""
    assert text_of("troubleshooting#nothing") is None
    shown = CliRunner().invoke(app, ["docs", "is_hole"])
    assert shown.exit_code == 2
    assert "'is_whole'" in shown.output


def test_list_has_every_page() -> None:
    """With its title; and what is asked for is shown as it is written."""
    listed = CliRunner().invoke(app, ["docs"]).output
    assert [line.split()[0] for line in listed.splitlines()] == [*pages()]
    assert {"SessionLost", "is_fresh", "alerts"} <= known_names()
    assert CliRunner().invoke(app, ["docs", "alerts"]).output == pages()["alerts"]
