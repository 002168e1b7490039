-- One row per app, local day and metric: Dify's daily statistics, counted again from the rows.
-- incremental: app_id, statistic_date
-- linked by: messages of conversation
-- workspace_id: Id of the workspace.
-- app_id: Id of the app.
-- app_mode: Mode of the app; only metrics that Dify has for this mode are here.
-- statistic_date: Local day of the question or run; of the beginning for session interactions.
-- metric: Which figure, named as in stg_daily_statistics.
-- value: The figure over all rows that Dify still has; money and tokens are those of marts.costs.
-- counted_value: The same without rows that its rule leaves out (marts.conversation_days).
-- debugging_value: The same with debugging of chatflows, which shows in their runs alone.
-- held_value: The same with rows that were deleted in Dify.
-- figure_rows: Messages, conversations or runs behind `value`.
-- missing_rows: Rows that do not tell what the figure needs, so that it is not exact.
-- left_out_rows: Messages that the rule leaves out; of them in marts.conversation_days.
-- nameless_rows: Those of them without `invoke_from`; the others are debugging.
-- debugging_rows: Debugging messages of chatflows that show in their runs alone.
-- absent_rows: Rows that were deleted in Dify.
-- is_certain: Whether no other choice of rows that are left out gives Dify's figures as well.

with apps as (
    select app_id, app_mode from staging.stg_apps
),

scenarios as (
    select unnest(['all', 'counted', 'held']) as scenario
),

message_days as (
    select
        parts.app_id,
        parts.message_date,
        scenarios.scenario,
        sum(parts.messages)::bigint as messages,
        count(distinct parts.conversation_id) as conversations,
        count(distinct parts.end_user_id) as end_users,
        sum(parts.tokens)::decimal(38, 0) as tokens,
        round(1000 * sum(parts.likes) / nullif(sum(parts.joined_rows), 0), 2)
        ::decimal(38, 10) as likes_per_mille,
-- A rate that no decimal holds is null.
        try_cast(
            round(
                1000 * sum(parts.latency_seconds)
                / nullif(sum(parts.messages) - sum(parts.untold_latencies), 0),
                4
            ) as decimal(38, 10)
        ) as latency_milliseconds,
        try_cast(
            round(
                coalesce(
                    sum(parts.answer_tokens)::double / nullif(sum(parts.latency_seconds), 0), 0
                ),
                4
            ) as decimal(38, 10)
        ) as tokens_per_second,
        sum(parts.untold_tokens)::bigint as untold_tokens,
        sum(parts.untold_latencies)::bigint as untold_latencies
    from marts.conversation_days as parts
    cross join scenarios
    where
        scenarios.scenario = 'held'
        or scenarios.scenario = 'all' and not parts.is_absent
        or scenarios.scenario = 'counted' and parts.is_counted
    group by parts.app_id, parts.message_date, scenarios.scenario
),

uncounted as (
    select
        app_id,
        message_date,
        coalesce(sum(messages) filter (where not is_absent and not is_counted), 0)::bigint
            as left_out_rows,
        coalesce(sum(messages) filter (where left_out_reason = 'no invoke_from'), 0)::bigint
            as nameless_rows,
        coalesce(sum(messages) filter (where is_absent), 0)::bigint as absent_rows,
        bool_and(is_certain) as is_certain
    from marts.conversation_days
    group by app_id, message_date
),

-- Each message of a chatflow is a run. Which conversation it is of, debugging runs do not tell.
debugging_days as (
    select
        runs.app_id,
        runs.created_date as message_date,
        count(*) as messages,
        coalesce(sum(runs.total_tokens), 0)::decimal(38, 0) as tokens
    from staging.stg_workflow_runs as runs
    join apps on runs.app_id = apps.app_id
    where
        apps.app_mode = 'advanced-chat'
        and runs.triggered_from = 'debugging'
        and not runs.is_absent
    group by runs.app_id, runs.created_date
),

