-- One row per dataset: its documents and how answers cite them, of all time. A segment
-- that is never cited, of a document that is, makes no document that is never cited.
select
    dataset_name,
    count(distinct document_id) filter (where is_cited) as cited_documents,
    count(distinct document_id) filter (
        where not is_cited and segment_id is null
    ) as never_cited_documents,
    cast(sum(citations) as bigint) as citations
from marts.retrieval_quality
group by dataset_id, dataset_name
order by citations desc, dataset_name, dataset_id
