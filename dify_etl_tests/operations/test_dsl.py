"""DSL as text for git: stable whatever the editor's window showed, and the same app."""

import json

import pytest
import yaml

from dify_etl.dify.workflow_records import WorkflowVersion
from dify_etl.operations.dsl import dsl_of_version, stable_dsl
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


PLAIN, OTHER = (f"5d1c9b7e-2f43-4a8b-b6a0-7e9d8c5f4a3{number}" for number in range(2))
WRITTEN = "hW3kq9Zx81LmT5v7Rb2cYw=="  # as servers encrypt an id that they export


def asking(*datasets: str) -> dict[str, object]:
    """A graph that looks into these datasets."""
    data = {"type": "knowledge-retrieval", "dataset_ids": [*datasets]}
    return {"nodes": [{"id": "1", "data": data}, {"id": "2", "data": {}}], "edges": []}


def stored(graph: dict[str, object], **other: object) -> WorkflowVersion:
    return WorkflowVersion.model_validate({"app_id": "a", "id": "v", "graph": graph, **other})


@pytest.mark.parametrize(
    ("written", "published", "kept", "is_lacking"),
    [
        (WRITTEN, (PLAIN,), [WRITTEN], False),
        (WRITTEN, (OTHER, PLAIN), [OTHER, WRITTEN], True),
        (PLAIN, (OTHER, PLAIN), [OTHER, PLAIN], False),
    ],
)
def test_version_asks_its_datasets_as_an_export_writes_them(
    written: str, published: tuple[str, ...], kept: list[str], is_lacking: bool
) -> None:
    """Where exports encrypt ids, a plain one may be left out by the import: what is known is
    written so, and what is not is named.
    """
    draft = {"kind": "app", "app": {"name": "x"}, "workflow": {"graph": asking(written)}}
    made = dsl_of_version(
        yaml.safe_dump(draft), stored(asking(PLAIN)), stored(asking(*published)), where="a test"
    )
    graph = yaml.safe_load(made.text)["workflow"]["graph"]
    assert graph["nodes"][0]["data"]["dataset_ids"] == kept
    assert (OTHER in " ".join(made.lacks)) is is_lacking


def test_version_without_the_values_of_its_variables_says_so() -> None:
    """Only names and types are read of them; the values in the file are the draft's."""
    draft = {"kind": "app", "app": {"name": "x"}, "workflow": {"graph": asking()}}
    variable = {"name": "region", "value_type": "string", "value": "eu"}
    version = stored(asking(), environment_variables=[variable])
    made = dsl_of_version(yaml.safe_dump(draft), None, version, where="a test")
    assert made.lacks == (
        "values of environment variables of the published version: the draft's stay",
    )
