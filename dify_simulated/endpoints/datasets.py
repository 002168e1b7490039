"""/datasets: the list by visibility, and single ones. Both need the plugin daemon."""

from __future__ import annotations

from dify_simulated.server.calls import Call, Route
from dify_simulated.server.errors import forbidden, not_found
from dify_simulated.server.paging import length_tested_page
from dify_simulated.server.parameters import Flag, Parameter, Whole
from dify_simulated.server.permissions import dataset_permissions
from dify_simulated.server.presentation import account_name, epoch, known
from dify_simulated.versions import ErrorFamily
from dify_simulated.world.rows import Dataset, Document, JsonObject

_LIST_QUERY = "ConsoleDatasetListQuery"
_SINCE_1_9 = (
    "author_name",
    "pipeline_id",
    "runtime_mode",
    "chunk_structure",
    "icon_info",
    "is_published",
    "total_documents",
    "total_available_documents",
    "enable_api",
)


def lenient_whole(name: str, default: int, call: Call, *, model: str = _LIST_QUERY) -> int:
    """A number without bounds; text is refused by pydantic (400) and ignored before it."""
    raw = call.request.args.get(name, "")
    if call.version.error_family is not ErrorFamily.PYDANTIC:
        return int(raw) if raw.lstrip("-").isdigit() else default
    return call.query(model, Whole(name, default)).whole(name)


def list_datasets(call: Call) -> object:
    """GET /datasets: newest first; `ids` skips paging and visibility; `has_more` tests lengths."""
    page, limit = lenient_whole("page", 1, call), lenient_whole("limit", 20, call)
    call.ask_for_models()
    asked = call.query(_LIST_QUERY, Parameter("keyword"), Flag("include_all", False))
    ids = call.request.args.getlist("ids")
    rows = [row for row in call.world.datasets.values() if row.tenant_id == call.tenant_id]
    if ids:
        rows = [row for row in rows if row.id in ids]
    else:
        keyword = (asked.text("keyword") or "").lower()
        sees_all = bool(asked.flag("include_all")) and call.role == "owner"
        rows = [row for row in rows if sees_all or is_visible(row, call)]
        rows = [row for row in rows if keyword in row.name.lower() and _has_tags(row, call)]
    rows.sort(key=lambda row: (row.created_at, row.id), reverse=True)
    data = [_in_list(row, call) for row in rows]
    return length_tested_page(data, page=page, limit=limit)


def is_visible(row: Dataset, call: Call) -> bool:
    """Whether the account may see a dataset without include_all."""
    account_id = call.account.id
    if call.role == "dataset_operator":
        return account_id in row.partial_member_list
    if row.permission == "only_me":
        return row.created_by == account_id
    if row.permission == "partial_members":
        return row.created_by == account_id or account_id in row.partial_member_list
    return True


def _has_tags(row: Dataset, call: Call) -> bool:
    wanted = call.request.args.getlist("tag_ids")
    return not wanted or bool(set(wanted) & set(row.tag_ids))


def dataset_of_path(call: Call) -> Dataset:
    """The dataset of the route in this workspace. Raises ApiError (404)."""
    row = call.world.datasets.get(call.path["dataset_id"])
    if row is None or row.tenant_id != call.tenant_id:
        raise not_found("Dataset not found.")
    return row


def visible_dataset(call: Call) -> Dataset:
    """The same, refused (403) to those who may not see it, admins too; an owner sees all."""
    row = dataset_of_path(call)
    if call.role != "owner" and not is_visible(row, call):
        raise forbidden("You do not have permission to access this dataset.")
    return row


def guarded_dataset(call: Call) -> Dataset:
    """The dataset of the route: anybody's up to 1.16.1, refused to whom it hides from after."""
    return visible_dataset(call) if call.version.keeps_datasets_private else dataset_of_path(call)


def get_dataset(call: Call) -> object:
    """GET /datasets/{id}: as in the list, without partial_member_list unless it is partial."""
    row = visible_dataset(call)
    call.ask_for_models()
    values = dataset_detail(row, call)
    if row.permission == "partial_members":
        values["partial_member_list"] = list(row.partial_member_list)
    elif call.version.answers_by_models:
        values["partial_member_list"] = None
    return values


