-- One row per app, local day, metric and time zone: Dify's latest figure.
-- statistic_date: Local day in account_timezone.
-- value: The figure, in `unit`; null: Dify showed one before and shows none now.
-- read_at: When Dify showed this figure first, UTC.
-- is_absent: Whether Dify was proven to have it no more.

select
    app_id,
    statistic_date,
    metric,
    value,
    unit,
    currency,
    account_timezone,
    server_version,
    read_at,
    extra,
    loaded_at,
    changed_at,
    absent_since,
    absent_since is not null as is_absent
from raw.daily_statistics
qualify row_number() over (
    partition by app_id, statistic_date, metric, account_timezone order by read_at desc
) = 1
