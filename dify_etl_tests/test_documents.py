"""Documents: every check and error has a section on troubles; commands that are named exist."""

import importlib
import pkgutil
import re
import shlex
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.main import get_group

import dify_etl
from dify_etl.cli.main import app
from dify_etl.defs.code_location import code_location
from dify_etl.errors import ActionableError
from dify_etl.manual import sections, text_of
from dify_etl.raw.tables import RAW_TABLES
from dify_etl.settings import setting_names
from dify_etl_tests.defs.night import settings_for
from dify_etl_tests.settings_document import DOCUMENT, rewritten

PAGES = [*sorted(Path().glob("*.md")), *sorted(Path("docs").glob("*.md"))]
# They name the program, a user or a group, and say no command of it.
INSTALLERS = ("pip", "pipx", "uv", "install", "useradd", "docker", "kubectl", "systemctl")
CHINESE = Path("README.zh-CN.md").read_text("utf-8")
ENGLISH = Path("README.md").read_text("utf-8")
COMMAND = r"(?:\.venv/bin/)?dify-etl ([^`#\n]+)"


def named_commands(text: str) -> Iterator[str]:
    """What stands behind `dify-etl`, in a sentence or at the beginning of a line of a script."""
    for number, part in enumerate(text.split("```")):
        yield from re.findall(f"^{COMMAND}" if number % 2 else f"`{COMMAND}`", part, re.MULTILINE)


def kinds_of(error: type[ActionableError]) -> Iterator[type[ActionableError]]:
    """All kinds of an error that are raised as they are."""
    below = error.__subclasses__()
    for one in below:
        yield from kinds_of(one)
    if not below:
        yield error


def test_every_check_says_where_to_read_on(tmp_path: Path) -> None:
    """Its description ends with a command that shows what to do."""
    definitions = code_location(settings_for(tmp_path))
    with_checks = [*(definitions.assets or ()), *(definitions.asset_checks or ())]
    specs = [spec for one in with_checks for spec in getattr(one, "check_specs", ())]
    assert len(specs) > 50
    for spec in specs:
        assert str(spec.description).endswith(f"`dify-etl docs {spec.name}`")
        assert str(text_of(spec.name)).startswith("### ")


def test_every_error_has_its_section() -> None:
    """By the name that stands before the colon: `dify-etl docs` shows it."""
    for module in pkgutil.walk_packages(dify_etl.__path__, "dify_etl."):
        if not module.name.startswith("dify_etl.cluster."):  # its packages are not ours
            importlib.import_module(module.name)
    names = {one.__name__ for one in kinds_of(ActionableError) if "tests" not in one.__module__}
    assert len(names) > 30
    assert [name for name in sorted(names) if text_of(name) is None] == []


def command_words(group: object, before: str = "") -> Iterator[str]:
    """The commands of the tree and its groups, such as `apps` and `apps list`."""
    for name, one in getattr(group, "commands", {}).items():
        words = f"{before} {name}".strip()
        yield words
        yield from command_words(one, words)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_documents_name_commands_that_exist(page: Path) -> None:
    """And options that these have, as far as they are written behind them."""
    known = set(command_words(get_group(app)))
    for line in named_commands(page.read_text("utf-8")):
        words = " ".join(takewhile(lambda word: re.fullmatch("[a-z-]+", word), line.split()))
        if line.startswith(("-", "deploy")):
            continue  # of the program itself; the comment of a published version
        while words and words not in known:
            words = words.rpartition(" ")[0]
        assert words, f"{page}: dify-etl {line}"
        command: Any = get_group(app)
        for word in words.split():
            command = command.commands[word]
        options = {name for one in command.params for name in one.opts}
        given = set(re.findall(r"(?<= )--[a-z-]+", f" {line}"))
        assert given <= options | {"--help"}, f"{page}: dify-etl {line}"


def scripts(text: str) -> Iterator[list[str]]:
    """The words behind `dify-etl` in the blocks of a page, up to what a shell does with them."""
    for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL):
        for line in block.splitlines():
            words = shlex.split(line, comments=True)
            program = next((one for one in words if re.fullmatch("(.*bin/)?dify-etl", one)), "")
            behind = words[words.index(program) + 1 :] if program else []
            if behind and words[0] not in INSTALLERS:
                yield [*takewhile(lambda word: word not in ("|", ">", "&&", "||"), behind)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_of_documents_can_be_said(page: Path) -> None:
    """As they stand there: every argument that they need, options with good values, no others."""
    for words in scripts(page.read_text("utf-8")):
        command: Any = get_group(app)
        before = 0
        while hasattr(command, "commands") and not words[before].startswith("-"):
            command, before = command.commands[words[before]], before + 1
        try:
            command.make_context(command.name, words[before:])
        except typer.Exit:
            continue  # of --version, which has done its work
        except Exception as error:
            error.add_note(f"{page}: dify-etl {shlex.join(words)}")
            raise


def test_index_has_every_document() -> None:
    """Each page of docs/ has its line, and each line a page of another name."""
    rows = re.findall(r"^\| (\[.*) \|", Path("docs/README.md").read_text("utf-8"), re.MULTILINE)
    linked = [link for row in rows for link in re.findall(r"\]\(([^)]+)\)", row)]
    there = {page.name for page in Path("docs").glob("*.md")} - {"README.md"}
    assert {link for link in linked if "/" not in link} == there
    assert len(linked) == len(set(linked))


def lines_of_scripts(text: str) -> set[str]:
    """The commands of a page's blocks, without their comments."""
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    return {line.split("  #")[0].strip() for block in blocks for line in block.splitlines()}


def test_chinese_readme_has_the_commands_and_tables_of_the_english_one() -> None:
    """Its commands are among those of README.md, which has more; tables are the same; each links
    to the other in its first lines.
    """
    chinese = lines_of_scripts(CHINESE)
    assert len(chinese) > 8
    assert chinese - lines_of_scripts(ENGLISH) == set()
    marts = [set(re.findall(r"`(marts\.\w+)`", text)) for text in (CHINESE, ENGLISH)]
    assert marts[0] == marts[1]
    assert [name for name in RAW_TABLES if f"`{name}`" not in CHINESE] == []
    assert "](README.md)" in "".join(CHINESE.splitlines(keepends=True)[:4])
    assert "](README.zh-CN.md)" in "".join(ENGLISH.splitlines(keepends=True)[:6])


def test_settings_document_is_complete() -> None:
    """Every setting, each with what the program says of it, and a sentence more."""
    text = DOCUMENT.read_text("utf-8")
    told = {one.names[0]: one.text for one in sections(text) if one.depth == 3}
    assert told.keys() == setting_names().keys()
    assert rewritten(text) == text, "python -m dify_etl_tests.settings_document writes it anew"
    assert [name for name, one in told.items() if len(one.split("\n\n")) < 3] == []
