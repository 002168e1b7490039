-- One row per app and local day that was read.
select
    app_id,
    usage_date as day,
    is_proven,
    is_settled,
    conversations_started,
    messages,
    error_messages,
    unpriced_messages,
    prompt_tokens,
    completion_tokens,
    total_tokens,
    likes,
    dislikes,
    workflow_runs
from marts.app_daily_usage
where usage_date between $first_day and $last_day
order by day, app_id
