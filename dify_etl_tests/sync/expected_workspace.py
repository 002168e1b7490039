"""The rows of apps, keys, datasets, documents, members and annotations that a world must give."""

import hashlib
import hmac
from collections.abc import Iterator

from dify_etl_tests.sync.expected_values import Row, Told, second
from dify_simulated.world.rows import ApiKey, App, Document, JsonObject

FINGERPRINT_KEY = b"a key of the tests"


def apps(told: Told) -> Iterator[Row]:
    """raw.apps: the stored description and settings, without what opens the web page."""
    for row in told.world.apps.values():
        workflow = told.world.workflows.get(row.workflow_id or "")
        yield {
            "app_id": row.id,
            "name": row.name,
            "mode": row.mode,
            "agent_id": told.world.agent_of_app.get(row.id),
            "description": row.description,
            "icon_type": row.icon_type,
            "icon": row.icon,
            "icon_background": row.icon_background,
            "icon_url": f"http://dify.test/files/{row.icon}/file-preview"
            if row.icon_type == "image"
            else None,
            "app_model_config": _config(row),
            "workflow_id": workflow and workflow.id,
            "workflow_created_by": workflow and workflow.created_by,
            "workflow_created_at": workflow and second(workflow.created_at),
            "workflow_updated_by": workflow and workflow.updated_by,
            "workflow_updated_at": workflow and second(workflow.updated_at),
            "tags": _tags(told, row.tag_ids),
            "maintainer_id": row.created_by if told.since(1, 16) else None,
            "is_starred": told.world.account_id in row.starred_by if told.since(1, 16) else None,
            "max_active_requests": row.max_active_requests,
            "is_icon_as_answer_icon": row.use_icon_as_answer_icon,
            "author_name": told.account_name(row.created_by) if told.since(1, 7) else None,
            "created_by": row.created_by,
            "created_at": second(row.created_at),
            "updated_by": row.updated_by,
            "updated_at": second(row.updated_at),
            "is_site_enabled": row.enable_site,
            "is_api_enabled": row.enable_api,
            "site": {"title": row.site.title, "created_by": row.site.created_by},
            "detail_of": second(row.updated_at),
            "detail_extra": None,
            "extra": None,
        }


def _config(row: App) -> JsonObject | None:
    config = row.app_model_config
    if config is None:
        return None
    return {
        "opening_statement": config.opening_statement,
        "suggested_questions": list(config.suggested_questions),
        "model": config.model,
        "pre_prompt": config.pre_prompt,
        "agent_mode": config.agent_mode,
        "user_input_form": list(config.user_input_form),
        "created_by": config.created_by,
    }


def _tags(told: Told, tag_ids: tuple[str, ...]) -> list[Row]:
    found = [told.world.tags[tag_id] for tag_id in tag_ids]
    return [{"id": tag.id, "name": tag.name, "type": tag.type} for tag in found]


def app_api_keys(told: Told) -> Iterator[Row]:
    """raw.app_api_keys."""
    yield from (_key(row) for row in told.world.api_keys.values() if row.app_id is not None)


def dataset_api_keys(told: Told) -> Iterator[Row]:
    """raw.dataset_api_keys."""
    yield from (_key(row) for row in told.world.api_keys.values() if row.app_id is None)


def _key(row: ApiKey) -> Row:
    digest = hmac.new(FINGERPRINT_KEY, row.token.encode(), hashlib.sha256)
    return {
        "api_key_id": row.id,
        "app_id": row.app_id,
        "key_type": row.type,
        "masked_token": f"{row.token[:5]}...{row.token[-4:]}",
        "token_fingerprint": digest.hexdigest(),
        "dataset_ids": None,
        "created_at": second(row.created_at),
        "last_used_at": second(row.last_used_at),
    }


def datasets(told: Told) -> Iterator[Row]:
    """raw.datasets, as the workspace's owner sees them."""
    for row in told.world.datasets.values():
        held = _documents_of(told, row.id)
        yield {
            "dataset_id": row.id,
            "name": row.name,
            "description": row.description,
            "provider": row.provider,
            "permission": row.permission,
            "data_source_type": row.data_source_type,
            "indexing_technique": row.indexing_technique,
            "document_count": len(held),
            "word_count": sum(one.word_count or 0 for one in held),
            "embedding_model": row.embedding_model,
            "embedding_model_provider": row.embedding_model_provider,
            "tags": _tags(told, row.tag_ids),
            "doc_form": "text_model" if held else None,
            "external_knowledge_info": row.external_knowledge_info
            or {"external_knowledge_id": None},
            "partial_member_list": list(row.partial_member_list),
            "author_name": told.account_name(row.created_by) if told.since(1, 9) else None,
            "total_documents": len(held) if told.since(1, 9) else None,
            "total_available_documents": _available(held) if told.since(1, 9) else None,
            "created_by": row.created_by,
            "created_at": second(row.created_at),
            "updated_by": row.updated_by,
            "updated_at": second(row.updated_at),
            "extra": None,
        }


