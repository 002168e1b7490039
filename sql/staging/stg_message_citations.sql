-- One row per passage that retrieval gave to the model for a message.
-- message_id: Id of the message.
-- conversation_id: Id of the conversation.
-- app_id: Id of the app.
-- position: Rank of the passage, from 1.
-- dataset_id: Dataset of the passage.
-- dataset_name: Its name then.
-- document_id: Document of the passage.
-- document_name: Its name then.
-- data_source_type: One of upload_file, notion_import, …
-- segment_id: Id of the passage.
-- retriever_from: One of api, dev or workflow.
-- score: Similarity, usually 0 to 1.
-- hit_count: How often the passage was found till then.
-- character_count: Characters of the passage; Dify calls it word_count.
-- segment_position: Place in the document, from 1.
-- index_node_hash: Hash of the passage.
-- content: Text of the passage.
-- page: Page of the document, JSON.
-- doc_metadata: Metadata of the document, JSON.
-- message_created_at: When the question came, UTC.
-- message_created_date: Local day of message_created_at.
-- extra: Fields that Dify sent and no known version has; null: none.
-- loaded_at: When this row was first loaded, UTC.
-- changed_at: When a value of this row last changed here, UTC.
-- absent_since: When Dify was proven to have it no more, UTC; null: there.
-- is_absent: Whether Dify was proven to have it no more.

select
    message_id,
    conversation_id,
    app_id,
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
    extra,
    loaded_at,
    changed_at,
    absent_since,
    absent_since is not null as is_absent
from raw.message_citations