-- Money comes from costs alone: what messages, nodes and unit prices tell, and what the rest of
-- Dify's figure was shared out to. What nobody can be given is no figure of ours.
prices as (
    select
        app_id,
        usage_date as message_date,
        coalesce(
            sum(total_price) filter (
                where
                    is_in_dify_figure and price_source <> 'unattributed'
                    or difference_reason = 'beyond figure'
                    and price_source in ('database', 'message', 'nodes')
            ),
            0
        )::decimal(38, 10) as price,
        coalesce(
            sum(messages) filter (where price_source in ('allocated', 'unit_price', 'unknown')), 0
        )::bigint as untold_prices,
        coalesce(sum(messages), 0)::bigint as messages
    from marts.costs
    where app_mode <> 'workflow'
    group by app_id, usage_date
),

statistics_reads as (
    select app_id, slice_date, read_at
    from ops.slices
    where feed = 'daily_statistics' and slice_date is not null
),

-- Of messages of which Dify's database does not tell it the conversation is left out as a whole.
talks_left_out as (
    select conversation_id, counted_as, min(left_out_reason) as left_out_reason
    from marts.conversation_days
    where left_out_reason is not null
    group by conversation_id, counted_as
),

-- What Dify counted then: later messages of these conversations raise the figure of a past day.
conversation_lengths as (
    select
        talks.app_id,
        talks.created_date,
        talks.conversation_id,
        count(*) filter (where not messages.is_absent and not talks.is_absent) as messages,
        count(*) filter (
            where
                not messages.is_absent
                and not talks.is_absent
                and talks_left_out.left_out_reason is null
        ) as counted_messages,
        count(*) filter (
            where
                not messages.is_absent
                and not talks.is_absent
                and talks_left_out.left_out_reason = 'no invoke_from'
        ) as nameless_messages,
        count(*) as held_messages
    from staging.stg_conversations as talks
    join staging.stg_message_rows as messages on talks.conversation_id = messages.conversation_id
    left join talks_left_out
        on talks.conversation_id = talks_left_out.conversation_id
        and messages.counted_as is not distinct from talks_left_out.counted_as
    left join statistics_reads
        on talks.app_id = statistics_reads.app_id
        and talks.created_date = statistics_reads.slice_date
    where messages.created_at <= coalesce(statistics_reads.read_at, messages.created_at)
    group by talks.app_id, talks.created_date, talks.conversation_id
),

beginning_days as (
    select
        app_id,
        created_date,
        count(*) filter (where messages > 0) as conversations,
        round(avg(messages) filter (where messages > 0), 2)::decimal(38, 10) as length,
        round(avg(counted_messages) filter (where counted_messages > 0), 2)
        ::decimal(38, 10) as counted_length,
        round(avg(held_messages), 2)::decimal(38, 10) as held_length,
        sum(messages - counted_messages)::bigint as left_out_rows,
        sum(nameless_messages)::bigint as nameless_rows,
        sum(held_messages - messages)::bigint as absent_rows
    from conversation_lengths
    group by app_id, created_date
),

runs as (
    select
        app_id,
        created_date,
        total_tokens,
        coalesce(created_by_end_user_id, created_by_account_id) as creator_id,
        is_absent
    from staging.stg_workflow_runs
    where coalesce(triggered_from, 'app-run') = 'app-run'
),

run_days as (
    select
        runs.app_id,
        runs.created_date,
        scenarios.scenario,
        count(*) as runs,
        count(distinct runs.creator_id) as creators,
        coalesce(sum(runs.total_tokens), 0)::decimal(38, 0) as tokens,
        round(count(*) / nullif(count(distinct runs.creator_id), 0), 2)
        ::decimal(38, 10) as runs_per_creator,
        count(*) filter (where runs.creator_id is null) as untold_creators,
        count(*) filter (where runs.is_absent) as absent_rows
    from runs
    cross join scenarios
    where
        scenarios.scenario = 'held'
        or scenarios.scenario in ('all', 'counted') and not runs.is_absent
    group by runs.app_id, runs.created_date, scenarios.scenario
),

