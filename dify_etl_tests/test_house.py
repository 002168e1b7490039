"""The house: every feed has all its pieces, and the documents name what there is."""

import ast
import re
import subprocess
import sys
import tomllib
from graphlib import TopologicalSorter
from importlib.metadata import packages_distributions
from itertools import permutations
from pathlib import Path

import grimp
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from dify_etl.assembly.ops_copies import OPS_TABLES
from dify_etl.dify.paging import PAGE_SIZES
from dify_etl.feeds.message_parts import ANSWERED_AFTER
from dify_etl.feeds.names import FEED_NAMES, READ_WITH
from dify_etl.feeds.table import FEEDS
from dify_etl.manual import sections
from dify_etl.raw.tables import RAW_TABLES
from dify_etl.settings import Settings, setting_names
from dify_etl.sync.days import MOST_NIGHTS
from dify_etl.sync.unfinished_runs import PATIENCE
from dify_etl.sync.walks import MARGIN, MOST_ROWS, TAIL_ROUNDS
from dify_etl.warehouse.tables import Table
from dify_etl_tests.warehouse.good_models import load_models

ROOT = Path(__file__).resolve().parents[1]
PRODUCT = (ROOT / "dify_etl", ROOT / "dify_simulated")
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
HOW_IT_WORKS = (ROOT / "docs" / "how-it-works.md").read_text(encoding="utf-8")
FORBIDDEN_NAMES = {"utils", "helpers", "common", "base", "manager"}
# Words of our own for what has a name in the field: ledger or loader, description, conversation,
# duplicate, orphan.
_WORDS = "books?|told|talks?|twins?|strays?|deaf|wish(?:es)?"
PRIVATE_WORDS = re.compile(rf"(?:^|_)(?:{_WORDS})(?:_|$)|(?:{_WORDS.title()})(?=[A-Z]|$)")


def product_files() -> list[Path]:
    return [path for folder in PRODUCT for path in folder.rglob("*.py")]


def test_every_raw_table_belongs_to_one_feed() -> None:
    """The table of feeds fills each raw table exactly once."""
    filled = sorted(name for feed in FEEDS for name in feed.tables)
    assert filled == sorted(RAW_TABLES)
    assert tuple(feed.name for feed in FEEDS) == FEED_NAMES
    assert {part: feed.name for feed in FEEDS for part in feed.parts} == READ_WITH


def test_nouns_of_the_client_do_not_import_one_another() -> None:
    """What the client puts together knows nothing of its neighbours, also not by a detour."""
    graph = grimp.build_graph("dify_etl")
    found = graph.find_modules_directly_imported_by("dify_etl.dify.client")
    nouns = {one for one in found if not one.startswith("dify_etl.dify.http.")}
    assert "dify_etl.dify.members" in nouns
    assert [
        chain
        for one, other in permutations(sorted(nouns), 2)
        if (chain := graph.find_shortest_chain(one, other))
    ] == []


def test_feeds_come_after_what_they_need() -> None:
    """A feed stands behind the feeds whose tables it starts from."""
    seen: set[str] = set()
    for feed in FEEDS:
        assert set(feed.needs) <= seen
        seen.update(feed.tables)


@pytest.mark.parametrize("name", sorted(RAW_TABLES))
def test_raw_table_is_staged_and_in_the_readme(name: str) -> None:
    """Every raw table has its staging view and its line in the README."""
    assert (ROOT / "sql" / "staging" / f"stg_{name}.sql").exists()
    assert f"`{name}`" in README


@pytest.mark.parametrize("name", sorted(RAW_TABLES))
def test_every_column_says_what_it_holds(name: str) -> None:
    """No column of a raw table goes without a comment, no key without its columns."""
    table = RAW_TABLES[name].table
    assert [column.name for column in table.all_columns if not column.description] == []
    assert set(table.key) <= {column.name for column in table.columns}


