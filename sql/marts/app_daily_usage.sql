-- One row per app per local day that was read, quiet days included, from its first activity on.
-- incremental: app_id, usage_date
-- workspace_id: Id of the workspace.
-- app_id: Id of the app.
-- app_name: Name of the app.
-- app_mode: Mode of the app: chat, agent-chat, advanced-chat, completion, workflow.
-- usage_date: Local day of the question, of the conversation's beginning, of the run's beginning.
-- is_proven: Whether all reads of the day were proven whole; if not, figures may be too small.
-- is_settled: Whether all reads of the day came 24 h after its end; if not, figures may still move.
-- conversations_started: Conversations that began; as all counts, with those deleted in Dify since.
-- active_conversations: Conversations with a message on that day.
-- messages: Questions, failed ones included.
-- console_messages: Questions from the console: Explore, and debugging except in advanced-chat.
-- error_messages: Messages with status error; 0 for completion logs that were not opened.
-- end_users: Distinct end users who asked; accounts are not counted.
-- prompt_tokens: Tokens of the prompts, of workflow apps as far as nodes tell (marts.costs).
-- completion_tokens: Tokens of the answers, likewise.
-- total_tokens: Tokens of prompts and answers.
-- total_price: In Dify's figure of the day (marts.costs); null: unknown, or several currencies.
-- currency: Currency of total_price; null when nothing was priced, or in several currencies.
-- currencies: Number of different currencies.
-- unpriced_messages: Messages of unknown price: failed, unfinished, no model, logs not opened.
-- average_latency_seconds: Mean seconds till the answers were complete; failed ones tell none.
-- likes: Messages' likes by users and editors now; withdrawn ratings are not counted.
-- dislikes: Messages' dislikes by users and editors now.
-- workflow_runs: Runs that began, debugging left out; those behind messages included.
-- workflow_run_tokens: Tokens of these runs; in advanced-chat apps they repeat total_tokens.

with apps as (
    select app_id, app_name, app_mode from staging.stg_apps
),

conversations as (
    select app_id, conversation_id, created_date from staging.stg_conversations
),

messages as (
    select
        app_id,
        conversation_id,
        created_date,
        from_source,
        end_user_id,
        status,
        latency_seconds
    from staging.stg_message_rows
),

feedbacks as (
    select app_id, conversation_id, message_created_date, rating
    from staging.stg_message_feedbacks
    where not is_absent
),

log_ratings as (
    select app_id, conversation_id, created_date, likes, dislikes from staging.stg_log_ratings
),

runs as (
    select app_id, created_date, total_tokens
    from staging.stg_workflow_runs
    where triggered_from is distinct from 'debugging'
),

costs as (
    select
        app_id,
        usage_date,
        sum(prompt_tokens)::decimal(38, 0) as prompt_tokens,
        sum(completion_tokens)::decimal(38, 0) as completion_tokens,
        sum(total_tokens)::decimal(38, 0) as total_tokens,
        sum(total_price) filter (where is_in_dify_figure)::decimal(38, 10) as priced_total,
        count(distinct currency) filter (where is_in_dify_figure) as currencies,
        max(currency) filter (where is_in_dify_figure) as last_currency,
        coalesce(sum(messages) filter (where price_source = 'unknown'), 0)::bigint
            as unpriced_messages
    from marts.costs
    group by app_id, usage_date
),

first_days as (
    select app_id, first_date from staging.stg_first_days
),

days_read as (
    select
        app_id,
        slice_date as usage_date,
        bool_and(state = 'proven') as is_proven,
        bool_and(is_settled) as is_settled
    from ops.slices
    where feed in ('conversations', 'messages', 'workflow_runs') and slice_date is not null
    group by app_id, slice_date
),

beginnings as (
    select app_id, created_date, count(*) as conversations_started
    from conversations
    group by app_id, created_date
),

talks as (
    select
        app_id,
        created_date,
        count(distinct conversation_id) as active_conversations,
        count(*) as messages,
        count(*) filter (where from_source = 'console') as console_messages,
        count(*) filter (where status = 'error') as error_messages,
        count(distinct end_user_id) as end_users,
        -- Dify leaves 0 with a message that failed.
        round(
            avg(try_cast(latency_seconds as decimal(28, 9))) filter (where latency_seconds > 0), 6
        ) as average_latency_seconds
    from messages
    group by app_id, created_date
),

rated as (
    select
        feedbacks.app_id,
        feedbacks.message_created_date as rated_date,
        if(feedbacks.rating = 'like', 1, 0) as likes,
        if(feedbacks.rating = 'dislike', 1, 0) as dislikes
    from feedbacks
    left join log_ratings on feedbacks.conversation_id = log_ratings.conversation_id
    where log_ratings.conversation_id is null
    union all
    select app_id, created_date as rated_date, likes, dislikes from log_ratings
),

ratings as (
    select
        app_id,
        rated_date,
        cast(sum(likes) as bigint) as likes,
        cast(sum(dislikes) as bigint) as dislikes
    from rated
    group by app_id, rated_date
),

work as (
    select
        app_id,
        created_date,
        count(*) as workflow_runs,
        coalesce(sum(total_tokens), 0)::decimal(38, 0) as workflow_run_tokens
    from runs
    group by app_id, created_date
),

daily_usage as (
    select
        (select max(source.workspace_id) from ops.source as source) as workspace_id,
        days_read.app_id,
        apps.app_name,
        apps.app_mode,
        days_read.usage_date,
        days_read.is_proven,
        days_read.is_settled,
        coalesce(beginnings.conversations_started, 0) as conversations_started,
        coalesce(talks.active_conversations, 0) as active_conversations,
        coalesce(talks.messages, 0) as messages,
        coalesce(talks.console_messages, 0) as console_messages,
        coalesce(talks.error_messages, 0) as error_messages,
        coalesce(talks.end_users, 0) as end_users,
        coalesce(costs.prompt_tokens, 0) as prompt_tokens,
        coalesce(costs.completion_tokens, 0) as completion_tokens,
        coalesce(costs.total_tokens, 0) as total_tokens,
        -- What costs nothing has no currency.
        case
            when costs.currencies = 1 or costs.currencies = 0 and costs.priced_total = 0
                then costs.priced_total
        end as total_price,
        case when costs.currencies = 1 then costs.last_currency end as currency,
        coalesce(costs.currencies, 0) as currencies,
        coalesce(costs.unpriced_messages, 0) as unpriced_messages,
        talks.average_latency_seconds,
        coalesce(ratings.likes, 0) as likes,
        coalesce(ratings.dislikes, 0) as dislikes,
        coalesce(work.workflow_runs, 0) as workflow_runs,
        coalesce(work.workflow_run_tokens, 0) as workflow_run_tokens
    from days_read
    join first_days
        on days_read.app_id = first_days.app_id
        and days_read.usage_date >= first_days.first_date
    left join apps on days_read.app_id = apps.app_id
    left join beginnings
        on days_read.app_id = beginnings.app_id
        and days_read.usage_date = beginnings.created_date
    left join talks
        on days_read.app_id = talks.app_id
        and days_read.usage_date = talks.created_date
    left join ratings
        on days_read.app_id = ratings.app_id
        and days_read.usage_date = ratings.rated_date
    left join costs
        on days_read.app_id = costs.app_id
        and days_read.usage_date = costs.usage_date
    left join work
        on days_read.app_id = work.app_id
        and days_read.usage_date = work.created_date
)

select * from daily_usage
