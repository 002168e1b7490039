-- One row per document of a dataset.
-- document_id: Id of the document.
-- dataset_id: Id of the dataset.
-- position: Place in the dataset, from 1.
-- document_name: Name of the document.
-- data_source_type: One of upload_file, notion_import, …
-- data_source_info: Where it came from, JSON.
-- data_source_detail: The file behind it, JSON.
-- dataset_process_rule_id: Rule that cut it into passages.
-- process_rule: That rule, JSON.
-- created_from: Either web or api.
-- created_by_account_id: Account that added it.
-- created_at: When it was added, UTC.
-- tokens: Tokens of the text.
-- character_count: Characters of the text; Dify calls it word_count.
-- hit_count: How often passages were found; moves no time.
-- indexing_status: One of waiting, parsing, cleaning, splitting, indexing, completed, error, …
-- display_status: As the console shows it.
-- error_message: Error text; may be null with status error.
-- is_enabled: Whether retrieval uses it.
-- disabled_at: When it was disabled, UTC.
-- disabled_by_account_id: Account that disabled it.
-- is_archived: Whether it is archived.
-- doc_form: One of text_model, qa_model, hierarchical_model.
-- doc_metadata: Metadata, JSON list.
-- completed_segments: Passages done; only asked with fetch.
-- total_segments: Passages; only asked with fetch.
-- summary_index_status: State of the summary index.
-- is_summary_needed: Whether a summary is wanted.
-- odd_fields: Columns that keep the last good value, since Dify's last was odd; null: none.
-- extra: Fields that Dify sent and no known version has; null: none.
-- loaded_at: When this row was first loaded, UTC.
-- changed_at: When a value of this row last changed here, UTC.
-- absent_since: When Dify was proven to have it no more, UTC; null: there.
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
