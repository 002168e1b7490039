"""What stands in syntax.json is what DuckDB parses."""

from dify_etl.warehouse.models import SYNTAX_FILE, known_syntax
from dify_etl_tests.parsed_queries import parsed, written


def test_known_syntax_is_what_duckdb_parses() -> None:
    """Of every query of sql/, and of none that is gone; `make dictionary` writes it anew."""
    found = parsed()
    assert len(found) > 60
    assert known_syntax() == found
    assert SYNTAX_FILE.read_bytes() == written(found)
