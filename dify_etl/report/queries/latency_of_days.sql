-- One row per local day of the workspace (app_id is null), and per app and local day.
select
    app_id,
    day,
    count(*) as messages,
    quantile_cont(latency_seconds, 0.5) as p50_seconds,
    quantile_cont(latency_seconds, 0.95) as p95_seconds,
    quantile_cont(latency_seconds, 0.99) as p99_seconds,
    max(latency_seconds) as max_seconds
from latencies
group by grouping sets ((day), (day, app_id))
order by day, app_id nulls first
