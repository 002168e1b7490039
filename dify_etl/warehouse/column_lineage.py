"""Of which columns the columns of a model are made, by DuckDB's own syntax tree of its query.

What only chooses or groups rows (WHERE, ON, GROUP BY) is no source of a column: a count of all rows
has none, one with a FILTER those that the filter names.

It is a picture for people, and ends nothing: what it does not know (the outer columns of a
correlated subquery, columns that a table's alias renames, names in another case) is no source.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any, NamedTuple

from dify_etl.warehouse.models import Model, syntax_of


class Source(NamedTuple):
    """A column of a table or view, schema.name."""

    table: str
    column: str


Sources = frozenset[Source]
_Relation = dict[str, Sources]  # by column, in the order of the columns
_NOTHING: Sources = frozenset()


def column_lineage(
    models: Iterable[Model], tables: Mapping[str, Sequence[str]]
) -> dict[str, dict[str, Sources]]:
    """Per model, by schema.name, its columns with the columns of what it reads that they are made
    of. `models` come after what they read; `tables` are the columns of all other tables.
    """
    columns = {name: list(names) for name, names in tables.items()}
    found: dict[str, dict[str, Sources]] = {}
    for model in models:
        try:
            made = _Query(columns).outputs(syntax_of(model), {})
        except (KeyError, TypeError, AttributeError):
            # DuckDB promises no form of its trees; a model is built without this picture too.
            made = {}
        found[model.qualified] = made
        columns[model.qualified] = list(found[model.qualified])
    return found


class _Query:
    """Resolves the names of one query."""

    def __init__(self, columns: Mapping[str, Sequence[str]]) -> None:
        self._columns = columns

    def outputs(self, node: Any, outer: Mapping[str, _Relation]) -> _Relation:
        """The columns of a SELECT or UNION; `outer` are the parts (WITH) that it may name."""
        parts = dict(outer)
        for entry in node["cte_map"]["map"]:
            parts[entry["key"]] = self.outputs(entry["value"]["query_node"], parts)
        match node["type"]:
            case "SET_OPERATION_NODE":
                sides = [self.outputs(child, parts) for child in node["children"]]
                by_name = node["setop_type"] == "UNION_BY_NAME"
                return _by_name(sides) if by_name else _by_place(sides)
            case "RECURSIVE_CTE_NODE":  # what it says of itself adds no source to its beginning
                return self.outputs(node["left"], parts)
            case "SELECT_NODE":
                return self._selected(node, parts)
            case _:
                return {}

    def _selected(self, node: Any, parts: Mapping[str, _Relation]) -> _Relation:
        scope = dict(self._relations(node["from_table"], parts))
        made: _Relation = {}
        for item in node["select_list"]:
            if item["class"] == "STAR":
                made |= self._starred(item, scope, parts)
                continue
            name = item["alias"] or item.get("column_names", [""])[-1]
            # Behind a UNION a column needs no name of its own: its place counts.
            key = name if name and name not in made else f"column {len(made) + 1}"
            made[key] = self._sources(item, scope, parts, made)
        return made

    def _starred(
        self, item: Any, scope: Mapping[str, _Relation], parts: Mapping[str, _Relation]
    ) -> _Relation:
        of = item["relation_name"]
        chosen = [scope.get(of, {})] if of else list(scope.values())
        taken = {name: sources for relation in chosen for name, sources in relation.items()}
        for name in item.get("exclude_list") or ():
            taken.pop(name, None)
        for replaced in item.get("replace_list") or ():
            taken[replaced["key"]] = self._sources(replaced["value"], scope, parts, {})
        return taken

    def _relations(
        self, table: Any, parts: Mapping[str, _Relation]
    ) -> Iterator[tuple[str, _Relation]]:
        """What stands in FROM, by the name under which the query knows it."""
        kind = table["type"]
        if kind == "JOIN":
            yield from self._relations(table["left"], parts)
            yield from self._relations(table["right"], parts)
        elif kind == "SUBQUERY":
            # Without a name none can be asked by it, and two must not be taken for one.
            name = table["alias"] or f"subquery {id(table)}"
            yield name, self.outputs(table["subquery"]["node"], parts)
        elif kind == "BASE_TABLE":
            name, schema = table["table_name"], table["schema_name"]
            whole = f"{schema}.{name}"
            known = {column: frozenset({Source(whole, column)}) for column in self._named(whole)}
            yield table["alias"] or name, known if schema else parts.get(name, {})

    def _named(self, table: str) -> Sequence[str]:
        return self._columns.get(table, ())

    def _sources(
        self,
        expression: Any,
        scope: Mapping[str, _Relation],
        parts: Mapping[str, _Relation],
        made: Mapping[str, Sources],
    ) -> Sources:
        """All columns that an expression names; `made` are columns that stand before it."""
        found: Sources = _NOTHING
        left = [expression]
        while left:
            node = left.pop()
            if isinstance(node, list):
                left.extend(node)
            elif isinstance(node, dict):
                if node.get("class") == "COLUMN_REF":
                    found |= _resolved(node["column_names"], scope, made)
                elif node.get("class") == "SUBQUERY":
                    found |= _all_of(self.outputs(node["subquery"]["node"], parts).values())
                    left.append(node.get("child"))  # x of `x in (select …)`
                else:
                    left.extend(node.values())
        return found


def _resolved(
    names: Sequence[str], scope: Mapping[str, _Relation], made: Mapping[str, Sources]
) -> Sources:
    """The sources of a name; none of what is no column, as the variable of a lambda."""
    first, *rest = names
    if rest and first in scope:
        return scope[first].get(rest[0], _NOTHING)
    # With USING the same column is in both sides, and means both.
    found = [relation[first] for relation in scope.values() if first in relation]
    return _all_of(found) if found else made.get(first, _NOTHING)


def _by_name(sides: Sequence[_Relation]) -> _Relation:
    names = {name: None for side in sides for name in side}
    return {name: _all_of(side.get(name, _NOTHING) for side in sides) for name in names}


def _by_place(sides: Sequence[_Relation]) -> _Relation:
    """Of the first side all columns, of the others those that are known."""
    columns = zip_longest(*(side.values() for side in sides), fillvalue=_NOTHING)
    return {name: _all_of(found) for name, found in zip(sides[0], columns, strict=False)}


def _all_of(found: Iterable[Sources]) -> Sources:
    return frozenset().union(*found)
