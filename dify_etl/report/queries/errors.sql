-- One row per app and kind of error; counts are of all time.
select
    app_id,
    last_date as day,
    error_kind,
    node_type,
    left(error_group, $text_length) as error,
    errors,
    people,
    affected_conversations,
    count(*) over () as all_rows
from marts.errors
where last_date between $first_day and $last_day
order by errors desc, last_at desc, app_id, error_kind, node_type, error_group
limit $most_rows
