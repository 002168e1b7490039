-- One row per app, local day and metric that was read: Dify's figure beside the one from our rows.
-- app_id: Id of the app.
-- app_name: Name of the app.
-- app_mode: Mode of the app.
-- statistic_date: Local day in the account's time zone.
-- metric: Which figure, as daily_messages.
-- unit: Unit of both figures; null when Dify shows none for this day.
-- dify_value: Dify's latest figure; null when it shows none, which it does on days without rows.
-- warehouse_value: The figure counted again from the rows (recomputed_statistics); null: no rows.
-- warehouse_lower_value: The same over rows that are surely no debugging; null: no such bound.
-- difference: warehouse_value less dify_value; a missing side counts as 0.
-- server_version: Server version that counted.
-- comparison: exact, bounds (Dify's figure lies between ours without and with console), or none.
-- verdict: equal, within_bounds, not_comparable, unproven, open, outdated, missing_here, ...
-- is_unexplained: Whether the verdict is missing_here, missing_in_dify or different: look into it.

-- The verdicts, first match wins:
--   not_comparable   comparison is none
--   equal            exact, and the same but for the last digit that Dify shows
--   within_bounds    bounds, and it lies between them
--   unproven         one of the two reads of the day was not proven whole
--   open             one of the two came less than 24 h after the day's end
--   outdated         the two come from different runs, or rows of the day changed after theirs
--   missing_here     Dify shows a figure, we have no rows
--   missing_in_dify  we have rows, Dify shows no figure
--   different        both have a figure, and they differ
-- Since 1.9.0 Dify leaves debugging out of its figures over messages (of conversations: 1.7.0).
-- Lists of advanced-chat apps never hold debugging, those of the other modes do, and there it
-- looks like Explore. End users never debug. Logs of workflow apps tell what triggered a run since
-- 1.10.0; before 1.9.0 they hold ended runs only.

with source as (
    select timezone, server_version from ops.source
),

apps as (
    select app_id, app_name, app_mode from staging.stg_apps
),

dify_figures as (
    select app_id, statistic_date, metric, unit, value, server_version
    from staging.stg_daily_statistics
    where account_timezone = (select timezone from source)
),

our_figures as (
    select app_id, statistic_date, metric, value, lower_value, figure_rows, missing_rows
    from marts.recomputed_statistics
),

days_read as (
    select
        slices.feed,
        slices.app_id,
        slices.slice_date,
        slices.state,
        slices.is_settled,
        slices.run_id,
        runs.ended_at
    from ops.slices as slices
    left join ops.runs as runs on slices.run_id = runs.run_id and slices.feed = runs.feed
    where slices.slice_date is not null
),

row_changes as (
    select app_id, created_date as changed_date, greatest(changed_at, absent_since) as changed_at
    from staging.stg_conversations
    union all
    select app_id, created_date, greatest(changed_at, absent_since)
    from staging.stg_messages
    union all
    select app_id, message_created_date, greatest(changed_at, absent_since)
    from staging.stg_message_feedbacks
    union all
    select app_id, created_date, greatest(changed_at, absent_since)
    from staging.stg_workflow_runs
),

last_changes as (
    select app_id, changed_date, max(changed_at) as changed_at
    from row_changes
    group by app_id, changed_date
),

paired as (
    select
        app_id,
        statistic_date,
        metric,
        dify_figures.unit,
        dify_figures.value as dify_value,
        our_figures.value as warehouse_value,
        our_figures.lower_value as warehouse_lower_value,
        our_figures.figure_rows,
        coalesce(our_figures.missing_rows, 0) as missing_rows,
        coalesce(
            dify_figures.server_version, (select server_version from source)
        ) as server_version
    from dify_figures
    full join our_figures using (app_id, statistic_date, metric)
    where dify_figures.value is not null or our_figures.value is not null
),

-- Lists of completion apps tell how many messages there are, their details need a second read.
explained as (
    select
        paired.*,
        apps.app_name,
        apps.app_mode,
        try_cast(split_part(server_version, '.', 1) as integer) * 1000
        + try_cast(split_part(server_version, '.', 2) as integer) as version_number,
        case
            when starts_with(metric, 'workflow_') then 'workflow_runs'
            when
                apps.app_mode = 'completion'
                and metric in ('daily_messages', 'daily_conversations', 'daily_end_users')
                then 'conversations'
            else 'messages'
        end as rows_feed
    from paired
    join apps on paired.app_id = apps.app_id
),

debugging_known as (
    select
        *,
        (
            version_number >= 1009 or (metric = 'daily_conversations' and version_number >= 1007)
        ) = (app_mode = 'advanced-chat') as is_debugging_alike
    from explained
),

compared as (
    select
        *,
        coalesce(warehouse_value, 0) - coalesce(dify_value, 0) as difference,
        case
            when missing_rows > 0 then 'none'
            when starts_with(metric, 'workflow_') and app_mode = 'workflow'
                then if(version_number >= 1010, 'exact', 'none')
            when starts_with(metric, 'workflow_') or metric = 'daily_end_users' then 'exact'
            when is_debugging_alike then 'exact'
            when app_mode = 'advanced-chat' then 'none'
            when
                metric in ('daily_messages', 'daily_conversations', 'token_count', 'total_price')
                then 'bounds'
            else 'none'
        end as comparison,
        case
            when metric = 'total_price' then 0.0000001 * coalesce(figure_rows, 0)
            when metric in ('average_response_time', 'tokens_per_second') then 0.0001
            when metric = 'user_satisfaction_rate' or contains(metric, 'average') then 0.01
            else 0
        end as tolerance
    from debugging_known
),

with_reads as (
    select
        compared.*,
        statistics_day.state = 'proven' and rows_day.state = 'proven' as is_proven,
        statistics_day.is_settled and rows_day.is_settled as is_settled,
        statistics_day.run_id is not distinct from rows_day.run_id
        and coalesce(last_changes.changed_at <= rows_day.ended_at, true) as is_one_reading
    from compared
    join days_read as statistics_day
        on statistics_day.feed = 'daily_statistics'
        and compared.app_id = statistics_day.app_id
        and compared.statistic_date = statistics_day.slice_date
    join days_read as rows_day
        on compared.rows_feed = rows_day.feed
        and compared.app_id = rows_day.app_id
        and compared.statistic_date = rows_day.slice_date
    left join last_changes
        on compared.app_id = last_changes.app_id
        and compared.statistic_date = last_changes.changed_date
),

judged as (
    select
        *,
        case
            when comparison = 'none' then 'not_comparable'
            when comparison = 'exact' and abs(difference) <= tolerance then 'equal'
            when
                comparison = 'bounds'
                and coalesce(dify_value, 0) <= coalesce(warehouse_value, 0) + tolerance
                and coalesce(dify_value, 0) >= coalesce(warehouse_lower_value, 0) - tolerance
                then 'within_bounds'
            when not is_proven then 'unproven'
            when not is_settled then 'open'
            when not is_one_reading then 'outdated'
            when warehouse_value is null then 'missing_here'
            when dify_value is null then 'missing_in_dify'
            else 'different'
        end as verdict
    from with_reads
),

reconciliation as (
    select
        app_id,
        app_name,
        app_mode,
        statistic_date,
        metric,
        unit,
        dify_value,
        warehouse_value,
        warehouse_lower_value,
        difference,
        server_version,
        comparison,
        verdict,
        verdict in ('missing_here', 'missing_in_dify', 'different') as is_unexplained
    from judged
)

select * from reconciliation
