-- One row per app, node and local day, of the nodes that took the most time or failed most often;
-- all others of the app and day in one row whose node_id is null.
with days as (
    select
        app_id,
        execution_date,
        node_id,
        node_type,
        node_title,
        executions,
        failed_executions,
        handled_executions,
        total_seconds,
        p95_seconds
    from marts.node_performance
    where execution_date between $first_day and $last_day
),

nodes as (
    select
        app_id,
        node_id,
        max_by(node_title, execution_date) as node_title,
        max_by(node_type, execution_date) as node_type,
        row_number() over (order by sum(total_seconds) desc, app_id, node_id) as by_time,
        row_number() over (
            order by sum(failed_executions + handled_executions) desc, app_id, node_id
        ) as by_failures
    from days
    group by app_id, node_id
),

shown as (
    select app_id, node_id, node_title, node_type
    from nodes
    where by_time <= $most_nodes or by_failures <= $most_nodes
)

select
    days.app_id,
    days.execution_date as day,
    shown.node_id,
    shown.node_title,
    shown.node_type,
    cast(sum(days.executions) as bigint) as executions,
    cast(sum(days.failed_executions) as bigint) as failed,
    cast(sum(days.handled_executions) as bigint) as handled,
    round(sum(days.total_seconds), 6) as total_seconds,
    max(days.p95_seconds) as p95_seconds
from days
left join shown on days.app_id = shown.app_id and days.node_id = shown.node_id
group by days.app_id, days.execution_date, shown.node_id, shown.node_title, shown.node_type
order by day, days.app_id, shown.node_id nulls first
