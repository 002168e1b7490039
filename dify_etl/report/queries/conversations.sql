-- One row per app and local day on which conversations began.
select
    app_id,
    created_date as day,
    count(*) as conversations,
    cast(sum(turns) as bigint) as turns,
    count(*) filter (where is_abandoned) as abandoned,
    cast(sum(unanswered_messages) as bigint) as unanswered_messages,
    cast(sum(error_messages) as bigint) as error_messages,
    cast(sum(annotation_hits) as bigint) as annotation_hits
from marts.conversation_quality
where created_date between $first_day and $last_day
group by app_id, created_date
order by day, app_id
