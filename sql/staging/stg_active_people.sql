-- One row per app, person and local day on which the person asked, or started a workflow's run.
-- materialized: table
-- incremental: app_id, activity_date
-- app_id: Id of the app.
-- person_id: Who it is, by the rule of stg_people.
-- activity_date: Local day.
-- messages: Questions of the person on that day, failed ones included.
-- workflow_runs: Runs of a workflow app that the person started on that day.

select
    app_id,
    person_id,
    activity_date,
    cast(sum(messages) as bigint) as messages,
    cast(sum(workflow_runs) as bigint) as workflow_runs
from staging.stg_activities
group by app_id, person_id, activity_date
