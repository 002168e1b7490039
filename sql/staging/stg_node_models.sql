-- One row per node of a run of which it is known which model it asked.
-- materialized: table
-- incremental: app_id, created_date
-- linked by: run
-- call_id: Id of the node's execution.
-- workflow_run_id: Id of its run.
-- app_id: Id of the app of the node.
-- created_date: Local day on which the node began.
-- provider: Provider of the model, as langgenius/openai/openai; null: not told.
-- model: Name of the model.
-- model_source: Who tells it: node, app configuration.

-- The node tells it itself; one that does not (it failed, or Dify cut what it kept) has the model
-- of the graph that ran, which is the app's configuration as it was.

with nodes as (
    select
        node_execution_id,
        workflow_run_id,
        app_id,
        created_date,
        node_id,
        json_extract_string(process_data, 'model_provider') as provider,
        json_extract_string(process_data, 'model_name') as model
    from raw.node_executions
),

graphs as (
    select app_id, version, unnest(json_extract(graph, '$.nodes[*]')) as node
    from raw.workflow_versions
),

graph_nodes as (
    select
        app_id,
        version,
        json_extract_string(node, 'id') as node_id,
        json_extract_string(node, '$.data.model.provider') as provider,
        json_extract_string(node, '$.data.model.name') as model
    from graphs
),

graph_models as (
    select app_id, version, node_id, max(provider) as provider, max(model) as model
    from graph_nodes
    where model is not null
    group by app_id, version, node_id
),

node_models as (
    select
        nodes.node_execution_id,
        nodes.workflow_run_id,
        nodes.app_id,
        nodes.created_date,
        case when nodes.model is null then graph_models.provider else nodes.provider end
            as provider,
        coalesce(nodes.model, graph_models.model) as model,
        case when nodes.model is null then 'app configuration' else 'node' end as model_source
    from nodes
    left join raw.workflow_runs as runs on nodes.workflow_run_id = runs.workflow_run_id
    left join graph_models
        on runs.app_id = graph_models.app_id
        and runs.workflow_version = graph_models.version
        and nodes.node_id = graph_models.node_id
)

select
    node_execution_id as call_id,
    max(workflow_run_id) as workflow_run_id,
    max(app_id) as app_id,
    max(created_date) as created_date,
    max(provider) as provider,
    max(model) as model,
    max(model_source) as model_source
from node_models
where model is not null
group by node_execution_id
