-- One row per app, local day, metric and time zone: Dify's latest figure.
-- app_id: Id of the app.
-- statistic_date: Local day in account_timezone.
-- metric: Which figure, as daily_messages.
-- value: The figure, in `unit`; null: Dify showed one before and shows none now.
-- unit: Unit of the value.
-- currency: Currency of a price; Dify always says USD.
-- account_timezone: Zone in which Dify counted the day.
-- server_version: Server version that counted.
-- read_at: When Dify showed this figure first, UTC.
-- extra: Fields that Dify sent and no known version has; null: none.
-- loaded_at: When this row was first loaded, UTC.
-- changed_at: When a value of this row last changed here, UTC.
-- absent_since: When Dify was proven to have it no more, UTC; null: there.
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