@pytest.mark.parametrize("table", OPS_TABLES, ids=lambda table: table.name)
def test_every_ops_table_says_what_it_holds(table: Table) -> None:
    """No column of the ledger goes without a comment."""
    assert [column.name for column in table.columns if not column.description] == []


def test_every_mart_is_in_the_readme() -> None:
    """The README's table of marts is complete."""
    marts = [model.qualified for model in load_models() if model.schema == "marts"]
    assert [name for name in marts if f"`{name}`" not in README] == []


@pytest.mark.parametrize("name", sorted(setting_names()))
def test_every_setting_is_in_the_readme(name: str) -> None:
    """The README's table of settings is complete, and each has words and an example."""
    field = setting_names()[name]
    assert f"`{name}`" in README
    assert field.description
    assert field.examples


def test_files_say_what_is_inside() -> None:
    """No module has a name that hides what it holds."""
    assert [path for path in product_files() if path.stem in FORBIDDEN_NAMES] == []


def test_names_are_words_of_the_field() -> None:
    """No module, class or function has a name that only its authors know."""
    names = [path.stem for path in product_files()]
    for path in product_files():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef | ast.FunctionDef):
                names.append(node.name)
    assert [name for name in names if PRIVATE_WORDS.search(name)] == []


def test_packages_are_faces_only() -> None:
    """An __init__ holds no code to be lost in."""
    long = [
        path
        for path in product_files()
        if path.name == "__init__.py" and len(path.read_text(encoding="utf-8").splitlines()) > 20
    ]
    assert long == []


def test_readme_is_short() -> None:
    """A README of one sitting."""
    assert len(README.splitlines()) <= 150


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_documents_point_to_what_there_is(path: Path) -> None:
    """A file of the code that a document names, and a place that it links to, exists."""
    text = path.read_text(encoding="utf-8")
    named = {
        name
        for name in re.findall(r"`((?:\w+/)*\w+\.py)`", text)
        if not (ROOT / name).exists() and not (ROOT / "dify_etl" / name).exists()
    }
    broken = {
        link
        for link in re.findall(r"\]\(([^)\s]+)\)", text)
        if "://" not in link and not _is_there(path, link)
    }
    assert (named, broken) == (set(), set())


def _is_there(path: Path, link: str) -> bool:
    """Whether a link of a document leads to a file, and to a heading of it."""
    name, _, anchor = link.partition("#")
    target = path.parent / name if name else path
    if not target.exists() or not anchor:
        return target.exists()
    return anchor in {one.anchor for one in sections(target.read_text(encoding="utf-8"))}


def test_how_it_works_names_tables_and_settings_of_today() -> None:
    """Tables and settings on that page are those of the product."""
    tables = {table.qualified for table in OPS_TABLES} | {f"raw.{name}" for name in RAW_TABLES}
    tables |= {model.qualified for model in load_models()}
    named = set(re.findall(r"`((?:raw|ops|staging|marts|exports)\.[a-z_]+)`", HOW_IT_WORKS))
    settings = set(re.findall(r"`(DIFY_[A-Z_]+)`", HOW_IT_WORKS))
    assert (named - tables, settings - setting_names().keys()) == (set(), set())
    assert len(named) > 5


def test_how_it_works_tells_the_figures_of_today() -> None:
    """Sizes and patience on that page are those of the code."""
    days = {name: patience.days for name, patience in PATIENCE.items()}
    told = (
        f"page size ({', '.join(map(str, PAGE_SIZES))}:",
        f"more than {MOST_ROWS:,} rows",
        f"after {days['running']} days (`running`) or {days['paused']} (`paused`, `scheduled`)",
        f"then every {MOST_NIGHTS};",
        f"asked {MARGIN.seconds // 3600} hours beyond the window",
        f"no new id comes, at most {TAIL_ROUNDS} times",
        f"{ANSWERED_AFTER.seconds // 60} minutes old with an answer",
        f"`DIFY_ETL_DEEP_READ_DAYS` nights ({Settings.model_fields['deep_read_days'].default})",
    )
    assert [text for text in told if text not in HOW_IT_WORKS] == []