def _in_list(row: Dataset, call: Call) -> JsonObject:
    return {**dataset_detail(row, call), "partial_member_list": list(row.partial_member_list)}


def dataset_detail(row: Dataset, call: Call) -> JsonObject:
    """A dataset without its list of members."""
    held = [call.world.documents[i] for i in call.world.documents_of_dataset.get(row.id, ())]
    values: JsonObject = {
        "id": row.id,
        "name": row.name,
        "description": row.description,
        "provider": row.provider,
        "permission": row.permission,
        "data_source_type": row.data_source_type,
        "indexing_technique": row.indexing_technique,
        "app_count": 0,
        "document_count": len(held),
        "word_count": sum(document.word_count or 0 for document in held),
        "created_by": row.created_by,
        "author_name": account_name(call, row.created_by),
        "created_at": epoch(row.created_at),
        "updated_by": row.updated_by,
        "updated_at": epoch(row.updated_at),
        "embedding_model": row.embedding_model,
        "embedding_model_provider": row.embedding_model_provider,
        "embedding_available": row.embedding_model is None,
        **_settings(row, newest=call.version.answers_by_models),
        "tags": _tags(row, call),
        "doc_form": "text_model" if held else None,
        "doc_metadata": [],
        "built_in_field_enabled": False,
        **_pipeline(row, held),
        "permission_keys": dataset_permissions(call),
        "maintainer": None,
    }
    return known(values, **_fields_by_release(call))


def _tags(row: Dataset, call: Call) -> list[JsonObject]:
    tags = (call.world.tags[tag_id] for tag_id in row.tag_ids)
    return [{"id": tag.id, "name": tag.name, "type": tag.type} for tag in tags]


def _settings(row: Dataset, *, newest: bool) -> JsonObject:
    nothing: JsonObject = {
        "external_knowledge_id": None,
        "external_knowledge_api_id": None,
        "external_knowledge_api_name": None,
        "external_knowledge_api_endpoint": None,
    }
    return {
        "retrieval_model_dict": {
            "search_method": "semantic_search",
            "reranking_enable": False,
            "reranking_mode": None,
            "reranking_model": {"reranking_provider_name": "", "reranking_model_name": ""},
            "weights": None,
            "top_k": 2,
            "score_threshold_enabled": False,
            "score_threshold": None,
        },
        "summary_index_setting": {
            "enable": None,
            "model_name": None,
            "model_provider_name": None,
            "summary_prompt": None,
        },
        "external_knowledge_info": row.external_knowledge_info or nothing,
        "external_retrieval_model": {
            "top_k": 2,
            "score_threshold": None if newest else 0.0,
            "score_threshold_enabled": False if newest else None,
        },
    }


def _pipeline(row: Dataset, held: list[Document]) -> JsonObject:
    available = [one for one in held if one.indexing_status == "completed" and one.enabled]
    return {
        "pipeline_id": None,
        "runtime_mode": "general",
        "chunk_structure": None,
        "icon_info": {
            "icon_type": None if row.icon is None else "emoji",
            "icon": row.icon,
            "icon_background": None if row.icon is None else "#FFF4ED",
            "icon_url": None,
        },
        "is_published": False,
        "total_documents": len(held),
        "total_available_documents": len([one for one in available if not one.archived]),
        "enable_api": True,
        "is_multimodal": False,
    }


def _fields_by_release(call: Call) -> dict[str, bool]:
    version = call.version
    return {
        **dict.fromkeys(_SINCE_1_9, version.since(1, 9)),
        "doc_metadata": version.since(1, 1),
        "built_in_field_enabled": version.since(1, 1),
        "is_multimodal": version.since(1, 11),
        "summary_index_setting": version.since(1, 12),
        "permission_keys": version.tells_permissions,
        "maintainer": version.tells_permissions,
    }


ROUTES = (
    Route("GET", "/datasets", list_datasets),
    Route("GET", "/datasets/<uuid:dataset_id>", get_dataset),
)
