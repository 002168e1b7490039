-- One row per document of a dataset.
-- document_name: Name of the document.
-- data_source_type: One of upload_file, notion_import, …
-- created_from: Either web or api.
-- created_by_account_id: Account that added it.
-- created_at: When it was added, UTC.
-- character_count: Characters of the text; Dify calls it word_count.
-- indexing_status: One of waiting, parsing, cleaning, splitting, indexing, completed, error.
-- error_message: Error text; may be null with status error.
-- disabled_at: When it was disabled, UTC.
-- disabled_by_account_id: Account that disabled it.
-- doc_form: One of text_model, qa_model, hierarchical_model.
-- is_summary_needed: Whether a summary is wanted.
-- is_absent: Whether Dify was proven to have it no more.

select
    document_id,
    dataset_id,
    position,
    name as document_name,
    data_source_type,
    data_source_info,
    data_source_detail,
    dataset_process_rule_id,
    process_rule,
    created_from,
    created_by as created_by_account_id,
    created_at,
    tokens,
    word_count as character_count,
    hit_count,
    indexing_status,
    display_status,
    error as error_message,
    is_enabled,
    disabled_at,
    disabled_by as disabled_by_account_id,
    is_archived,
    doc_form,
    doc_metadata,
    completed_segments,
    total_segments,
    summary_index_status,
    need_summary as is_summary_needed,
    odd_fields,
    extra,
    loaded_at,
    changed_at,
    absent_since,
    absent_since is not null as is_absent
from raw.documents
