-- One row per app, workflow version, node and local day with at least one execution of the node.
-- incremental: app_id, execution_date
-- linked by: run
-- workspace_id: Id of the workspace.
-- app_id: Id of the app.
-- app_name: Name of the app.
-- workflow_version: Version that the runs ran; null when the run does not tell it.
-- node_id: The node in the graph.
-- node_type: Its type, as llm or code.
-- node_title: Its title, the newest of the day.
-- execution_date: Local day on which the executions began.
-- executions: Executions of the node, deleted ones too; those of debugging are left out.
-- succeeded_executions: Executions with status succeeded.
-- failed_executions: Executions with status failed.
-- handled_executions: Executions that failed and were handled (status exception).
-- retries: Executions that were another try of a failed one.
-- failure_rate: Failed and handled among the ended executions, 0 to 1; null when none ended.
-- p50_seconds: Half of the ended executions were as fast as this.
-- p95_seconds: 95 of 100 ended executions were as fast as this.
-- total_seconds: Seconds of all executions together.
-- share_of_run_time: Part of the seconds of all nodes of these runs that this node took, 0 to 1.
-- total_tokens: Tokens of all executions; null when none tells any.

-- An iteration and a loop take the seconds of the nodes inside them, so shares of containers and of
-- what they contain overlap: compare leaves with leaves.

with apps as (
    select app_id, app_name from staging.stg_apps
),

runs as (
    select app_id, workflow_run_id, workflow_version
    from staging.stg_workflow_runs
    where triggered_from is distinct from 'debugging'
),

executions as (
    select
        runs.app_id,
        runs.workflow_version,
        nodes.node_execution_id,
        nodes.node_id,
        nodes.node_type,
        nodes.title,
        nodes.created_at,
        nodes.created_date as execution_date,
        nodes.status,
        nodes.elapsed_seconds,
        nodes.total_tokens,
        coalesce(nodes.retry_index, 0) > 0 or nodes.status = 'retry' as is_retry,
        nodes.status in ('succeeded', 'failed', 'exception') as is_ended
    from staging.stg_node_executions as nodes
    inner join runs on nodes.workflow_run_id = runs.workflow_run_id
    where nodes.node_id is not null and nodes.created_date is not null
),

day_seconds as (
    select
        app_id,
        workflow_version,
        execution_date,
        sum(elapsed_seconds) as seconds
    from executions
    group by app_id, workflow_version, execution_date
),

counted as (
    select
        app_id,
        workflow_version,
        node_id,
        execution_date,
        max_by(node_type, (created_at, node_execution_id)) as node_type,
        max_by(title, (created_at, node_execution_id)) as node_title,
        count(*) as executions,
        count(*) filter (where status = 'succeeded') as succeeded_executions,
        count(*) filter (where status = 'failed') as failed_executions,
        count(*) filter (where status = 'exception') as handled_executions,
        count(*) filter (where is_retry) as retries,
        count(*) filter (where is_ended) as ended_executions,
        quantile_cont(elapsed_seconds, 0.5) filter (where is_ended) as p50_seconds,
        quantile_cont(elapsed_seconds, 0.95) filter (where is_ended) as p95_seconds,
        round(sum(elapsed_seconds), 6) as total_seconds,
        cast(sum(total_tokens) as decimal(38, 0)) as total_tokens
    from executions
    group by app_id, workflow_version, node_id, execution_date
)

select
    (select max(source.workspace_id) from ops.source as source) as workspace_id,
    counted.app_id,
    apps.app_name,
    counted.workflow_version,
    counted.node_id,
    counted.node_type,
    counted.node_title,
    counted.execution_date,
    counted.executions,
    counted.succeeded_executions,
    counted.failed_executions,
    counted.handled_executions,
    counted.retries,
    (counted.failed_executions + counted.handled_executions)
    / nullif(counted.ended_executions, 0) as failure_rate,
    counted.p50_seconds,
    counted.p95_seconds,
    counted.total_seconds,
    round(counted.total_seconds / nullif(day_seconds.seconds, 0), 6) as share_of_run_time,
    counted.total_tokens
from counted
inner join day_seconds
    on
        counted.app_id = day_seconds.app_id
        and counted.workflow_version is not distinct from day_seconds.workflow_version
        and counted.execution_date = day_seconds.execution_date
left join apps on counted.app_id = apps.app_id
