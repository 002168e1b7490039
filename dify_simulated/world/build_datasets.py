"""Knowledge bases of every kind, and documents in every state of indexing."""

from __future__ import annotations

from datetime import timedelta

from dify_simulated.world.build_chronicle import Chronicle
from dify_simulated.world.rows import Dataset, JsonObject
from dify_simulated.world.texts import DATASET_NAMES

_PERMISSIONS = (
    "all_team_members",
    "all_team_members",
    "only_me",
    "all_team_members",
    "only_me",
    "partial_members",
)
_STATES = (
    "completed",
    "waiting",
    "parsing",
    "cleaning",
    "splitting",
    "indexing",
    "error",
    "paused",
    "completed",
    "completed",
    "completed",
    "error",
)
_EXTERNAL: JsonObject = {
    "external_knowledge_id": "wiki-7",
    "external_knowledge_api_id": "9f0f9a3e-2b4e-4f63-8a3f-4a6f3d1c9b10",
    "external_knowledge_api_name": "Company wiki",
    "external_knowledge_api_endpoint": "https://wiki.example.test/retrieval",
}


def stock_datasets(chronicle: Chronicle) -> None:
    """Six datasets and two keys; the first dataset holds all states, the second over a hundred."""
    world = chronicle.world
    for number, name in enumerate(DATASET_NAMES):
        _make_dataset(chronicle, number, name)
    for _ in range(2):
        world.add_api_key(tenant_id=world.workspace_id, at=chronicle.began)


def _make_dataset(chronicle: Chronicle, number: int, name: str) -> None:
    world = chronicle.world
    members = [m.account_id for m in world.members.values() if m.role in ("admin", "editor")]
    row = world.add_dataset(
        name=name,
        tenant_id=world.workspace_id,
        # "Private notes" belong to the admin: only an owner with include_all sees them.
        created_by=members[0] if number == 2 else world.account_id,
        at=chronicle.began + timedelta(days=9),  # one second for all
        permission=_PERMISSIONS[number],
    )
    row.updated_by = row.created_by if number < 2 else None
    row.description = None if number == 4 else f"描述 {name}"
    row.embedding_model = "text-embedding-3-large"
    row.embedding_model_provider = "langgenius/openai/openai"
    if row.permission == "partial_members":
        row.partial_member_list = tuple(members)
    if number == 3:
        row.provider, row.external_knowledge_info = "external", _EXTERNAL
        row.data_source_type = row.indexing_technique = None
        row.embedding_model = row.embedding_model_provider = None
    elif number != 4:
        _upload(chronicle, row, 131 if number == 1 else len(_STATES))


def _upload(chronicle: Chronicle, dataset: Dataset, count: int) -> None:
    for number in range(count):
        at = dataset.created_at + timedelta(days=1, seconds=number // 4)
        document = chronicle.world.add_document(
            dataset.id, at=at, name=f"文档-{number:03d}.md", batch=f"{at:%Y%m%d}{number // 5:06d}"
        )
        state = "completed" if count > len(_STATES) else _STATES[number]
        if state == "paused" or (state == "error" and number % 2 == 0):  # met on the way
            before = "indexing" if state == "paused" else "cleaning"
            chronicle.world.set_indexing_status(document.id, before, at=at)
        if state != "waiting":
            problem = None if number % 2 else "Failed to parse: 文件损坏"  # errors may have no text
            chronicle.world.set_indexing_status(
                document.id, state, at=at + timedelta(seconds=9), error=problem
            )
        if state == "error" and problem is None:
            document.stopped_at = None
        if state == "completed":
            for _ in range(number % 7):
                chronicle.world.find_segment(chronicle.world.segments_of_document[document.id][0])
        if number == 9:
            document.enabled, document.disabled_at = False, at + timedelta(days=1)
            document.disabled_by = dataset.created_by
        document.archived = number == 10
