-- One row per app per local day that was read, with at least one run; debugging runs are left out.
-- workspace_id: Id of the workspace.
-- app_id: Id of the app.
-- app_name: Name of the app.
-- app_mode: Mode of the app: workflow, or advanced-chat (a run per message).
-- run_date: Local day on which the runs began.
-- is_proven: Whether the day's runs and nodes were proven whole; if not, figures may be too small.
-- is_settled: Whether they were read 24 h after the day's end; if not, figures may still move.
-- runs: Runs that began on that day.
-- succeeded_runs: Runs with status succeeded.
-- partly_succeeded_runs: Runs with status partial-succeeded: a node failed and was handled.
-- failed_runs: Runs with status failed.
-- stopped_runs: Runs with status stopped: somebody ended them.
-- unfinished_runs: Runs that had not ended when last read: running, scheduled, paused, zombies.
-- zombie_runs: Unfinished runs that are no longer waited for.
-- success_rate: Succeeded among the ended runs, 0 to 1; partly succeeded ones are no success.
-- p50_elapsed_seconds: Half of the ended runs were as fast as this; null when none ended.
-- p95_elapsed_seconds: 95 of 100 ended runs were as fast as this; null when none ended.
-- failed_nodes: Node executions of these runs with status failed.
-- handled_nodes: Node executions that failed and were handled (status exception).
-- worst_node_id: The node in the graph that failed or was handled most often; null when none.
-- worst_node_type: Its type, as llm or code.
-- worst_node_title: Its title.
-- worst_node_failures: How often it failed or was handled.

with apps as (
    select app_id, app_name, app_mode from staging.stg_apps
),

runs as (
    select app_id, workflow_run_id, created_date, status, elapsed_seconds
    from staging.stg_workflow_runs
    where triggered_from is distinct from 'debugging'
),

nodes as (
    select workflow_run_id, node_id, node_type, title, status from staging.stg_node_executions
),

zombies as (
    select workflow_run_id from ops.run_reads where starts_with(detail_reason, 'zombie')
),

days_read as (
    select
        app_id,
        slice_date as run_date,
        bool_and(state = 'proven') as is_proven,
        bool_and(is_settled) as is_settled
    from ops.slices
    where feed in ('workflow_runs', 'node_executions') and slice_date is not null
    group by app_id, slice_date
),

judged_runs as (
    select
        runs.app_id,
        runs.created_date,
        runs.status,
        coalesce(
            runs.status in ('succeeded', 'partial-succeeded', 'failed', 'stopped'), false
        ) as is_ended,
        runs.elapsed_seconds,
        zombies.workflow_run_id is not null as is_zombie
    from runs
    left join zombies on runs.workflow_run_id = zombies.workflow_run_id
),

outcomes as (
    select
        app_id,
        created_date,
        count(*) as runs,
        count(*) filter (where status = 'succeeded') as succeeded_runs,
        count(*) filter (where status = 'partial-succeeded') as partly_succeeded_runs,
        count(*) filter (where status = 'failed') as failed_runs,
        count(*) filter (where status = 'stopped') as stopped_runs,
        count(*) filter (where is_ended) as ended_runs,
        count(*) filter (where not is_ended and is_zombie) as zombie_runs,
        quantile_cont(elapsed_seconds, 0.50) filter (where is_ended) as p50_elapsed_seconds,
        quantile_cont(elapsed_seconds, 0.95) filter (where is_ended) as p95_elapsed_seconds
    from judged_runs
    group by app_id, created_date
),

node_troubles as (
    select
        runs.app_id,
        runs.created_date,
        nodes.node_id,
        max(nodes.node_type) as node_type,
        max(nodes.title) as title,
        count(*) filter (where nodes.status = 'failed') as failures,
        count(*) filter (where nodes.status = 'exception') as handled
    from nodes
    join runs on nodes.workflow_run_id = runs.workflow_run_id
    where nodes.status in ('failed', 'exception')
    group by runs.app_id, runs.created_date, nodes.node_id
),

ranked_troubles as (
    select
        app_id,
        created_date,
        node_id,
        node_type,
        title,
        failures + handled as failures,
        sum(failures) over day_of_app as failed_nodes,
        sum(handled) over day_of_app as handled_nodes,
        row_number() over (
            partition by app_id, created_date order by failures + handled desc, node_id asc
        ) as place
    from node_troubles
    window day_of_app as (partition by app_id, created_date)
),

worst_nodes as (
    select
        app_id,
        created_date,
        node_id,
        node_type,
        title,
        failures,
        failed_nodes::bigint as failed_nodes,
        handled_nodes::bigint as handled_nodes
    from ranked_troubles
    where place = 1
),

reliability as (
    select
        outcomes.app_id,
        apps.app_name,
        apps.app_mode,
        outcomes.created_date as run_date,
        days_read.is_proven,
        days_read.is_settled,
        outcomes.runs,
        outcomes.succeeded_runs,
        outcomes.partly_succeeded_runs,
        outcomes.failed_runs,
        outcomes.stopped_runs,
        outcomes.runs - outcomes.ended_runs as unfinished_runs,
        outcomes.zombie_runs,
        outcomes.succeeded_runs / nullif(outcomes.ended_runs, 0) as success_rate,
        outcomes.p50_elapsed_seconds,
        outcomes.p95_elapsed_seconds,
        coalesce(worst_nodes.failed_nodes, 0) as failed_nodes,
        coalesce(worst_nodes.handled_nodes, 0) as handled_nodes,
        worst_nodes.node_id as worst_node_id,
        worst_nodes.node_type as worst_node_type,
        worst_nodes.title as worst_node_title,
        worst_nodes.failures as worst_node_failures
    from outcomes
    join days_read
        on outcomes.app_id = days_read.app_id and outcomes.created_date = days_read.run_date
    left join apps on outcomes.app_id = apps.app_id
    left join worst_nodes
        on outcomes.app_id = worst_nodes.app_id
        and outcomes.created_date = worst_nodes.created_date
)

select
    (select max(source.workspace_id) from ops.source as source) as workspace_id,
    reliability.*
from reliability
