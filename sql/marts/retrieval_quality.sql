-- One row per dataset, document and segment an answer cites; per document and segment never cited.
-- workspace_id: Id of the workspace.
-- dataset_id: Id of the dataset.
-- dataset_name: Its name now; of a dataset that is gone, its name when it was cited last.
-- document_id: Id of the document; null: an external source that tells none.
-- document_name: Its name now; of a document that is gone, its name when it was cited last.
-- segment_id: Id of the segment; null: the source tells none, or it is a document never cited.
-- segment_position: Place of the segment in its document, as it was cited last; else as it is.
-- is_cited: Whether any answer that was read cites it; false: the document or segment never was.
-- citations: Times that it was given to the model as a source of an answer.
-- cited_messages: Answers that cite it.
-- citing_apps: Apps whose answers cite it.
-- first_cited_date: Local day of the first question whose answer cites it.
-- last_cited_date: Local day of the last one.
-- average_score: Mean of the scores by which it was found; null: no score is told.
-- best_score: Highest score.
-- worst_score: Lowest score.
-- liked_messages: Answers citing it that somebody likes now.
-- disliked_messages: Answers citing it that somebody dislikes now.
-- is_document_in_dify: Whether the document is in its dataset now, as far as it was read.

-- Citations that name no dataset are left out.
-- Never cited: no answer that was read cites the segment, or any segment of the document. Segments
-- have such rows only where they are read (DIFY_ETL_SEGMENTS), disabled ones too; documents always,
-- with no segment_id.

with citations as (
    select
        citations.dataset_id,
        citations.dataset_name,
        citations.document_id,
        citations.document_name,
        citations.segment_id,
        citations.segment_position,
        citations.message_id,
        citations.app_id,
        citations.score,
        citations.citation_number,
        citations.message_created_at,
        citations.message_created_date
    from staging.stg_message_citations as citations
    where citations.dataset_id is not null
),

ratings as (
    select
        message_id,
        bool_or(rating = 'like') as is_liked,
        bool_or(rating = 'dislike') as is_disliked
    from staging.stg_message_feedbacks
    where not is_absent
    group by message_id
),

cited as (
    select
        citations.dataset_id,
        citations.document_id,
        citations.segment_id,
        max_by(
            citations.dataset_name,
            (citations.message_created_at, citations.message_id, citations.citation_number)
        ) as dataset_name,
        max_by(
            citations.document_name,
            (citations.message_created_at, citations.message_id, citations.citation_number)
        ) as document_name,
        max_by(
            citations.segment_position,
            (citations.message_created_at, citations.message_id, citations.citation_number)
        ) as segment_position,
        count(*) as citations,
        count(distinct citations.message_id) as cited_messages,
        count(distinct citations.app_id) as citing_apps,
        min(citations.message_created_date) as first_cited_date,
        max(citations.message_created_date) as last_cited_date,
        round(avg(citations.score), 6) as average_score,
        max(citations.score) as best_score,
        min(citations.score) as worst_score,
        count(distinct citations.message_id) filter (where ratings.is_liked) as liked_messages,
        count(distinct citations.message_id) filter (where ratings.is_disliked)
            as disliked_messages
    from citations
    left join ratings on citations.message_id = ratings.message_id
    group by citations.dataset_id, citations.document_id, citations.segment_id
),

datasets as (
    select dataset_id, dataset_name
    from staging.stg_datasets
    where not is_absent
),

documents as (
    select documents.dataset_id, documents.document_id, documents.document_name
    from staging.stg_documents as documents
    inner join datasets on documents.dataset_id = datasets.dataset_id
    where not documents.is_absent
),

never_cited as (
    select documents.dataset_id, documents.document_id
    from documents
    left join citations
        on
            documents.dataset_id = citations.dataset_id
            and documents.document_id = citations.document_id
    where citations.document_id is null
),

never_cited_segments as (
    select segments.dataset_id, segments.document_id, segments.segment_id, segments.segment_position
    from staging.stg_document_segments as segments
    inner join documents on segments.document_id = documents.document_id
    inner join ops.document_reads as reads on segments.document_id = reads.document_id
    left join (select distinct segment_id from citations) as cited_segments
        on segments.segment_id = cited_segments.segment_id
    where not segments.is_absent and cited_segments.segment_id is null
),

all_rows as (
    select *, true as is_cited from cited
    union all by name
    select *, false as is_cited from never_cited
    union all by name
    select *, false as is_cited from never_cited_segments
)

select
    (select max(source.workspace_id) from ops.source as source) as workspace_id,
    all_rows.dataset_id,
    coalesce(datasets.dataset_name, all_rows.dataset_name) as dataset_name,
    all_rows.document_id,
    coalesce(documents.document_name, all_rows.document_name) as document_name,
    all_rows.segment_id,
    all_rows.segment_position,
    all_rows.is_cited,
    coalesce(all_rows.citations, 0) as citations,
    coalesce(all_rows.cited_messages, 0) as cited_messages,
    coalesce(all_rows.citing_apps, 0) as citing_apps,
    all_rows.first_cited_date,
    all_rows.last_cited_date,
    all_rows.average_score,
    all_rows.best_score,
    all_rows.worst_score,
    coalesce(all_rows.liked_messages, 0) as liked_messages,
    coalesce(all_rows.disliked_messages, 0) as disliked_messages,
    documents.document_id is not null as is_document_in_dify
from all_rows
left join datasets on all_rows.dataset_id = datasets.dataset_id
left join documents
    on
        all_rows.dataset_id = documents.dataset_id
        and all_rows.document_id = documents.document_id
