-- One row per question of a person, and per run of a workflow app that a person started.
-- app_id: Id of the app.
-- person_id: Who it is, by the rule of stg_people.
-- person_name: Session id of the end user, or name of the account.
-- person_kind: One of account, browser, end_user.
-- activity_date: Local day of the question or of the run's beginning.
-- conversation_id: Conversation of the question; null for runs.
-- messages: 1 for a question, else 0.
-- workflow_runs: 1 for a run, else 0.
-- failed: 1 when it failed, else 0.

-- What Dify deleted since has happened all the same. Debugging of workflows is no use of them, and
-- a run behind a message is counted as that message.

select
    app_id,
    case when actor_id is null then asked_by else person_id end as person_id,
    person_name,
    person_kind,
    created_date as activity_date,
    conversation_id,
    1 as messages,
    0 as workflow_runs,
    case when status = 'error' then 1 else 0 end as failed
from staging.stg_message_rows as messages
left join staging.stg_actors as actors on messages.asked_by = actors.actor_id
where
    case when actor_id is null then asked_by else person_id end is not null
    and created_date is not null
union all
select
    runs.app_id,
    runs.person_id,
    runs.person_name,
    runs.person_kind,
    runs.created_date as activity_date,
    cast(null as varchar) as conversation_id,
    0 as messages,
    1 as workflow_runs,
    case when runs.status = 'failed' then 1 else 0 end as failed
from staging.stg_workflow_runs as runs
inner join staging.stg_apps as apps on runs.app_id = apps.app_id
where
    apps.app_mode = 'workflow'
    and runs.triggered_from is distinct from 'debugging'
    and runs.person_id is not null
    and runs.created_date is not null
