-- One row per message of which it is known which model it asked.
-- materialized: table
-- incremental: app_id, created_date
-- linked by: run, conversation
-- call_id: Id of the message; of the conversation for logs that nobody opened.
-- app_id: Id of the app of the message.
-- created_date: Local day of the question.
-- provider: Provider of the model, as langgenius/openai/openai; null: not told.
-- model: Name of the model.
-- model_source: Who tells it: node, message, app configuration.

-- The nodes of its run, when all asked one model; else what Dify's database tells of it; else its
-- own configuration, which is that of its conversation; else that of the app when it came, by the
-- history in stg_app_versions.

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

conversations as (
    select
        conversation_id,
        json_extract_string(app_model_config, '$.model.provider') as provider,
        json_extract_string(app_model_config, '$.model.name') as model
    from raw.conversations
),

calls as (
    select
        coalesce(messages.message_id, messages.conversation_id) as call_id,
        messages.app_id,
        messages.created_date,
        case
            when run_models.model is not null then run_models.provider
            when messages.model_id is not null then messages.model_provider
            when conversations.model is not null then conversations.provider
            else versions.provider
        end as provider,
        coalesce(
            run_models.model, messages.model_id, conversations.model, versions.model
        ) as model,
        case
            when run_models.model is not null then run_models.model_source
            when messages.model_id is not null then 'message'
            when conversations.model is not null then 'message'
            else 'app configuration'
        end as model_source
    from raw.messages as messages
    left join run_models
        on messages.workflow_run_id = run_models.workflow_run_id
        and messages.message_id is not null
    left join conversations on messages.conversation_id = conversations.conversation_id
    left join staging.stg_app_versions as versions
        on messages.app_id = versions.app_id
        and (versions.applies_from_at is null or messages.created_at >= versions.applies_from_at)
        and (versions.valid_to_at is null or messages.created_at < versions.valid_to_at)
)

select
    call_id,
    app_id,
    created_date,
    max(provider) as provider,
    max(model) as model,
    max(model_source) as model_source
from calls
where model is not null
group by call_id, app_id, created_date
