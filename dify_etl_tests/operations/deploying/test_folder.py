"""What of a folder is deployed, and what is refused before Dify is asked."""

from pathlib import Path

import pytest

from dify_etl.operations.deploying.deployment import DeployApps
from dify_etl.operations.deploying.folder import read_folder
from dify_etl.operations.errors import InputWrong
from dify_etl_tests.operations.deploying.folders import CHAT, WORKFLOW, every_file, folder_of

APP = "kind: app\nversion: 0.5.0\napp: {{name: {}, mode: chat}}\n"


def test_files_come_by_name_and_the_rest_is_told(tmp_path: Path) -> None:
    """No file is left alone in silence; links are not followed."""
    folder = folder_of(tmp_path, WORKFLOW, CHAT)
    (folder / "README.md").write_text("words")
    (folder / "compose.yml").write_text("services: {}\n")
    (folder / "pipeline.yml").write_text("kind: rag_pipeline\nversion: 0.1.0\n")
    (folder / "deep").mkdir()
    (folder / "linked.yml").symlink_to(folder / WORKFLOW)
    (folder / ".hidden.yml").write_text("kind: app\n")
    found = read_folder(folder)
    assert [file.path.name for file in found.files] == [CHAT, WORKFLOW]
    assert list(found.left_alone) == [
        "README.md is left alone: it is no YAML",
        "compose.yml is left alone: it is no DSL of an app",
        "deep is left alone: it is a folder",
        "linked.yml is left alone: it is a link",
        "pipeline.yml is left alone: it is no DSL of an app",
    ]


def test_file_without_a_kind_is_an_app(tmp_path: Path) -> None:
    """As the oldest were."""
    (tmp_path / "a.yml").write_text("app: {name: x, mode: chat}\nmodel_config: {}\n")
    assert [file.name for file in read_folder(tmp_path).files] == ["x"]


BROKEN = {
    "kind: app\napp: {name: 'x\n": "it is no YAML",
    "kind: app\napp: {name: x}\n": "no app with a name and a mode",
    "kind: app\napp: {name: x, mode: robot}\n": "'robot' is no mode of an app",
    "kind: app\nversion: 0.1\napp: {name: x, mode: chat}\n": "its version 0.1 is no text",
    "kind: app\nversion: new\napp: {name: x, mode: chat}\n": "its version 'new' is no text",
    f"kind: app\napp: {{name: {'x' * 256}, mode: chat}}\n": "1 to 255 characters",
}


@pytest.mark.parametrize("text", BROKEN, ids=BROKEN.values())
def test_broken_file_in_the_middle_refuses_the_whole(tmp_path: Path, text: str) -> None:
    """Named with its line where that is known; no Dify is there, and none is asked."""
    folder = folder_of(tmp_path, *every_file())
    (folder / "d.yml").write_text(text)
    with pytest.raises(InputWrong, match=BROKEN[text]) as refused:
        DeployApps.asked({"folder": folder})
    assert "d.yml" in refused.value.where
    assert ("line" in refused.value.where) == ("no YAML" in BROKEN[text])


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    """UTF-16, as some editors write, is told as such."""
    folder = folder_of(tmp_path, CHAT)
    (folder / "a.yml").write_bytes(APP.format("x").encode("utf-16"))
    with pytest.raises(InputWrong, match="no UTF-8"):
        read_folder(folder)


def test_two_files_of_one_app_are_refused_with_both_names(tmp_path: Path) -> None:
    """Else the second would replace the first, and each run anew."""
    folder = folder_of(tmp_path, CHAT)
    for name in ("one.yml", "two.yaml"):
        (folder / name).write_text(APP.format("same"))
    with pytest.raises(InputWrong, match=r"one\.yml and two\.yaml are of one app, 'same'"):
        read_folder(folder)


@pytest.mark.parametrize(("name", "says"), [("", "no DSL of an app"), ("none", "cannot be read")])
def test_folder_without_an_app_is_refused(tmp_path: Path, name: str, says: str) -> None:
    """A typing error in CI must not look like a deployment."""
    with pytest.raises(InputWrong, match=says):
        read_folder(tmp_path / name)


def test_tag_without_a_name_is_refused(tmp_path: Path) -> None:
    """Dify would answer 400 after the first app was made."""
    folder = folder_of(tmp_path, CHAT)
    with pytest.raises(InputWrong, match="1 to 50 characters"):
        DeployApps.asked({"folder": folder, "tags": ["fine", " "]})