message_figures as (
    select
        app_id,
        message_date,
        scenario,
        messages as figure_rows,
        unnest([
            {'metric': 'daily_messages', 'value': messages::decimal(38, 10), 'missing': 0},
            {
                'metric': 'daily_conversations',
                'value': conversations::decimal(38, 10),
                'missing': 0
            },
            {'metric': 'daily_end_users', 'value': end_users::decimal(38, 10), 'missing': 0},
            {
                'metric': 'token_count',
                'value': tokens::decimal(38, 10),
                'missing': untold_tokens
            },
            {'metric': 'user_satisfaction_rate', 'value': likes_per_mille, 'missing': 0},
            {
                'metric': 'average_response_time',
                'value': latency_milliseconds,
                'missing': untold_latencies
            },
            {
                'metric': 'tokens_per_second',
                'value': tokens_per_second,
                'missing': untold_latencies
            }
        ]) as figure
    from message_days
),

run_figures as (
    select
        app_id,
        created_date,
        scenario,
        runs as figure_rows,
        unnest([
            {'metric': 'workflow_daily_runs', 'value': runs::decimal(38, 10), 'missing': 0},
            {
                'metric': 'workflow_daily_terminals',
                'value': creators::decimal(38, 10),
                'missing': untold_creators
            },
            {'metric': 'workflow_token_count', 'value': tokens::decimal(38, 10), 'missing': 0},
            {
                'metric': 'workflow_average_app_interactions',
                'value': runs_per_creator,
                'missing': untold_creators
            }
        ]) as figure
    from run_days
),

day_figures as (
    select
        app_id,
        message_date,
        scenario,
        figure_rows,
        figure.metric as metric,
        figure.value as value,
        figure.missing as missing
    from message_figures
    union all
    select
        app_id,
        created_date as message_date,
        scenario,
        figure_rows,
        figure.metric as metric,
        figure.value as value,
        figure.missing as missing
    from run_figures
),

pivoted as (
    select
        app_id,
        message_date,
        metric,
        max(value) filter (where scenario = 'all') as value,
        max(value) filter (where scenario = 'counted') as counted_value,
        max(value) filter (where scenario = 'held') as held_value,
        max(figure_rows) filter (where scenario = 'all') as figure_rows,
        max(missing) filter (where scenario = 'all') as missing_rows
    from day_figures
    group by app_id, message_date, metric
),

absent_runs as (
    select app_id, created_date, absent_rows from run_days where scenario = 'held'
),

