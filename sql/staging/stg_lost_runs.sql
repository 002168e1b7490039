-- One row per app and local day on which messages or nodes name runs that are not held.
-- materialized: table
-- incremental: app_id, created_date
-- linked by: run
-- app_id: Id of the app.
-- created_date: Local day of the messages or nodes.
-- runs: How many such runs.

select
    named.app_id,
    named.created_date,
    count(distinct named.workflow_run_id) as runs
from (
    select app_id, created_date, workflow_run_id
    from staging.stg_message_rows
    where workflow_run_id is not null and not is_absent
    union all
    select app_id, created_date, workflow_run_id
    from staging.stg_node_executions
    where not is_absent
) as named
-- Not correlated: DuckDB would join all people with all runs to answer it.
left join (select workflow_run_id from staging.stg_workflow_runs) as held
    on named.workflow_run_id = held.workflow_run_id
where held.workflow_run_id is null
group by named.app_id, named.created_date
