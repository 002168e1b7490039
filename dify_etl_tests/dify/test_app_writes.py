"""Apps are made, changed, switched, exported, imported and deleted, on every version."""

from datetime import timedelta

import pytest
import yaml

from dify_etl.dify.app_writes import AppChanges, AppDraft
from dify_etl.dify.errors import AppGone, NotAllowed, NotSent, Refused, WriteUnanswered
from dify_etl_tests.dify.pretend_workspace import (
    EDITOR,
    EVERY_VERSION,
    NORMAL,
    NOW,
    app_of,
    client_of,
)
from dify_etl_tests.simulated.signing_in import signed_in
from dify_simulated import Faults, SimulatedDify, World
from dify_simulated.server.faults import Fault
from dify_simulated.world.rows import App, JsonObject


def looks(app: App) -> tuple[object, ...]:
    """What PUT writes of an app, but for its name."""
    return (
        app.description,
        app.icon_type,
        app.icon,
        app.icon_background,
        app.use_icon_as_answer_icon,
        app.max_active_requests or 0,
    )


@pytest.mark.parametrize("version", EVERY_VERSION)
@pytest.mark.parametrize("mode", ["chat", "workflow"])
def test_an_app_is_made(world: World, version: str, mode: str) -> None:
    """201; the answer is smaller than the app, which is read for the rest."""
    dify = client_of(SimulatedDify(world, version), EDITOR)

    written = dify.apps.create(AppDraft("Neu 新", mode, description="about"))

    app = dify.apps.get(written.value.app_id)
    assert (written.status, written.value.name, written.value.icon_type) == (201, "Neu 新", None)
    assert (app.mode, app.description, app.icon_type) == (mode, "about", "emoji")


def test_an_app_whose_answer_is_lost_is_made_once(world: World) -> None:
    """Names are not unique: repeating would make a second one."""
    server = SimulatedDify(world)
    dify = client_of(server)
    dify.account.role()
    server.faults = Faults(after_request=lambda number, method, path, status: Fault.LOST)

    with pytest.raises(WriteUnanswered):
        dify.apps.create(AppDraft("only once", "chat"))

    assert [app.name for app in world.apps.values()].count("only once") == 1


@pytest.mark.parametrize("version", EVERY_VERSION)
@pytest.mark.parametrize("mode", ["chat", "completion", "workflow"])
def test_an_update_keeps_what_is_not_given(world: World, version: str, mode: str) -> None:
    """The server empties what a PUT leaves out: so all is sent, the stored description too."""
    app = app_of(world, mode)
    app.description, app.max_active_requests, app.use_icon_as_answer_icon = "stored", 7, True
    app.icon_type, app.icon, app.icon_background = "emoji", "🧪", "#fff"
    before = looks(app)
    dify = client_of(SimulatedDify(world, version))

    written = dify.apps.update(app.id, AppChanges(name="renamed"))

    assert (written.status, app.name, looks(app)) == (200, "renamed", before)


@pytest.mark.parametrize("version", EVERY_VERSION)
def test_an_update_changes_what_is_given(world: World, version: str) -> None:
    """Each field for itself, an empty text and 0 too."""
    app = app_of(world, "chat")
    app.description, app.max_active_requests = "stored", 7
    dify = client_of(SimulatedDify(world, version))

    dify.apps.update(app.id, AppChanges(description="", max_active_requests=0, icon="🔧"))

    assert (app.description, app.max_active_requests, app.icon) == ("", 0, "🔧")


@pytest.mark.parametrize("version", EVERY_VERSION)
def test_an_app_without_description_is_updated(world: World, version: str) -> None:
    """A stored null would break servers before 1.11, which answer 500."""
    app = app_of(world, "chat")
    app.description = None
    dify = client_of(SimulatedDify(world, version))

    dify.apps.update(app.id, AppChanges(name="renamed"))

    assert app.name == "renamed"
    assert not app.description


@pytest.mark.parametrize(("version", "status", "icon"), [("1.7.2", 500, "🧪"), ("1.12.1", 200, "")])
def test_a_put_of_the_name_alone_does_harm(
    world: World, version: str, status: int, icon: str
) -> None:
    """Why an update reads first: half a PUT breaks or empties the app."""
    app = app_of(world, "chat")
    app.icon = "🧪"
    owner = signed_in(SimulatedDify(world, version))

    answered = owner.put(f"/apps/{app.id}", json={"name": "x"}).status_code

    assert (answered, app.icon) == (status, icon)


@pytest.mark.parametrize("name", ["", "  ", "n" * 256])
def test_names_that_break_the_server_are_not_sent(world: World, name: str) -> None:
    """Dify answers 500 to a long name, which nobody could tell from a lost answer."""
    server, app = SimulatedDify(world), app_of(world, "chat")
    dify = client_of(server)

    with pytest.raises(NotSent):
        dify.apps.create(AppDraft(name, "chat"))
    with pytest.raises(NotSent):
        dify.apps.rename(app.id, name)
    with pytest.raises(NotSent):
        dify.apps.update(app.id, AppChanges(name=name))

    assert {request.method for request in server.requests} <= {"GET", "POST"}
    assert app.name != name


def test_a_rename_touches_the_name_only(world: World) -> None:
    """The partial alternative to a PUT."""
    app = app_of(world, "workflow")
    before = looks(app)

    client_of(SimulatedDify(world)).apps.rename(app.id, "renamed")

    assert (app.name, looks(app)) == ("renamed", before)


def test_site_and_api_are_switched(world: World) -> None:
    """Each by itself; switching off twice is no error."""
    dify, app = client_of(SimulatedDify(world)), app_of(world, "chat")

    for _ in "12":
        assert dify.apps.switch_site(app.id, False).value.is_site_enabled is False
    off = (app.enable_site, app.enable_api)
    dify.apps.switch_api(app.id, False)
    dify.apps.switch_site(app.id, True)

    assert off == (False, True)
    assert (app.enable_site, app.enable_api) == (True, False)


