"""The history of apps: one row per change, with what changed, and none without one."""

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from dify_etl.feeds.app_versions import note_app_versions
from dify_etl_tests.sync.conftest import Open
from dify_etl_tests.sync.small_worlds import app_of, quiet_world
from dify_etl_tests.sync.test_proven_means_loaded import answering
from dify_etl_tests.sync.workplace import NOW, Workplace
from dify_simulated import World
from dify_simulated.world.rows import AppModelConfig

FEEDS = ("apps",)


def configured_world() -> World:
    """A chat app with a model, and a workflow app."""
    world = quiet_world("chat", "workflow")
    app_of(world).app_model_config = AppModelConfig(
        id=world.new_id(),
        model={"provider": "openai", "name": "first-model", "mode": "chat"},
        pre_prompt="Be brief.",
        created_by=world.account_id,
        created_at=NOW - timedelta(days=40),
    )
    return world


def history(place: Workplace, mode: str) -> list[tuple[Any, ...]]:
    """Number and changed columns of the rows of the app of a mode."""
    app_id = app_of(place.world, mode).id
    rows = place.rows(
        f"SELECT app_version, changed FROM ops.app_versions WHERE app_id = '{app_id}' ORDER BY 1"
    )
    return [(number, changed and json.loads(changed)) for number, changed in rows]


def renamed(world: World) -> None:
    """Another name, and the time of it."""
    app = app_of(world)
    app.name, app.updated_at = "another name", world.now()


def another_model(world: World) -> None:
    """Another model, as the newest servers tell it."""
    app = app_of(world)
    assert app.app_model_config is not None
    model = {**app.app_model_config.model, "name": "another-model"}
    app.app_model_config = replace(
        app.app_model_config, id=world.new_id(), model=model, created_at=world.now()
    )
    app.updated_at = world.now()


def another_model_untold(world: World) -> None:
    """Another model, as servers before 1.12 tell it: the app's own time stands still."""
    before = app_of(world).updated_at
    another_model(world)
    app_of(world).updated_at = before


def published_again(world: World) -> None:
    """The draft of the workflow app, published once more."""
    app = app_of(world, "workflow")
    if world.draft_of(app.id) is None:
        world.save_draft(app.id, {"nodes": [], "edges": []}, at=world.now())
    world.publish(app.id, at=world.now())


def test_app_that_does_not_change_has_one_row(workplace: Open) -> None:
    """The first read of an app is its first row; nights without a change add none."""
    place = workplace(configured_world())
    for _ in range(3):
        place.read(FEEDS)
        place.pass_time(days=1)
    assert history(place, "chat") == [(1, None)]
    assert history(place, "workflow") == [(1, None)]


@pytest.mark.parametrize(
    ("change", "mode", "changed"),
    [
        (renamed, "chat", ["name"]),
        (another_model, "chat", ["app_model_config"]),
        (another_model_untold, "chat", ["app_model_config"]),
        (published_again, "workflow", ["workflow_id"]),
    ],
)
def test_change_is_one_row_that_names_it(
    workplace: Open, change: Callable[[World], None], mode: str, changed: list[str]
) -> None:
    """A rename, a publication, another model: a row each with what changed and since when; the
    next read adds none, and the row before stays as it was.
    """
    place = workplace(configured_world())
    place.read(FEEDS)
    first = place.rows("FROM ops.app_versions WHERE app_version = 1 ORDER BY app_id")
    changed_at = place.pass_time(hours=5).replace(microsecond=0)
    change(place.world)
    place.pass_time(hours=5)
    place.read(FEEDS)
    place.read(FEEDS)
    assert history(place, mode) == [(1, None), (2, changed)]
    assert place.rows("FROM ops.app_versions WHERE app_version = 1 ORDER BY app_id") == first
    told = "SELECT valid_from_at, valid_from_source FROM ops.app_versions WHERE app_version = 2"
    assert place.rows(told) == [(changed_at, "dify")]


def test_model_stands_in_the_row_as_it_was(workplace: Open) -> None:
    """Each row has the model of its span, and the whole configuration without who made it."""
    place = workplace(configured_world())
    place.read(FEEDS)
    place.pass_time(hours=1)
    another_model(place.world)
    place.pass_time(hours=1)
    place.read(FEEDS)
    of_model = "SELECT model, configuration FROM ops.app_versions WHERE model IS NOT NULL"
    rows = place.rows(f"{of_model} ORDER BY app_version")
    assert [model for model, _ in rows] == ["first-model", "another-model"]
    for model, text in rows:
        held = json.loads(text)["app_model_config"]
        assert held["model"]["name"] == model
        assert not {"created_at", "created_by", "updated_at", "updated_by"} & held.keys()


class _Ended(Exception):
    """Somebody ended the process."""


def nested(levels: int) -> dict[str, Any]:
    """A configuration of so many objects in one another."""
    found: dict[str, Any] = {}
    for _ in range(levels):
        found = {"inner": found}
    return found


@pytest.mark.parametrize(
    "config",
    [
        7,
        "text",
        [1, "two", None],
        {"model": 7},
        {"model": {"provider": 7, "name": ["a"]}},
        *({"created_at": made} for made in (2**63, -9e300, 1_773_329_420_000, "now", 1.5, True)),
        nested(200),
    ],
)
def test_odd_configuration_is_kept_as_it_is(workplace: Open, config: Any) -> None:
    """Whatever stands for a configuration, the row is written, and the apps are read."""
    place = workplace(configured_world())
    app_id = app_of(place.world).id

    def odd(path: str, answer: Any) -> Any:
        return {**answer, "model_config": config} if path.endswith(f"/apps/{app_id}") else answer

    answering(place, odd).read(FEEDS)
    place.pass_time(days=1)
    place.read(FEEDS)
    assert place.rows("SELECT trace FROM ops.unforeseen_errors") == []
    assert len(history(place, "chat")) == 1


def test_interrupted_read_leaves_no_row_and_the_next_one_leaves_one(workplace: Open) -> None:
    """The row is committed with what it tells of: an end before that takes both back, and the
    change is found by the next read.
    """
    place = workplace(configured_world())
    place.read(FEEDS)
    place.pass_time(hours=1)
    renamed(place.world)
    with place.opened() as sync, suppress(_Ended), sync.database.transaction():
        sync.database.execute("UPDATE raw.apps SET name = 'another name' WHERE mode = 'chat'")
        note_app_versions(sync, unread=())
        assert sync.database.value("SELECT count(*) FROM ops.app_versions") == 3
        raise _Ended
    assert history(place, "chat") == [(1, None)]
    place.read(FEEDS)
    assert history(place, "chat") == [(1, None), (2, ["name"])]


def test_change_of_a_time_that_nobody_tells_counts_from_when_it_is_seen(workplace: Open) -> None:
    """A time that is not later than the row before is no time of this change."""
    place = workplace(configured_world())
    place.read(FEEDS)
    place.pass_time(hours=1)
    app_of(place.world).name = "renamed, and nobody says when"
    place.read(FEEDS)
    told = "SELECT valid_from_at, valid_from_source FROM ops.app_versions WHERE app_version = 2"
    assert place.rows(told) == [(NOW + timedelta(hours=1), "seen")]
