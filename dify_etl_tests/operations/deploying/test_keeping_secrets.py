"""A secret goes back into the place that it was left out of, or the plan says that it would not."""

import copy
from typing import Any

import pytest

from dify_etl.operations.deploying.keeping_secrets import with_held_secrets
from dify_etl.operations.known_secrets import without_known_secrets

FIRST, SECOND = "AAAA1111bbbb2222", "CCCC3333dddd4444"
CODE = "def a():\n    api_key = '{}'\n    return 1\ndef b():\n    api_key = '{}'\n    return {}\n"


def variables(**values: Any) -> dict[str, Any]:
    return {"environment_variables": [{"value_type": "secret", **values}]}


def test_two_lines_that_look_alike_are_not_mixed_up() -> None:
    """Nobody can tell which is which once another line changed: that would lose one of them."""
    held = {"code": CODE.format(FIRST, SECOND, 2)}
    same = with_held_secrets({"code": CODE.format("(secret)", "(secret)", 2)}, held)
    other = with_held_secrets({"code": CODE.format("(secret)", "(secret)", 3)}, held)
    assert (same.document, same.lost) == (held, [])
    assert other.lost == ["code"]
    assert FIRST not in str(other.document)
    assert SECOND not in str(other.document)


def test_two_lines_that_are_alike_are_one() -> None:
    """The same key twice is the same key in both places."""
    held = {"code": CODE.format(FIRST, FIRST, 2)}
    filled = with_held_secrets({"code": CODE.format("(secret)", "(secret)", 3)}, held)
    assert (filled.document, filled.lost) == ({"code": CODE.format(FIRST, FIRST, 3)}, [])


def test_variable_that_was_made_anew_is_known_by_its_name() -> None:
    """Its id is another one where it was developed."""
    held = variables(id="old", name="KEY", value=FIRST)
    filled = with_held_secrets(variables(id="new", name="KEY", value=""), held)
    assert filled.document == variables(id="new", name="KEY", value=FIRST)
    assert (filled.missing, filled.lost) == ([], [])


def test_variable_that_dify_does_not_have_is_missing() -> None:
    """Another variable's value is not taken for it."""
    held = variables(id="old", name="OTHER", value=FIRST)
    filled = with_held_secrets(variables(id="new", name="KEY", value=""), held)
    assert filled.document == variables(id="new", name="KEY", value="")
    assert filled.missing == ["environment_variables[0]"]
    assert filled.dropped == ["environment_variables[OTHER]"]


def tool(name: str, secret: str, **other: Any) -> dict[str, Any]:
    """A tool of an agent, as nodes have it since Dify 1.7; it has no id."""
    settings = {"api_key": {"value": {"type": "constant", "value": secret}}}
    return {
        "tool_name": name,
        "provider_name": f"acme/{name}/{name}",
        "settings": settings,
        **other,
    }


def old_tool(name: str, secret: str) -> dict[str, Any]:
    """The same in agent-chat apps."""
    provider = {"provider_id": f"id of {name}", "provider_name": name, "provider_type": "api"}
    return {"tool_name": name, **provider, "tool_parameters": {"api_key": secret}}


def field(key: str, secret: str) -> dict[str, Any]:
    """A field of a form that an HTTP node sends."""
    return {"key": key, "type": "text", "value": secret}


EVERY_KIND = pytest.mark.parametrize("kind", [tool, old_tool, field])
TOKEN, API_KEY = "token", "api_key"  # names under which a form has secrets


@EVERY_KIND
def test_what_is_left_of_a_list_keeps_its_own_secret(kind: Any) -> None:
    """The first one was taken out of the file: the second does not get its secret."""
    held = {"list": [kind(API_KEY, FIRST), kind(TOKEN, SECOND)]}
    filled = with_held_secrets({"list": [kind(TOKEN, "(secret)")]}, held)
    assert filled.document == {"list": [kind(TOKEN, SECOND)]}
    assert (filled.missing, filled.lost, filled.dropped) == ([], [], [])


@EVERY_KIND
def test_order_and_neighbours_of_a_list_tell_nothing(kind: Any) -> None:
    """Elements that were moved, with a new one between them."""
    held = {"list": [kind(API_KEY, FIRST), kind(TOKEN, SECOND)]}
    new = {"tool_name": "plain", "key": "plain"}
    wanted = {"list": [kind(TOKEN, "(secret)"), new, kind(API_KEY, "(secret)")]}
    filled = with_held_secrets(wanted, held)
    assert filled.document == {"list": [kind(TOKEN, SECOND), new, kind(API_KEY, FIRST)]}
    assert (filled.missing, filled.lost) == ([], [])


@EVERY_KIND
def test_new_element_gets_no_secret_of_another_one(kind: Any) -> None:
    """It has none yet; what goes with the one that it replaces is named."""
    held = {"list": [kind(API_KEY, FIRST)]}
    filled = with_held_secrets({"list": [kind(TOKEN, "(secret)")]}, held)
    assert filled.document == {"list": [kind(TOKEN, "(secret)")]}
    assert len(filled.missing) == 1
    assert (filled.lost, filled.dropped) == ([], ["list[api_key]"])


def test_tool_of_another_provider_gets_no_secret() -> None:
    """The name of a tool alone is not enough; the short name of old DSL is."""
    held = {"tools": [tool("search", FIRST)]}
    other = with_held_secrets({"tools": [tool("search", "(secret)", provider_name="evil")]}, held)
    assert other.lost == ["tools[0]"]
    assert FIRST not in str(other.document)
    short = with_held_secrets({"tools": [tool("search", "(secret)", provider_name="search")]}, held)
    assert short.document == {"tools": [tool("search", FIRST, provider_name="search")]}