def test_an_editor_may_not_switch_the_api(world: World) -> None:
    """That takes an admin; the site does not."""
    dify, app = client_of(SimulatedDify(world), EDITOR), app_of(world, "chat")

    dify.apps.switch_site(app.id, False)

    with pytest.raises(NotAllowed):
        dify.apps.switch_api(app.id, False)


@pytest.mark.parametrize("version", EVERY_VERSION)
def test_a_deleted_app_is_gone_at_once(world: World, version: str) -> None:
    """204 and 404 from then on, while its rows wait some seconds for a worker."""
    dify, app = client_of(SimulatedDify(world, version)), app_of(world, "chat")
    keys = [key.id for key in world.api_keys.values() if key.app_id == app.id]

    written = dify.apps.delete(app.id)

    assert written.status == 204
    with pytest.raises(AppGone):
        dify.apps.delete(app.id)
    assert set(keys) <= set(world.api_keys)
    world.set_now(NOW + timedelta(seconds=5))
    dify.account.profile()
    assert not set(keys) & set(world.api_keys)


def test_a_normal_member_changes_no_app(world: World) -> None:
    """Writing takes an editor."""
    dify, app = client_of(SimulatedDify(world), NORMAL), app_of(world, "chat")

    with pytest.raises(NotAllowed):
        dify.apps.create(AppDraft("x", "chat"))
    with pytest.raises(NotAllowed):
        dify.apps.rename(app.id, "x")
    with pytest.raises(NotAllowed):
        dify.apps.delete(app.id)


@pytest.mark.parametrize("version", EVERY_VERSION)
@pytest.mark.parametrize("mode", ["chat", "advanced-chat", "workflow", "completion"])
def test_an_app_comes_back_from_its_dsl(world: World, version: str, mode: str) -> None:
    """Exported, deleted and imported again, an app exports as before."""
    dify, app = client_of(SimulatedDify(world, version)), app_of(world, mode)
    dsl = dify.apps.export_dsl(app.id)
    dify.apps.delete(app.id)

    written = dify.apps.import_dsl(dsl)

    assert (written.value.status, written.value.app_mode) == ("completed", mode)
    assert written.value.app_id not in (None, app.id)
    assert yaml.safe_load(dify.apps.export_dsl(written.value.app_id or "")) == yaml.safe_load(dsl)


def test_each_import_makes_another_app(world: World) -> None:
    """Unless it is told which one to overwrite, by which nothing new comes."""
    dify, app = client_of(SimulatedDify(world)), app_of(world, "workflow")
    dsl, before = dify.apps.export_dsl(app.id), len(world.apps)

    made = [dify.apps.import_dsl(dsl, name=name).value.app_id for name in ("one", "two")]
    over = dify.apps.import_dsl(dsl, app_id=app.id).value.app_id

    assert [world.apps[one or ""].name for one in made] == ["one", "two"]
    assert (over, len(world.apps)) == (app.id, before + 2)


def test_a_newer_dsl_is_confirmed(world: World) -> None:
    """Dify holds it back until somebody says yes; one request more, one app."""
    server, app = SimulatedDify(world, "1.7.2"), app_of(world, "workflow")
    dify = client_of(server)
    newer = dify.apps.export_dsl(app.id).replace("version: 0.3.1", "version: 0.5.0")
    before = len(world.apps)

    done = dify.apps.import_dsl(newer).value

    assert (done.status, done.imported_dsl_version) == ("completed", "0.5.0")
    assert len(world.apps) == before + 1
    assert len(server.requests_of("/apps/imports/{import_id}/confirm")) == 1


def test_an_older_dsl_is_taken_with_warnings(world: World) -> None:
    """The status says so."""
    dify, app = client_of(SimulatedDify(world)), app_of(world, "workflow")
    older = dify.apps.export_dsl(app.id).replace("version: 0.5.0", "version: 0.3.1")

    assert dify.apps.import_dsl(older).value.status == "completed-with-warnings"


@pytest.mark.parametrize(
    "dsl",
    [
        "",
        "- a list",
        "kind: app",
        "{ no yaml",
        "version: new\napp: {name: x, mode: chat}",
        "app: {name: x, mode: banana}",
    ],
)
def test_a_bad_dsl_is_refused(world: World, dsl: str) -> None:
    """400, and no app."""
    dify, before = client_of(SimulatedDify(world)), len(world.apps)

    with pytest.raises(Refused, match=r"does not take the DSL|Missing app data|is required"):
        dify.apps.import_dsl(dsl)

    assert len(world.apps) == before


def test_secrets_leave_in_a_dsl_on_request_only(world: World) -> None:
    """The value of a secret environment variable stays at home unless it is asked for."""
    dify, app = client_of(SimulatedDify(world)), app_of(world, "workflow")
    draft = world.draft_of(app.id)
    assert draft is not None
    secret: JsonObject = {"name": "TOKEN", "value_type": "secret", "value": "s3cret"}
    draft.environment_variables = (secret,)

    assert "s3cret" not in dify.apps.export_dsl(app.id)
    assert "s3cret" in dify.apps.export_dsl(app.id, include_secret=True)


def test_an_export_needs_the_plugin_daemon(world: World) -> None:
    """Its outage looks like a wrong parameter."""
    server, app = SimulatedDify(world), app_of(world, "chat")
    server.plugin_daemon_down = True

    with pytest.raises(Refused) as caught:
        client_of(server).apps.export_dsl(app.id)

    assert "plugin daemon" in caught.value.hint