@pytest.mark.parametrize("module", ["dagster", "duckdb", "polars", "httpx"])
def test_help_imports_nothing_heavy(module: str) -> None:
    """The command line answers --help before anything large is loaded."""
    code = (
        "import sys; from typer.testing import CliRunner; from dify_etl.cli.main import app;"
        "assert CliRunner().invoke(app, ['--help']).exit_code == 0;"
        f"sys.exit({module!r} in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_modules_go_in_no_circle() -> None:
    """What a module imports, also late, leads never back to it."""
    files = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for path in product_files()
    }
    graph: dict[str, set[str]] = {}
    for name, path in files.items():
        imported = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                whole = {f"{node.module}.{one.name}" for one in node.names}
                imported |= (whole & files.keys()) or ({node.module} & files.keys())
        graph[name] = imported - {name}
    assert list(TopologicalSorter(graph).static_order())  # CycleError names the circle


def test_sync_imports_nothing_that_it_does_not_need() -> None:
    """Before the first request a sync has loaded what reads Dify, and no more."""
    needless = {"dagster", "redis", "dify_simulated", "werkzeug", "xlsxwriter"}
    code = f"import sys, dify_etl.cli.syncing; print({needless} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "set()", done.stderr


OTHER_RULES = {
    "DuckDB's": r"at\s+time\s+zone|\btimezone\('",
    "Polars'": r"convert_time_zone|\.dt\.(date|hour)\b",
    "the system's": r"\bZoneInfo\(|\bZoneInfo\.no_cache\(|available_timezones",
    "the session's": r"_at\)?\s*::\s*date|cast\(\w+_at as date|date_trunc\('|\bhour\(",
}


@pytest.mark.parametrize("whose", OTHER_RULES)
def test_days_are_counted_by_one_set_of_rules(whose: str) -> None:
    """DuckDB, Polars and the system have zone rules of their own, and a session any zone: nothing
    asks them for a local day or hour, neither in code nor in a query that is shown.
    """
    wrong = re.compile(OTHER_RULES[whose], re.IGNORECASE)
    sources = [
        *product_files(),
        *(ROOT / "benchmark").rglob("*.py"),
        *(ROOT / "sql").rglob("*.sql"),
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
    ]
    texts = {path: path.read_text(encoding="utf-8") for path in sources}
    found = {path.name: wrong.findall(text) for path, text in texts.items() if wrong.search(text)}
    assert found == {}


def test_locks_are_taken_in_one_place() -> None:
    """Whoever asks the kernel for a lock alone tells a full disk where the file system has none."""
    found = [
        path.name for path in product_files() if "fcntl.flock(" in path.read_text(encoding="utf-8")
    ]
    assert found == ["private_files.py"]


def imported_by() -> set[str]:
    """The top-level modules that the product imports anywhere."""
    found: set[str] = set()
    for path in product_files():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {name.name.partition(".")[0] for name in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.partition(".")[0])
    return found


def test_what_is_imported_is_declared() -> None:
    """No import works only because somebody else's package brings it along."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [line for lines in project["optional-dependencies"].values() for line in lines]
    declared = {canonicalize_name(Requirement(one).name) for one in project["dependencies"]}
    declared |= {canonicalize_name(Requirement(one).name) for one in extras}
    of_clusters = (ROOT / "deploy" / "cluster" / "requirements.in").read_text(encoding="utf-8")
    lines = [one for one in of_clusters.splitlines() if not one.startswith("#")]
    declared |= {canonicalize_name(Requirement(one).name) for one in lines}
    brought = packages_distributions()
    ours = {"dify_etl", "dify_simulated", "_typeshed"}  # the second stands in type checkers only
    foreign = imported_by() - sys.stdlib_module_names - ours
    undeclared = {
        name
        for name in foreign
        if not {canonicalize_name(one) for one in brought.get(name, (name,))} & declared
    }
    assert foreign
    assert undeclared == set()
