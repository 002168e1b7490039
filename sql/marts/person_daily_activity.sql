-- One row per person and local day on which the person asked, or started a run of a workflow app.
-- incremental: activity_date
-- workspace_id: Id of the workspace.
-- person_id: The person, across apps (staging.stg_people).
-- person_name: Session id of the end user, or name of the account.
-- person_kind: One of account, browser, end_user.
-- activity_date: Local day of the questions and runs.
-- apps: Apps that the person used on that day.
-- conversations: Conversations in which the person asked.
-- messages: Questions, deleted ones too; of completion apps also those of unopened logs.
-- workflow_runs: Runs of workflow apps; those of debugging are left out.
-- failed: Messages and runs among them that failed.
-- total_tokens: Tokens of prompts and answers of the day (marts.costs), as far as they are told.
-- total_price: Cost of the day (marts.costs), debugging too; null: unknown, or several currencies.
-- currency: Currency of total_price; null when nothing was priced, or in several currencies.

-- What a run uses after midnight, and debugging, may fall on days without any activity: those are
-- no rows here, and count in marts.costs and marts.people.

with acted as (
    select
        person_id,
        activity_date,
        max(person_name) as person_name,
        max(person_kind) as person_kind,
        count(distinct app_id) as apps,
        count(distinct conversation_id) as conversations,
        cast(sum(messages) as bigint) as messages,
        cast(sum(workflow_runs) as bigint) as workflow_runs,
        cast(sum(failed) as bigint) as failed
    from staging.stg_activities
    group by person_id, activity_date
),

cost as (
    select
        person_id,
        usage_date as activity_date,
        cast(sum(total_tokens) as decimal(38, 0)) as total_tokens,
        case when count(distinct currency) <= 1 then sum(total_price) end as total_price,
        case when count(distinct currency) = 1 then max(currency) end as currency
    from marts.costs
    where person_id is not null
    group by person_id, usage_date
)

select
    (select max(source.workspace_id) from ops.source as source) as workspace_id,
    acted.person_id,
    acted.person_name,
    acted.person_kind,
    acted.activity_date,
    acted.apps,
    acted.conversations,
    acted.messages,
    acted.workflow_runs,
    acted.failed,
    cost.total_tokens,
    cost.total_price,
    cost.currency
from acted
left join cost
    on acted.person_id = cost.person_id and acted.activity_date = cost.activity_date