figures as (
    select
        pivoted.app_id,
        pivoted.message_date,
        pivoted.metric,
        pivoted.value,
        pivoted.counted_value,
        case pivoted.metric
            when 'daily_messages' then coalesce(pivoted.value, 0) + debugging_days.messages
            when 'token_count' then coalesce(pivoted.value, 0) + debugging_days.tokens
        end as debugging_value,
        pivoted.held_value,
        coalesce(pivoted.figure_rows, 0) as figure_rows,
        coalesce(pivoted.missing_rows, 0) as missing_rows,
        if(starts_with(pivoted.metric, 'workflow_'), 0, coalesce(uncounted.left_out_rows, 0))
            as left_out_rows,
        if(starts_with(pivoted.metric, 'workflow_'), 0, coalesce(uncounted.nameless_rows, 0))
            as nameless_rows,
        if(starts_with(pivoted.metric, 'workflow_'), 0, coalesce(debugging_days.messages, 0))
            as debugging_rows,
        if(
            starts_with(pivoted.metric, 'workflow_'),
            coalesce(absent_runs.absent_rows, 0),
            coalesce(uncounted.absent_rows, 0)
        ) as absent_rows,
        coalesce(uncounted.is_certain, true) as is_certain
    from pivoted
    left join uncounted
        on pivoted.app_id = uncounted.app_id and pivoted.message_date = uncounted.message_date
    left join debugging_days
        on pivoted.app_id = debugging_days.app_id
        and pivoted.message_date = debugging_days.message_date
    left join absent_runs
        on pivoted.app_id = absent_runs.app_id and pivoted.message_date = absent_runs.created_date
    union all
    select
        debugging_days.app_id,
        debugging_days.message_date,
        told.metric,
        null as value,
        null as counted_value,
        told.debugging_value,
        null as held_value,
        0 as figure_rows,
        0 as missing_rows,
        0 as left_out_rows,
        0 as nameless_rows,
        debugging_days.messages as debugging_rows,
        0 as absent_rows,
        true as is_certain
    from debugging_days
    cross join lateral (
        select unnest([
            {'metric': 'daily_messages', 'debugging_value': debugging_days.messages},
            {'metric': 'daily_conversations', 'debugging_value': null},
            {'metric': 'token_count', 'debugging_value': debugging_days.tokens},
            {'metric': 'user_satisfaction_rate', 'debugging_value': null},
            {'metric': 'tokens_per_second', 'debugging_value': null},
            {'metric': 'average_session_interactions', 'debugging_value': null}
        ], recursive := true)
    ) as told
    where
        not exists (
            select 1
            from message_days
            where
                message_days.app_id = debugging_days.app_id
                and message_days.message_date = debugging_days.message_date
        )
        and not (
            told.metric = 'average_session_interactions'
            and exists (
                select 1
                from beginning_days
                where
                    beginning_days.app_id = debugging_days.app_id
                    and beginning_days.created_date = debugging_days.message_date
            )
        )
    union all
    select
        prices.app_id,
        prices.message_date,
        'total_price' as metric,
        prices.price as value,
        prices.price as counted_value,
        null as debugging_value,
        prices.price as held_value,
        prices.messages as figure_rows,
        prices.untold_prices as missing_rows,
        coalesce(uncounted.left_out_rows, 0) as left_out_rows,
        coalesce(uncounted.nameless_rows, 0) as nameless_rows,
        coalesce(debugging_days.messages, 0) as debugging_rows,
        coalesce(uncounted.absent_rows, 0) as absent_rows,
        coalesce(uncounted.is_certain, true) as is_certain
    from prices
    left join uncounted
        on prices.app_id = uncounted.app_id and prices.message_date = uncounted.message_date
    left join debugging_days
        on prices.app_id = debugging_days.app_id
        and prices.message_date = debugging_days.message_date
    union all
    select
        beginning_days.app_id,
        beginning_days.created_date as message_date,
        'average_session_interactions' as metric,
        beginning_days.length as value,
        beginning_days.counted_length as counted_value,
        null as debugging_value,
        beginning_days.held_length as held_value,
        beginning_days.conversations as figure_rows,
        0 as missing_rows,
        beginning_days.left_out_rows,
        beginning_days.nameless_rows,
        coalesce(debugging_days.messages, 0) as debugging_rows,
        beginning_days.absent_rows,
        coalesce(uncounted.is_certain, true) as is_certain
    from beginning_days
    left join uncounted
        on beginning_days.app_id = uncounted.app_id
        and beginning_days.created_date = uncounted.message_date
    left join debugging_days
        on beginning_days.app_id = debugging_days.app_id
        and beginning_days.created_date = debugging_days.message_date
),

figures_of_mode as (
    select
        figures.app_id,
        apps.app_mode,
        figures.message_date as statistic_date,
        figures.metric,
        figures.value::decimal(38, 10) as value,
        figures.counted_value::decimal(38, 10) as counted_value,
        figures.debugging_value::decimal(38, 10) as debugging_value,
        figures.held_value::decimal(38, 10) as held_value,
        figures.figure_rows::bigint as figure_rows,
        figures.missing_rows::bigint as missing_rows,
        figures.left_out_rows::bigint as left_out_rows,
        figures.nameless_rows::bigint as nameless_rows,
        figures.debugging_rows::bigint as debugging_rows,
        figures.absent_rows::bigint as absent_rows,
        figures.is_certain
    from figures
    join apps on figures.app_id = apps.app_id
    where
        case
            when figures.metric = 'average_session_interactions' then apps.app_mode <> 'completion'
            when figures.metric = 'average_response_time' then apps.app_mode = 'completion'
            when figures.metric = 'workflow_average_app_interactions'
                then apps.app_mode = 'workflow'
            else true
        end
)

select
    (select max(source.workspace_id) from ops.source as source) as workspace_id,
    figures_of_mode.*
from figures_of_mode
