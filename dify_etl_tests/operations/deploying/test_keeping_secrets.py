"""A secret goes back into the place that it was left out of, or the plan says that it would not."""

from typing import Any

from dify_etl.operations.deploying.keeping_secrets import with_held_secrets

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
    assert (filled.missing, filled.lost) == (0, [])


def test_variable_that_dify_does_not_have_is_missing() -> None:
    """Another variable's value is not taken for it."""
    held = variables(id="old", name="OTHER", value=FIRST)
    filled = with_held_secrets(variables(id="new", name="KEY", value=""), held)
    assert filled.document == variables(id="new", name="KEY", value="")
    assert filled.missing == 1
