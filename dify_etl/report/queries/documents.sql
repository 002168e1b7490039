-- One row per dataset: its documents by state, as they were read last.
select
    dataset_name,
    documents,
    available_documents,
    working_documents,
    paused_documents,
    failed_documents,
    disabled_documents,
    archived_documents,
    stuck_documents,
    never_hit_documents,
    hits,
    left(last_error, $text_length) as last_error,
    last_error_document,
    read_at
from marts.document_health
order by failed_documents + stuck_documents desc, documents desc, dataset_name, dataset_id
