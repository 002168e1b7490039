-- One row per message or node of which it is known which model it asked.
-- call_id: Id of the message or of the node's execution; of the conversation for unopened logs.
-- provider: Provider of the model, as langgenius/openai/openai; null: not told.
-- model: Name of the model.
-- model_source: Who tells it: node, message, app configuration.

-- The rule stands here alone: the node, else the message's own configuration (that of its
-- conversation), else the app's configuration as it was then: of chats the model of the app, of a
-- node that tells none (it failed, or Dify cut what it kept) that of the graph which ran. A message
-- whose nodes asked several models has none.

with nodes as (
    select
        node_execution_id,
        workflow_run_id,
        app_id,
        node_id,
        process_data ->> 'model_provider' as provider,
        process_data ->> 'model_name' as model
    from raw.node_executions
),

graphs as (
    select app_id, version, unnest(graph -> '$.nodes[*]') as node
    from raw.workflow_versions
),

graph_nodes as (
    select
        app_id,
        version,
        node ->> 'id' as node_id,
        node -> 'data' -> 'model' ->> 'provider' as provider,
        node -> 'data' -> 'model' ->> 'name' as model
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
        node_execution_id,
        workflow_run_id,
        provider,
        model,
        'node' as model_source
    from nodes
    where model is not null
    union all
    select
        nodes.node_execution_id,
        nodes.workflow_run_id,
        graph_models.provider,
        graph_models.model,
        'app configuration' as model_source
    from nodes
    join raw.workflow_runs as runs on nodes.workflow_run_id = runs.workflow_run_id
    join graph_models
        on runs.app_id = graph_models.app_id
        and runs.workflow_version = graph_models.version
        and nodes.node_id = graph_models.node_id
    where nodes.model is null
),

run_models as (
    select
        workflow_run_id,
        min(provider) as provider,
        min(model) as model,
        if(bool_and(model_source = 'node'), 'node', 'app configuration') as model_source
    from node_models
    group by workflow_run_id
    having
        min(model) = max(model)
        and min(provider) is not distinct from max(provider)
),

talks as (
    select
        conversation_id,
        app_model_config -> 'model' ->> 'provider' as provider,
        app_model_config -> 'model' ->> 'name' as model
    from raw.conversations
),

message_models as (
    select
        coalesce(messages.message_id, messages.conversation_id) as call_id,
        case
            when run_models.model is not null then run_models.provider
            when talks.model is not null then talks.provider
            else configured.provider
        end as provider,
        coalesce(run_models.model, talks.model, configured.model) as model,
        case
            when run_models.model is not null then run_models.model_source
            when talks.model is not null then 'message'
            when configured.model is not null then 'app configuration'
        end as model_source
    from raw.messages as messages
    left join run_models on messages.workflow_run_id = run_models.workflow_run_id
    left join talks on messages.conversation_id = talks.conversation_id
    left join staging.stg_app_versions as configured
        on messages.app_id = configured.app_id
        and (
            configured.applies_from_at is null
            or messages.created_at >= configured.applies_from_at
        )
        and (configured.valid_to_at is null or messages.created_at < configured.valid_to_at)
),

calls as (
    select node_execution_id as call_id, provider, model, model_source
    from node_models
    union all
    select call_id, provider, model, model_source
    from message_models
    where model is not null
)

-- Grouped, and joined by plain columns: DuckDB then sees that a row is found once at most, and a
-- query of messages or nodes that asks for no model does not read what nodes kept.
select
    call_id,
    max(provider) as provider,
    max(model) as model,
    max(model_source) as model_source
from calls
group by call_id
