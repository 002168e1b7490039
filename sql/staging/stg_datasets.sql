-- One row per dataset (knowledge base) that the account may see.
-- dataset_name: Name of the dataset.
-- provider: Either vendor (kept in Dify) or external.
-- permission: Who may use it: only_me, all_team_members or partial_members.
-- data_source_type: One of upload_file, notion_import, …
-- indexing_technique: Either high_quality or economy.
-- character_count: Characters of all documents; Dify calls it word_count.
-- doc_form: One of text_model, qa_model, hierarchical_model.
-- runtime_mode: Either general or rag_pipeline.
-- maintainer_account_id: Account that maintains it (since 1.16).
-- created_by_account_id: Account that made it.
-- created_at: When it was made, UTC.
-- updated_by_account_id: Account that changed it last.
-- updated_at: Last change, UTC; not all changes move it.
-- is_absent: Whether Dify was proven to have it no more.

select
    dataset_id,
    name as dataset_name,
    description,
    provider,
    permission,
    data_source_type,
    indexing_technique,
    app_count,
    document_count,
    word_count as character_count,
    total_documents,
    total_available_documents,
    embedding_model,
    embedding_model_provider,
    is_embedding_available,
    retrieval_model,
    summary_index_setting,
    tags,
    doc_form,
    doc_metadata,
    external_knowledge_info,
    external_retrieval_model,
    is_built_in_field_enabled,
    partial_member_list,
    pipeline_id,
    runtime_mode,
    chunk_structure,
    icon_info,
    is_published,
    is_api_enabled,
    is_multimodal,
    author_name,
    maintainer_id as maintainer_account_id,
    permission_keys,
    created_by as created_by_account_id,
    created_at,
    updated_by as updated_by_account_id,
    updated_at,
    odd_fields,
    extra,
    loaded_at,
    changed_at,
    absent_since,
    absent_since is not null as is_absent
from raw.datasets
