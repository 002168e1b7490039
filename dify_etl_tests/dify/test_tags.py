"""Tags of apps: made, and given beside those that an app has."""

import pytest

from dify_etl.dify.errors import NotSent
from dify_etl_tests.dify.pretend_workspace import app_of, client_of, quiet_world
from dify_simulated import SimulatedDify


@pytest.mark.parametrize("version", ["1.0.0", "1.12.1", "1.16.1"])
def test_tag_is_made_and_given(version: str) -> None:
    """By the route that the release has; given twice it is there once."""
    world = quiet_world()
    app = app_of(world, "chat")
    with client_of(SimulatedDify(world, version)) as dify:
        before = len(dify.tags.of_apps())
        made = [dify.tags.create(name).value for name in ("from git", "夜")]
        for ids in ([made[0].tag_id], [one.tag_id for one in made]):
            dify.tags.give(app.id, ids)
        assert len(dify.tags.of_apps()) == before + 2
    assert [world.tags[one].name for one in app.tag_ids][-2:] == ["from git", "夜"]
    assert len(set(app.tag_ids)) == len(app.tag_ids)


@pytest.mark.parametrize("name", ["", " ", "x" * 51])
def test_name_that_dify_refuses_is_not_sent(name: str) -> None:
    """Its refusal would tell no reason."""
    with client_of(SimulatedDify(quiet_world(), "1.12.1")) as dify, pytest.raises(NotSent):
        dify.tags.create(name)
