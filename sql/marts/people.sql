-- One row per person who ever asked, or started a run of a workflow app.
-- workspace_id: Id of the workspace.
-- person_id: The person, across apps (staging.stg_people).
-- person_name: Session id of the end user, or name of the account.
-- person_kind: One of account, browser, end_user.
-- first_seen_date: Local day of the first question or run that was read.
-- last_seen_date: Local day of the last one.
-- active_days: Days with a question or a run.
-- active_days_of_last_28: Those among the 28 days that end with the newest activity of anybody.
-- messages: Questions.
-- workflow_runs: Runs of workflow apps; those of debugging are left out.
-- failed: Messages and runs among them that failed.
-- total_tokens: Tokens of prompts and answers (marts.costs), as far as they are told.
-- total_price: What it cost (marts.costs), debugging too; null: unknown, or several currencies.
-- currency: Currency of total_price; null when nothing was priced, or in several currencies.
-- likes: Likes that the person gave and did not withdraw.
-- dislikes: Dislikes that the person gave and did not withdraw.

with activity as (
    select
        person_id,
        person_name,
        person_kind,
        activity_date,
        messages,
        workflow_runs,
        failed
    from marts.person_daily_activity
),

newest as (
    select max(activity_date) as newest_date from activity
),

acted as (
    select
        activity.person_id,
        max(activity.person_name) as person_name,
        max(activity.person_kind) as person_kind,
        min(activity.activity_date) as first_seen_date,
        max(activity.activity_date) as last_seen_date,
        count(*) as active_days,
        count(*) filter (where activity.activity_date > newest.newest_date - interval '28 days')
            as active_days_of_last_28,
        cast(sum(activity.messages) as bigint) as messages,
        cast(sum(activity.workflow_runs) as bigint) as workflow_runs,
        cast(sum(activity.failed) as bigint) as failed
    from activity
    cross join newest
    group by activity.person_id
),

cost as (
    select
        person_id,
        cast(sum(total_tokens) as decimal(38, 0)) as total_tokens,
        case when count(distinct currency) <= 1 then sum(total_price) end as total_price,
        case when count(distinct currency) = 1 then max(currency) end as currency
    from marts.costs
    where person_id is not null
    group by person_id
),

ratings as (
    select
        person_id,
        count(*) filter (where rating = 'like') as likes,
        count(*) filter (where rating = 'dislike') as dislikes
    from staging.stg_message_feedbacks
    where not is_absent and person_id is not null
    group by person_id
)

select
    (select max(source.workspace_id) from ops.source as source) as workspace_id,
    acted.person_id,
    acted.person_name,
    acted.person_kind,
    acted.first_seen_date,
    acted.last_seen_date,
    acted.active_days,
    acted.active_days_of_last_28,
    acted.messages,
    acted.workflow_runs,
    acted.failed,
    cost.total_tokens,
    cost.total_price,
    cost.currency,
    coalesce(ratings.likes, 0) as likes,
    coalesce(ratings.dislikes, 0) as dislikes
from acted
left join cost on acted.person_id = cost.person_id
left join ratings on acted.person_id = ratings.person_id
