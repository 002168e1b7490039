"""The stage, set once per test process: a loaded home, more life in Dify, and a good run of it."""

import shutil
import time
from datetime import timedelta

import pytest

from dify_etl_tests.crashes.stages import Stage, dump, go_on, small_past


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    """Dify's world and home before the run, and what an undisturbed run brings."""
    stage = Stage(small_past(), tmp_path_factory.mktemp("stage"))
    with stage.served():
        before = stage.run("before")
        assert before.finish() == 0, before.said
        (stage.folder / "before" / "session.json").unlink()
    go_on(stage.world, stage.world.now() - timedelta(hours=5), talks=4)
    gone = next(iter(stage.world.conversations))
    stage.world.delete_conversation(gone)
    with stage.served() as server:
        good = stage.run("good")
        began = time.monotonic()
        assert good.finish() == 0, good.said
        stage.seconds = time.monotonic() - began
        stage.requests = len(server.requests)
    stage.wanted = dump(good.home)
    return stage


@pytest.fixture
def name(request: pytest.FixtureRequest, stage: Stage) -> str:
    """A name for the homes of one test; they are removed before it."""
    text = "".join(letter if letter.isalnum() else "-" for letter in request.node.name)
    shutil.rmtree(stage.folder / text, ignore_errors=True)
    return text