def _documents_of(told: Told, dataset_id: str) -> list[Document]:
    return [row for row in told.world.documents.values() if row.dataset_id == dataset_id]


def _available(held: list[Document]) -> int:
    ready = [row for row in held if row.indexing_status == "completed"]
    return len([row for row in ready if row.enabled and not row.archived])


def documents(told: Told) -> Iterator[Row]:
    """raw.documents."""
    for row in told.world.documents.values():
        yield {
            "dataset_id": row.dataset_id,
            "document_id": row.id,
            "position": row.position,
            "name": row.name,
            "data_source_info": {"upload_file_id": row.upload_file_id},
            "dataset_process_rule_id": row.dataset_process_rule_id,
            "created_by": row.created_by,
            "created_at": second(row.created_at),
            "tokens": row.tokens,
            "word_count": row.word_count,
            "hit_count": row.hit_count,
            "indexing_status": row.indexing_status,
            "display_status": _display_status(row),
            "error": row.error,
            "is_enabled": row.enabled,
            "disabled_at": second(row.disabled_at),
            "disabled_by": row.disabled_by,
            "is_archived": row.archived,
            "extra": None,
        }


def document_segments(told: Told) -> Iterator[Row]:
    """raw.document_segments, where they are read."""
    for row in told.world.document_segments.values() if told.segments else ():
        yield {
            "dataset_id": row.dataset_id,
            "document_id": row.document_id,
            "segment_id": row.id,
            "position": row.position,
            "content": row.content,
            "answer": row.answer,
            "summary": row.summary if told.since(1, 12) else None,
            "keywords": list(row.keywords),
            "word_count": row.word_count,
            "tokens": row.tokens,
            "hit_count": row.hit_count,
            "status": row.status,
            "error": row.error,
            "is_enabled": row.enabled,
            "disabled_at": second(row.disabled_at),
            "disabled_by": row.disabled_by,
            "created_by": row.created_by,
            "created_at": second(row.created_at),
            "updated_by": row.updated_by,
            "updated_at": second(row.updated_at),
            "indexing_at": second(row.indexing_at),
            "completed_at": second(row.completed_at),
            "stopped_at": second(row.stopped_at),
            "extra": None,
        }


def _display_status(row: Document) -> str:
    if row.is_paused:
        return "paused"
    shown = {"waiting": "queuing", "error": "error"}
    if row.indexing_status != "completed":
        return shown.get(row.indexing_status, "indexing")
    return "archived" if row.archived else "available" if row.enabled else "disabled"


def members(told: Told) -> Iterator[Row]:
    """raw.members: everybody of the workspace."""
    for join in told.world.members.values():
        if join.tenant_id == told.world.workspace_id:
            row = told.world.accounts[join.account_id]
            yield {
                "account_id": row.id,
                "name": row.name,
                "email": row.email,
                "avatar": row.avatar,
                "avatar_url": row.avatar,
                "role": join.role,
                "roles": _roles(join.role) if told.since(1, 16) else None,
                "status": row.status,
                "created_at": second(row.created_at),
                "extra": None,
            }


def _roles(role: str) -> list[Row]:
    return [] if role == "dataset_operator" else [{"id": role, "name": role}]


def agent_versions(told: Told) -> Iterator[Row]:
    """raw.agent_versions."""
    for row in told.world.agent_versions.values():
        yield {
            "app_id": told.world.agents[row.agent_id].app_id,
            "agent_id": row.agent_id,
            "agent_version_id": row.id,
            "version": row.version,
            "display_version": row.version,
            "snapshot_version": row.version + 1,
            "summary": None,
            "version_note": row.version_note,
            "created_by": row.created_by,
            "created_at": second(row.created_at),
            "extra": None,
        }


def workflow_versions(told: Told) -> Iterator[Row]:
    """raw.workflow_versions: all but the drafts."""
    for row in told.world.workflows.values():
        if row.version != "draft":
            by = told.world.accounts[row.created_by]
            yield {
                "app_id": row.app_id,
                "workflow_id": row.id,
                "version": row.version,
                "version_number": row.version_number if told.since(1, 17) else None,
                "marked_name": row.marked_name if told.since(1, 1) else None,
                "marked_comment": row.marked_comment if told.since(1, 1) else None,
                "graph_hash": row.hash,
                "graph": row.graph,
                "environment_variables": [],
                "conversation_variables": [],
                "rag_pipeline_variables": [] if told.since(1, 9) else None,
                "is_tool_published": False,
                "created_by_id": by.id,
                "created_by_name": by.name,
                "created_by_email": by.email,
                "updated_by": row.updated_by,
                "created_at": second(row.created_at),
                "updated_at": second(row.updated_at),
                "extra": None,
            }


def annotations(told: Told) -> Iterator[Row]:
    """raw.annotations."""
    for row in told.world.annotations.values():
        yield {
            "app_id": row.app_id,
            "annotation_id": row.id,
            "question": row.question,
            "answer": row.content,
            "hit_count": row.hit_count,
            "created_at": second(row.created_at),
            "extra": None,
        }
