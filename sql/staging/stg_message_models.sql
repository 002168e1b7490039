-- One row per message of which it is known which model it asked.
-- call_id: Id of the message; of the conversation for logs that nobody opened.
-- provider: Provider of the model, as langgenius/openai/openai; null: not told.
-- model: Name of the model.
-- model_source: Who tells it: node, message, app configuration.

-- The nodes of its run, when all asked one model; else its configuration. Grouped, and joined by a
-- plain column: DuckDB then sees that a row is found once at most, and a query of messages that
-- asks for no model does not read what nodes kept.

with run_models as (
    select
        workflow_run_id,
        min(provider) as provider,
        min(model) as model,
        case when bool_and(model_source = 'node') then 'node' else 'app configuration' end
            as model_source
    from staging.stg_node_models
    group by workflow_run_id
    having
        min(model) = max(model)
        and min(provider) is not distinct from max(provider)
),

calls as (
    select message_id as call_id, workflow_run_id from raw.messages where message_id is not null
),

models as (
    select
        coalesce(calls.call_id, configured.call_id) as call_id,
        case when run_models.model is null then configured.provider else run_models.provider end
            as provider,
        coalesce(run_models.model, configured.model) as model,
        coalesce(run_models.model_source, configured.model_source) as model_source
    from calls
    left join run_models on calls.workflow_run_id = run_models.workflow_run_id
    full join staging.stg_configured_models as configured on calls.call_id = configured.call_id
)

select
    call_id,
    max(provider) as provider,
    max(model) as model,
    max(model_source) as model_source
from models
where model is not null
group by call_id