def test_tool_of_two_providers_is_known_by_its_provider() -> None:
    """Both are called alike, and one of them was changed."""
    both = [
        tool("search", FIRST, provider_name="a/a/a"),
        tool("search", SECOND, provider_name="b/b/b"),
    ]
    wanted = {"tools": [tool("search", "(secret)", provider_name="b/b/b", enabled=True)]}
    filled = with_held_secrets(wanted, {"tools": both})
    assert SECOND in str(filled.document)
    assert FIRST not in str(filled.document)
    assert filled.lost == []


def test_node_that_became_another_tool_gets_no_secret() -> None:
    """The same id, the same name of a setting, and another tool: that is another place."""

    def nodes(name: str, secret: str) -> dict[str, Any]:
        data = {"type": "tool", "title": "Call", "tool_configurations": {"api_key": secret}}
        return {"nodes": [{"id": "1", "data": {**data, "tool_name": name}}]}

    filled = with_held_secrets(nodes("beta", "(secret)"), nodes("alpha", FIRST))
    assert filled.lost == ["nodes[0].data"]
    assert FIRST not in str(filled.document)


def test_list_without_names_is_known_when_nothing_of_it_moved() -> None:
    """Rows that look alike stay apart by their order; of one less nobody can tell whose it was."""
    row = {"value": "x", "secret": "(secret)"}
    held = {"rows": [{**row, "secret": FIRST}, {**row, "secret": SECOND}, {"value": "last"}]}
    same = with_held_secrets({"rows": [row, row, {"value": "changed"}]}, held)
    assert same.document == {"rows": [*held["rows"][:2], {"value": "changed"}]}
    less = with_held_secrets({"rows": [row, {"value": "last"}]}, held)
    assert less.lost == ["rows[0]"]
    changed = with_held_secrets({"rows": [{**row, "value": "y"}, row]}, held)
    assert changed.lost == ["rows[0]", "rows[1]"]
    assert not {FIRST, SECOND} & set(str(changed.document).split("'"))


def test_prompt_is_known_by_its_role() -> None:
    """Prompts without an id, of which one was edited around its secret; of two users nobody knows
    whose it is, and what has another role gets none.
    """

    def prompts(*told: tuple[str, str]) -> dict[str, Any]:
        return {"prompt_template": [{"role": role, "text": text} for role, text in told]}

    line = "api_key = '{}'"
    held = prompts(("system", f"Be kind.\n{line.format(FIRST)}"), ("user", "hi"))
    masked = line.format("(secret)")
    edited = with_held_secrets(prompts(("user", "ho"), ("system", f"Be brief.\n{masked}")), held)
    assert (edited.lost, edited.missing) == ([], [])
    told = edited.document["prompt_template"]
    assert [one["text"] for one in told] == ["ho", f"Be brief.\n{line.format(FIRST)}"]
    moved = with_held_secrets(prompts(("assistant", f"Be brief.\n{masked}")), held)
    assert FIRST not in str(moved.document)
    two = prompts(*[("user", f"{word}\n{line.format(FIRST)}") for word in ("a", "b")])
    assert with_held_secrets(prompts(("user", f"c\n{masked}")), two).lost == ["prompt_template[0]"]


def test_one_secret_goes_to_no_two_places() -> None:
    """A variable that was renamed, and a new one that has its old name."""
    held = variables(id="old", name="KEY", value=FIRST)
    (one,) = held["environment_variables"]
    new = [{**one, "id": "new", "value": ""}, {**one, "name": "OTHER", "value": ""}]
    filled = with_held_secrets({"environment_variables": new}, held)
    assert filled.lost == ["environment_variables[0]", "environment_variables[1]"]
    assert FIRST not in str(filled.document)


@pytest.mark.parametrize(
    "value", [{"type": "constant", "value": FIRST}, {"type": "variable", "value": ["1", "key"]}]
)
def test_setting_of_another_shape_refuses(value: dict[str, Any]) -> None:
    """A file of an older Dify has a text where the newer one has type and value, be it a secret or
    the way to one: neither is overwritten.
    """
    filled = with_held_secrets({"api_key": "(secret)"}, {"api_key": value})
    assert filled.lost == ["api_key"]
    assert filled.document == {"api_key": "(secret)"}


def test_place_that_nobody_filled_yet_is_missing() -> None:
    """Dify itself holds `(secret)`, as after a first deployment: it is still to be written."""
    filled = with_held_secrets({"api_key": "(secret)"}, {"api_key": "(secret)"})
    assert (filled.missing, filled.lost) == (["api_key"], [])


@pytest.mark.parametrize(
    "held", [{}, {"tools": []}, {"tools": None}, {"tools": [{"tool_name": "a"}]}]
)
def test_nothing_is_lost_where_dify_holds_no_secret(held: dict[str, Any]) -> None:
    """The secrets of a new app are missing, and no more."""
    wanted = {"tools": [tool("alpha", "(secret)")]}
    filled = with_held_secrets(wanted, held)
    assert filled.document == wanted
    assert len(filled.missing) == 1
    assert filled.lost == []


def test_unchanged_document_is_what_dify_holds() -> None:
    """Whatever it holds: what an export shows of it brings it back whole."""
    held = {
        "tools": [tool("alpha", FIRST), tool("beta", SECOND)],
        "body": {"data": [field(TOKEN, FIRST), field(TOKEN, SECOND), field("plain", "x")]},
        "code": CODE.format(FIRST, SECOND, 1),
        **variables(id="a", name="KEY", value=FIRST),
    }
    shown = without_known_secrets(copy.deepcopy(held)).document
    assert not any(secret in str(shown) for secret in (FIRST, SECOND))
    filled = with_held_secrets(shown, held)
    assert filled.document == held
    assert (filled.missing, filled.lost, filled.dropped) == ([], [], [])
