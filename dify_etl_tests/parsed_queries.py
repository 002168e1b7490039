"""What dify-etl knows of its own queries without parsing them.

    python -m dify_etl_tests.parsed_queries

writes dify_etl/warehouse/syntax.json anew, as DuckDB parses the files of sql/.
"""

import orjson

from dify_etl.warehouse.models import SYNTAX_FILE, Syntax, query_digest, read_syntax
from dify_etl_tests.warehouse.good_models import load_models


def parsed() -> dict[str, Syntax]:
    """The syntax of every query of sql/, by its digest."""
    return {query_digest(one.query): read_syntax(one.query, one.where) for one in load_models()}


def written(syntax: dict[str, Syntax]) -> bytes:
    """The file: a line per query, in the order of the digests."""
    lines = []
    for digest, one in sorted(syntax.items()):
        words = {table: of and sorted(of) for table, of in sorted(one.words.items())}
        told = {"reads": one.reads, "words": words, "selects": one.selects}
        told |= {"unchanged": sorted(one.unchanged)}
        lines.append(b'"%b":%b' % (digest.encode(), orjson.dumps(told)))
    return b"{\n" + b",\n".join(lines) + b"\n}\n"


if __name__ == "__main__":
    SYNTAX_FILE.write_bytes(written(parsed()))
