-- One row per message that tells how long it took, as in marts.latency.
select
    app_id,
    model,
    created_date as day,
    latency_seconds,
    time_to_first_token_seconds
from staging.stg_messages
where latency_seconds > 0 and created_date between $first_day and $last_day
