-- One row per person and local day on which the person asked, or started a run of a workflow app.
-- workspace_id: Id of the workspace.
-- person_id: The person, across apps (staging.stg_people).
-- person_name: Session id of the end user, or name of the account.
-- person_kind: One of account, browser, end_user.
-- activity_date: Local day of the questions and runs.
-- apps: Apps that the person used on that day.
-- conversations: Conversations in which the person asked.
-- messages: Questions; of completion apps also those whose log was not opened.
-- workflow_runs: Runs of workflow apps; those of debugging are left out.
-- failed: Messages and runs among them that failed.
-- total_tokens: Tokens of prompts and answers (marts.costs), as far as they are told.
-- total_price: What it cost (marts.costs), debugging too; null: unknown, or several currencies.
-- currency: Currency of total_price; null when nothing was priced, or in several currencies.

with acts as (
    select
        person_id,
        person_name,
        person_kind,
        created_date as activity_date,
        app_id,
        conversation_id,
        1 as messages,
        0 as workflow_runs,
        case when status = 'error' then 1 else 0 end as failed
    from staging.stg_messages
    where not is_absent and person_id is not null and created_date is not null
    union all
    select
        runs.person_id,
        runs.person_name,
        runs.person_kind,
        runs.created_date as activity_date,
        runs.app_id,
        cast(null as varchar) as conversation_id,
        0 as messages,
        1 as workflow_runs,
        case when runs.status = 'failed' then 1 else 0 end as failed
    from staging.stg_workflow_runs as runs
    inner join staging.stg_apps as apps on runs.app_id = apps.app_id
    where
        not runs.is_absent
        and apps.app_mode = 'workflow'
        and runs.triggered_from is distinct from 'debugging'
        and runs.person_id is not null
        and runs.created_date is not null
),

acted as (
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
    from acts
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
