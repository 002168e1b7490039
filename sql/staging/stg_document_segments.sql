-- One row per segment (passage) of a document; filled with DIFY_ETL_SEGMENTS alone.
-- segment_position: Place in the document, from 1; not always unique.
-- content: Text of the segment; of doc_form qa_model the question.
-- character_count: Characters of the text; Dify calls it word_count.
-- hit_count: How often it was found, as of when the document was read last.
-- status: One of waiting, indexing, completed, error, paused, …
-- error_message: Error text.
-- disabled_at: When it was disabled, UTC.
-- disabled_by_account_id: Account that disabled it.
-- created_by_account_id: Account that added it.
-- created_at: When it was added, UTC.
-- updated_by_account_id: Account that edited it last.
-- updated_at: Last edit, UTC; hits do not move it.
-- indexing_at: When its indexing began, UTC.
-- completed_at: When it was indexed, UTC.
-- stopped_at: When its indexing was stopped, UTC.
-- is_absent: Whether Dify was proven to have it no more.

select
    segment_id,
    document_id,
    dataset_id,
    position as segment_position,
    content,
    answer,
    summary,
    keywords,
    word_count as character_count,
    tokens,
    hit_count,
    index_node_id,
    index_node_hash,
    status,
    error as error_message,
    is_enabled,
    disabled_at,
    disabled_by as disabled_by_account_id,
    child_chunks,
    attachments,
    created_by as created_by_account_id,
    created_at,
    updated_by as updated_by_account_id,
    updated_at,
    indexing_at,
    completed_at,
    stopped_at,
    odd_fields,
    extra,
    loaded_at,
    changed_at,
    absent_since,
    absent_since is not null as is_absent
from raw.document_segments
