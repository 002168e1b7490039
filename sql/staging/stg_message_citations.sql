-- One row per passage that retrieval gave to the model for a message.
-- data_source_type: One of upload_file, notion_import, …
-- retriever_from: One of api, dev or workflow.
-- character_count: Characters of the passage; Dify calls it word_count.
-- is_absent: Whether Dify was proven to have it no more.

select
    message_id,
    conversation_id,
    app_id,
    citation_number,
    position,
    dataset_id,
    dataset_name,
    document_id,
    document_name,
    data_source_type,
    segment_id,
    retriever_from,
    score,
    hit_count,
    word_count as character_count,
    segment_position,
    index_node_hash,
    content,
    page,
    doc_metadata,
    message_created_at,
    message_created_date,
    odd_fields,
    extra,
    loaded_at,
    changed_at,
    absent_since,
    absent_since is not null as is_absent
from raw.message_citations
