"""DSL as text for git: stable whatever the editor's window showed, and the same app."""

import json

import pytest
import yaml

from dify_etl.operations.dsl import stable_dsl
from dify_etl.operations.errors import InputWrong

WORKFLOW = """
kind: app
version: 0.5.0
app: {name: 数据处理, mode: workflow, description: "one\\ntwo"}
workflow:
  graph:
    viewport: {x: 10, y: 3, zoom: 0.7}
    edges: [{id: e1, source: a, target: b, selected: true}]
    nodes:
    - id: a
      selected: true
      dragging: false
      positionAbsolute: {x: 1, y: 2}
      position: {x: 1, y: 2}
      data:
        selected: true
        code: "import time\\ndef main():\\n    return {'selected': 1}\\n"
        tool_parameters: {selected: "kept, it is somebody's data", viewport: wide}
"""


def test_looks_are_left_out_and_data_stay() -> None:
    """What the canvas showed is gone; the same words elsewhere are data and stay."""
    text = stable_dsl(WORKFLOW, where="a test").text
    (node,) = yaml.safe_load(text)["workflow"]["graph"]["nodes"]
    assert "viewport" not in yaml.safe_load(text)["workflow"]["graph"]
    assert set(node) == {"id", "position", "data"}
    assert set(node["data"]) == {"code", "tool_parameters"}
    assert node["data"]["tool_parameters"]["selected"].startswith("kept")


def test_another_look_makes_the_same_text() -> None:
    """Scrolling and selecting in the editor make no commit."""
    moved = WORKFLOW.replace("x: 10, y: 3, zoom: 0.7", "x: 0, y: 0, zoom: 1")
    moved = moved.replace("target: b, selected: true", "target: b, selected: false")
    assert stable_dsl(moved, where="a test") == stable_dsl(WORKFLOW, where="a test")


def test_stable_text_is_stable() -> None:
    """Exported, imported and exported again it is the same; code is readable line by line."""
    once = stable_dsl(WORKFLOW, where="a test")
    assert stable_dsl(once.text, where="a test") == once
    assert "        code: |\n          import time\n" in once.text
    assert "\r" not in once.text
    assert (once.name, once.mode, once.description) == ("数据处理", "workflow", "one\ntwo")


@pytest.mark.parametrize("text", ["", "[1, 2]", "kind: dataset", "kind: app", "app: {name: x}"])
def test_what_is_no_dsl_is_refused(text: str) -> None:
    """Files that make no app are refused before Dify sees them."""
    with pytest.raises(InputWrong, match=r"no DSL|no app"):
        stable_dsl(text, where="a file")


def test_broken_yaml_names_the_line() -> None:
    """A typing error is found at its line."""
    with pytest.raises(InputWrong) as refused:
        stable_dsl("kind: app\napp: {name: 'x\n", where="bot.yml")
    assert refused.value.where.startswith("bot.yml, line")


def test_words_stay_words() -> None:
    """Words that YAML could take for something else come back as the text that they were."""
    words = ["yes", "null", "1.10", "2026-01-01", "0x1F", "", " padded ", "a: b", "# no comment"]
    dsl = {"kind": "app", "app": {"name": "x", "mode": "chat"}, "model_config": {"w": words}}
    text = stable_dsl(json.dumps(dsl), where="a test").text
    assert yaml.safe_load(text)["model_config"]["w"] == words
