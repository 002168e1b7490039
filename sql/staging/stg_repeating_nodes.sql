-- One row per node that is a workflow used as a tool, and repeats what the run inside cost.
-- materialized: table
-- node_execution_id: Id of the node's execution.

-- Dify does not tell which run it was: one of another app that began while the node ran.

with nodes as (
    select
        node_execution_id,
        app_id,
        created_at,
        coalesce(finished_at, created_at + interval 1 hour) as ended_at
    from raw.node_executions
    where
        tool_provider_type = 'workflow'
        and node_type not in ('iteration', 'loop')
        and (total_price > 0 or total_price = 0 and total_tokens > 0)
)

select distinct nodes.node_execution_id
from nodes
inner join raw.apps as apps on nodes.app_id = apps.app_id
inner join raw.workflow_runs as runs
    on
        nodes.app_id <> runs.app_id
        and runs.created_at between nodes.created_at - interval 1 second and nodes.ended_at
