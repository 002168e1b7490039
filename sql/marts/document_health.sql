-- One row per dataset: its documents by state, what is stuck or failed, characters and hits.
-- workspace_id: Id of the workspace.
-- dataset_id: Id of the dataset.
-- dataset_name: Name of the dataset.
-- documents: Documents that Dify lists.
-- available_documents: Those that answers can cite: completed, enabled, not archived.
-- working_documents: Those that are being indexed: waiting, parsing, cleaning, splitting, indexing.
-- paused_documents: Those whose indexing somebody paused.
-- failed_documents: Those whose indexing ended with an error.
-- disabled_documents: Completed ones that somebody switched off.
-- archived_documents: Archived ones.
-- oldest_working_since_at: When the document was made that is being indexed for the longest time.
-- stuck_documents: Documents that are being indexed, and were made over a day before the read.
-- last_error: Error of the newest failed document; null: Dify tells none.
-- last_error_document: Its name.
-- characters: Characters of all documents, as Dify counts; null when Dify tells none.
-- hits: How often segments of its documents were retrieved.
-- never_hit_documents: Available documents that were never retrieved.
-- apps: Apps that use the dataset, as Dify counts them.
-- read_at: When the documents were read last.

with datasets as (
    select dataset_id, dataset_name, app_count
    from staging.stg_datasets
    where not is_absent
),

last_read as (
    select max(read_at) as read_at
    from ops.slices
    where feed = 'documents' and state <> 'failed'
),

documents as (
    select
        documents.dataset_id,
        documents.document_id,
        documents.document_name,
        documents.created_at,
        documents.indexing_status,
        documents.error_message,
        documents.character_count,
        documents.hit_count,
        coalesce(documents.is_archived, false) as is_archived,
        documents.indexing_status = 'completed'
        and not coalesce(documents.is_archived, false) as is_complete,
        coalesce(documents.is_enabled, true) as is_enabled,
        -- A list of Dify's tells that somebody paused it by the status that the console shows.
        coalesce(
            'paused' in (documents.indexing_status, documents.display_status), false
        ) as is_paused,
        documents.indexing_status
        in ('waiting', 'parsing', 'cleaning', 'splitting', 'indexing') as is_unfinished,
        last_read.read_at
    from staging.stg_documents as documents
    cross join last_read
    where not documents.is_absent
),

states as (
    select
        *,
        is_unfinished and not is_paused as is_working
    from documents
),

counted as (
    select
        dataset_id,
        count(*) as documents,
        count(*) filter (where is_complete and is_enabled) as available_documents,
        count(*) filter (where is_working) as working_documents,
        count(*) filter (where is_paused) as paused_documents,
        count(*) filter (where indexing_status = 'error') as failed_documents,
        count(*) filter (where is_complete and not is_enabled) as disabled_documents,
        count(*) filter (where is_archived) as archived_documents,
        min(created_at) filter (where is_working) as oldest_working_since_at,
        count(*) filter (where is_working and created_at < read_at - interval '1 day')
            as stuck_documents,
        -- As one value: max_by skips nulls, and an error may have no text.
        max_by(
            {'error': error_message, 'document': document_name}, (created_at, document_id)
        ) filter (where indexing_status = 'error') as last_failure,
        cast(sum(character_count) as decimal(38, 0)) as characters,
        cast(sum(hit_count) as decimal(38, 0)) as hits,
        count(*) filter (where is_complete and is_enabled and coalesce(hit_count, 0) = 0)
            as never_hit_documents
    from states
    group by dataset_id
)

select
    (select max(source.workspace_id) from ops.source as source) as workspace_id,
    datasets.dataset_id,
    datasets.dataset_name,
    coalesce(counted.documents, 0) as documents,
    coalesce(counted.available_documents, 0) as available_documents,
    coalesce(counted.working_documents, 0) as working_documents,
    coalesce(counted.paused_documents, 0) as paused_documents,
    coalesce(counted.failed_documents, 0) as failed_documents,
    coalesce(counted.disabled_documents, 0) as disabled_documents,
    coalesce(counted.archived_documents, 0) as archived_documents,
    counted.oldest_working_since_at,
    coalesce(counted.stuck_documents, 0) as stuck_documents,
    counted.last_failure.error as last_error,
    counted.last_failure.document as last_error_document,
    counted.characters,
    coalesce(counted.hits, 0) as hits,
    coalesce(counted.never_hit_documents, 0) as never_hit_documents,
    datasets.app_count as apps,
    last_read.read_at
from datasets
cross join last_read
left join counted on datasets.dataset_id = counted.dataset_id
