-- One row per API key that is in Dify, the oldest first.
select
    app_id,
    key_type,
    masked_token,
    created_at,
    last_used_at,
    age_days,
    unused_days,
    is_never_used,
    max_age_days,
    is_over_age,
    consumer,
    is_being_replaced,
    read_at
from marts.api_key_posture
order by age_days desc nulls first, created_at, api_key_id
