-- One row per app and local day: the largest price of the day that Dify ever told.
-- statistic_date: Local day in the account's time zone.
-- total_price: The largest sum of prices; Dify adds currencies and always says USD.
-- currency: The currency that Dify says.
-- token_count: The largest sum of prompts and answers of that day that it told.
-- read_at: When Dify showed this price first, UTC.
-- server_version: Version of the server that counted.
-- is_debugging_counted: Whether that version counts debugging and rows without invoke_from.
-- is_settled: Whether the day's figures were read at least 24 h after its end.

-- Dify's own figure of a day shrinks when rows are deleted: the largest one knew most of them.
-- Since 1.9 it leaves debugging out, and with it old rows of which it does not know who called.

with source as (
    select max(timezone) as timezone, max(server_version) as server_version
    from ops.source
),

readings as (
    select app_id, statistic_date, metric, value, currency, server_version, read_at
    from raw.daily_statistics
    where
        metric in ('total_price', 'token_count')
        and value is not null
        and account_timezone = (select timezone from source)
),

prices as (
    select app_id, statistic_date, value, currency, server_version, read_at
    from readings
    where metric = 'total_price'
    qualify row_number() over (
        partition by app_id, statistic_date order by value desc, read_at desc
    ) = 1
),

tokens as (
    select app_id, statistic_date, max(value) as token_count
    from readings
    where metric = 'token_count'
    group by app_id, statistic_date
),

days_read as (
    select app_id, slice_date, bool_and(is_settled) as is_settled
    from ops.slices
    where feed = 'daily_statistics' and slice_date is not null
    group by app_id, slice_date
),

versioned as (
    select
        prices.app_id,
        prices.statistic_date,
        prices.value,
        prices.currency,
        prices.read_at,
        coalesce(prices.server_version, (select server_version from source)) as counted_by
    from prices
)

select
    versioned.app_id,
    versioned.statistic_date,
    versioned.value::decimal(38, 10) as total_price,
    versioned.currency,
    tokens.token_count,
    versioned.read_at,
    versioned.counted_by as server_version,
    coalesce(
        try_cast(split_part(versioned.counted_by, '.', 1) as integer) * 1000
        + try_cast(split_part(versioned.counted_by, '.', 2) as integer) < 1009,
        false
    ) as is_debugging_counted,
    coalesce(days_read.is_settled, false) as is_settled
from versioned
left join tokens
    on versioned.app_id = tokens.app_id
    and versioned.statistic_date = tokens.statistic_date
left join days_read
    on versioned.app_id = days_read.app_id
    and versioned.statistic_date = days_read.slice_date
