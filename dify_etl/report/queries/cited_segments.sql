-- One row per segment that answers cite, of all time; those whose answers are disliked first.
select
    dataset_name,
    document_name,
    segment_position,
    citations,
    liked_messages,
    disliked_messages,
    average_score,
    last_cited_date,
    is_document_in_dify,
    count(*) over () as all_rows
from marts.retrieval_quality
where is_cited
order by
    disliked_messages desc,
    citations desc,
    dataset_name,
    document_name,
    dataset_id,
    document_id,
    segment_id
limit $most_rows
