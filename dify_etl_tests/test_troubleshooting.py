"""The document on troubles has a section for every check of Dagster and for every error."""

import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import dify_etl
from dify_etl.defs.check_help import PAGE
from dify_etl.defs.code_location import code_location
from dify_etl.errors import ActionableError
from dify_etl_tests.defs.night import settings_for

TEXT = Path(PAGE).read_text(encoding="utf-8")
HEADINGS = {
    name.strip(" `")
    for line in re.findall(r"^### (.*)$", TEXT, re.MULTILINE)
    for name in line.split(",")
}


def kinds_of(error: type[ActionableError]) -> Iterator[type[ActionableError]]:
    """All kinds of an error that are raised as they are."""
    below = error.__subclasses__()
    for one in below:
        yield from kinds_of(one)
    if not below:
        yield error


def test_every_check_says_where_to_read_on(tmp_path: Path) -> None:
    """Its description ends with the page, and the heading is there."""
    definitions = code_location(settings_for(tmp_path))
    with_checks = [*(definitions.assets or ()), *(definitions.asset_checks or ())]
    specs = [spec for one in with_checks for spec in getattr(one, "check_specs", ())]
    assert len(specs) > 50
    for spec in specs:
        assert str(spec.description).endswith(f"{PAGE}#{spec.name}")
        assert spec.name in HEADINGS


def test_every_error_has_its_section() -> None:
    """By the name that stands before the colon."""
    for module in pkgutil.walk_packages(dify_etl.__path__, "dify_etl."):
        importlib.import_module(module.name)
    names = {one.__name__ for one in kinds_of(ActionableError) if "tests" not in one.__module__}
    assert len(names) > 30
    assert names - HEADINGS == set()
