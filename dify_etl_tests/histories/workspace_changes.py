"""What can happen to apps, keys, members, datasets and documents while Dify is read."""

from dify_etl_tests.histories.history import Change, Verb, picked
from dify_etl_tests.histories.talk_changes import annotate, ask, delete, delete_app, unannotate
from dify_simulated import World
from dify_simulated.world.tables import whole_second

MODES = ("chat", "workflow", "completion", "advanced-chat", "agent-chat")


def add_app(world: World, change: Change) -> None:
    """Apps are created, several in one second."""
    for number in range(change.count):
        world.add_app(
            name=f"app {change.pick}.{number}",
            mode=MODES[change.pick % len(MODES)],
            at=world.now(),
            created_by=world.account_id,
            tenant_id=world.workspace_id,
        )


def edit_app(world: World, change: Change) -> None:
    """An app gets another name and description; its updated_at moves."""
    row = picked(world.apps.values(), change.pick)
    if row is not None:
        row.name, row.description = f"edited {change.count}", f"description {change.count}"
        row.updated_at = whole_second(world.now())


def add_key(world: World, change: Change) -> None:
    """A key of an app, or every other time one of the datasets."""
    app = picked(world.apps.values(), change.pick)
    app_id = app.id if app is not None and change.count % 2 else None
    world.add_api_key(tenant_id=world.workspace_id, at=world.now(), app_id=app_id)


def delete_key(world: World, change: Change) -> None:
    """A key is deleted."""
    row = picked(world.api_keys.values(), change.pick)
    if row is not None:
        world.delete_api_key(row.id)


def join(world: World, change: Change) -> None:
    """A person joins the workspace."""
    number = len(world.accounts)
    row = world.add_account(name=f"person {number}", email=f"p{number}@dify.test", at=world.now())
    world.join(row.id, world.workspace_id, role="normal", at=world.now())


def leave(world: World, change: Change) -> None:
    """A person leaves the workspace, and Dify."""
    rows = [row for row in world.members.values() if row.account_id != world.account_id]
    row = picked(rows, change.pick)
    if row is not None:
        world.remove_account(row.account_id)


def upload(world: World, change: Change) -> None:
    """Documents are uploaded: with a count above three a page full of them."""
    dataset = picked(world.datasets.values(), change.pick)
    amount = change.count if change.count < 4 else 95 + change.count
    for number in range(amount if dataset is not None else 0):
        assert dataset is not None
        world.add_document(dataset.id, at=world.now(), name=f"document {number}")


def index(world: World, change: Change) -> None:
    """A document is indexed, or fails to be."""
    row = picked(world.documents.values(), change.pick)
    if row is not None:
        is_bad = change.count % 2 == 0
        world.set_indexing_status(
            row.id,
            "error" if is_bad else "completed",
            at=world.now(),
            error="no embedding model" if is_bad else None,
        )


def delete_document(world: World, change: Change) -> None:
    """A document is deleted."""
    row = picked(world.documents.values(), change.pick)
    if row is not None:
        del world.documents[row.id]
        world.documents_of_dataset[row.dataset_id].remove(row.id)


WORKSPACE: dict[str, Verb] = {
    verb.__name__: verb
    for verb in (
        *(add_app, edit_app, delete_app, add_key, delete_key, join, leave),
        *(upload, index, delete_document, ask, delete, annotate, unannotate),
    )
}
