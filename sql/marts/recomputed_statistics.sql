-- One row per app, local day and metric: Dify's daily statistics, counted again from the rows.
-- app_id: Id of the app.
-- app_mode: Mode of the app; only metrics that Dify has for this mode are here.
-- statistic_date: Local day of the question or run; of the beginning for session interactions.
-- metric: Which figure, named as in stg_daily_statistics.
-- value: The figure over all rows that Dify still has.
-- lower_value: The same over rows from api only, surely without debugging; null: no such bound.
-- figure_rows: Messages, conversations or runs behind the figure.
-- missing_rows: Rows that do not tell what the figure needs, so that it is not exact.

with apps as (
    select app_id, app_mode from staging.stg_apps
),

messages as (
    select
        app_id,
        message_id,
        conversation_id,
        created_at,
        created_date,
        from_source = 'api' as is_from_api,
        end_user_id,
        message_tokens::hugeint + answer_tokens as tokens,
        answer_tokens,
        round(total_price, 7) as price,
        latency_seconds
    from staging.stg_messages
    where not is_absent
),

conversations as (
    select app_id, conversation_id, created_date from staging.stg_conversations where not is_absent
),

feedbacks as (
    select message_id, rating from staging.stg_message_feedbacks where not is_absent
),

runs as (
    select
        app_id,
        created_date,
        total_tokens,
        coalesce(created_by_end_user_id, created_by_account_id) as creator_id
    from staging.stg_workflow_runs
    where not is_absent and coalesce(triggered_from, 'app-run') = 'app-run'
),

statistics_reads as (
    select app_id, slice_date, read_at
    from ops.slices
    where feed = 'daily_statistics' and slice_date is not null
),

likes as (
    select message_id, count(*) as likes
    from feedbacks
    where rating = 'like'
    group by message_id
),

-- Dify joins messages with likes: one that is liked twice counts as two messages.
judged_messages as (
    select
        messages.*,
        coalesce(likes.likes, 0) as likes,
        greatest(coalesce(likes.likes, 0), 1) as joined_rows
    from messages
    left join likes on messages.message_id = likes.message_id
),

message_days as (
    select
        app_id,
        created_date,
        count(*) as messages,
        count(*) filter (where is_from_api) as api_messages,
        count(distinct conversation_id) as conversations,
        count(distinct conversation_id) filter (where is_from_api) as api_conversations,
        count(distinct end_user_id) as end_users,
        coalesce(sum(tokens), 0)::hugeint as tokens,
        coalesce(sum(tokens) filter (where is_from_api), 0)::hugeint as api_tokens,
        coalesce(sum(price), 0)::decimal(38, 10) as price,
        coalesce(sum(price) filter (where is_from_api), 0)::decimal(38, 10) as api_price,
        round(1000 * sum(likes) / sum(joined_rows), 2)::decimal(38, 10) as likes_per_mille,
-- A rate that no decimal holds is null.
        try_cast(
            round(1000 * avg(latency_seconds), 4) as decimal(38, 10)
        ) as latency_milliseconds,
        try_cast(
            round(coalesce(sum(answer_tokens) / nullif(sum(latency_seconds), 0), 0), 4)
            as decimal(38, 10)
        ) as tokens_per_second,
        count(*) filter (where tokens is null) as untold_tokens,
        count(*) filter (where price is null and coalesce(tokens, 1) > 0) as untold_prices,
        count(*) filter (where message_id is null) as untold_likes,
        count(*) filter (where latency_seconds is null) as untold_latencies
    from judged_messages
    group by app_id, created_date
),

-- What Dify counted then: later messages of these conversations raise the figure of a past day.
conversation_lengths as (
    select conversations.app_id, conversations.created_date, count(*) as messages
    from conversations
    join messages on conversations.conversation_id = messages.conversation_id
    left join statistics_reads
        on conversations.app_id = statistics_reads.app_id
        and conversations.created_date = statistics_reads.slice_date
    where messages.created_at <= coalesce(statistics_reads.read_at, messages.created_at)
    group by conversations.app_id, conversations.created_date, conversations.conversation_id
),

beginning_days as (
    select
        app_id,
        created_date,
        count(*) as conversations,
        round(avg(messages), 2)::decimal(38, 10) as average_messages
    from conversation_lengths
    group by app_id, created_date
),

run_days as (
    select
        app_id,
        created_date,
        count(*) as runs,
        count(distinct creator_id) as creators,
        coalesce(sum(total_tokens), 0)::hugeint as tokens,
        round(count(*) / nullif(count(distinct creator_id), 0), 2)
        ::decimal(38, 10) as runs_per_creator,
        count(*) filter (where creator_id is null) as untold_creators
    from runs
    group by app_id, created_date
),

message_figures as (
    select
        app_id,
        created_date,
        messages as figure_rows,
        unnest([
            {'metric': 'daily_messages', 'value': messages, 'low': api_messages, 'missing': 0},
            {
                'metric': 'daily_conversations',
                'value': conversations,
                'low': api_conversations,
                'missing': 0
            },
            {'metric': 'daily_end_users', 'value': end_users, 'low': null, 'missing': 0},
            {'metric': 'token_count', 'value': tokens, 'low': api_tokens, 'missing': untold_tokens},
            {'metric': 'total_price', 'value': price, 'low': api_price, 'missing': untold_prices},
            {
                'metric': 'user_satisfaction_rate',
                'value': likes_per_mille,
                'low': null,
                'missing': untold_likes
            },
            {
                'metric': 'average_response_time',
                'value': latency_milliseconds,
                'low': null,
                'missing': untold_latencies
            },
            {
                'metric': 'tokens_per_second',
                'value': tokens_per_second,
                'low': null,
                'missing': untold_latencies
            }
        ]) as figure
    from message_days
),

run_figures as (
    select
        app_id,
        created_date,
        runs as figure_rows,
        unnest([
            {'metric': 'workflow_daily_runs', 'value': runs, 'missing': 0},
            {'metric': 'workflow_daily_terminals', 'value': creators, 'missing': untold_creators},
            {'metric': 'workflow_token_count', 'value': tokens, 'missing': 0},
            {
                'metric': 'workflow_average_app_interactions',
                'value': runs_per_creator,
                'missing': untold_creators
            }
        ]) as figure
    from run_days
),

figures as (
    select
        app_id,
        created_date,
        figure.metric as metric,
        figure.value as value,
        figure.low as lower_value,
        figure_rows,
        figure.missing as missing_rows
    from message_figures
    union all
    select
        app_id,
        created_date,
        'average_session_interactions' as metric,
        average_messages as value,
        null as lower_value,
        conversations as figure_rows,
        0 as missing_rows
    from beginning_days
    union all
    select
        app_id,
        created_date,
        figure.metric as metric,
        figure.value as value,
        null as lower_value,
        figure_rows,
        figure.missing as missing_rows
    from run_figures
),

figures_of_mode as (
    select
        figures.app_id,
        apps.app_mode,
        figures.created_date as statistic_date,
        figures.metric,
        figures.value::decimal(38, 10) as value,
        figures.lower_value::decimal(38, 10) as lower_value,
        figures.figure_rows,
        figures.missing_rows::bigint as missing_rows
    from figures
    join apps on figures.app_id = apps.app_id
    where
        figures.value is not null
        and case
            when figures.metric = 'average_session_interactions' then apps.app_mode <> 'completion'
            when figures.metric = 'average_response_time' then apps.app_mode = 'completion'
            when figures.metric = 'workflow_average_app_interactions'
                then apps.app_mode = 'workflow'
            else true
        end
)

select * from figures_of_mode
