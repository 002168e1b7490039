-- One row per rating with a comment that was not withdrawn, the newest first.
select
    app_id,
    asked_date as day,
    rating,
    left(comment, $text_length) as comment,
    left(question, $text_length) as question,
    from_source,
    giver_name,
    count(*) over () as all_rows
from marts.feedback_log
where
    asked_date between $first_day and $last_day
    and comment is not null
    and not is_absent
order by asked_date desc, asked_at desc, app_id, message_id, position, rating
limit $most_rows
