-- One row per period (`days` to the last day; 0: all days here) and app or all; and of an app per
-- model. Percentiles of a period cannot be made of those of its days.
with periods (days, first_day) as (
    values
        (7, cast($last_day as date) - 6),
        (28, cast($last_day as date) - 27),
        (90, cast($last_day as date) - 89),
        (0, cast($first_day as date))
)

select
    periods.days,
    latencies.app_id,
    latencies.model,
    grouping(latencies.app_id) = 1 as is_all_apps,
    grouping(latencies.model) = 1 as is_all_models,
    count(*) as messages,
    quantile_cont(latencies.latency_seconds, 0.5) as p50_seconds,
    quantile_cont(latencies.latency_seconds, 0.95) as p95_seconds,
    quantile_cont(latencies.latency_seconds, 0.99) as p99_seconds,
    max(latencies.latency_seconds) as max_seconds,
    quantile_cont(latencies.time_to_first_token_seconds, 0.5) as p50_first_token_seconds
from periods
inner join latencies on latencies.day >= periods.first_day
group by grouping sets (
    (periods.days),
    (periods.days, latencies.app_id),
    (periods.days, latencies.app_id, latencies.model)
)
order by
    periods.days,
    latencies.app_id nulls first,
    is_all_models desc,
    latencies.model nulls first
