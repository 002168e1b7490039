-- One row per message whose model its own configuration or that of its app tells.
-- call_id: Id of the message; of the conversation for logs that nobody opened.
-- is_unopened: Whether it is such a log: Dify tells no id of its message.
-- provider: Provider of the model, as langgenius/openai/openai; null: not told.
-- model: Name of the model.
-- model_source: Who tells it: message, app configuration.

-- The message's own configuration is that of its conversation; the app's is that of the time of the
-- message, by the history in stg_app_versions.

with talks as (
    select
        conversation_id,
        json_extract_string(app_model_config, '$.model.provider') as provider,
        json_extract_string(app_model_config, '$.model.name') as model
    from raw.conversations
),

configured as (
    select
        coalesce(messages.message_id, messages.conversation_id) as call_id,
        messages.message_id is null as is_unopened,
        case when talks.model is null then versions.provider else talks.provider end as provider,
        coalesce(talks.model, versions.model) as model,
        case when talks.model is null then 'app configuration' else 'message' end as model_source
    from raw.messages as messages
    left join talks on messages.conversation_id = talks.conversation_id
    left join staging.stg_app_versions as versions
        on messages.app_id = versions.app_id
        and (versions.applies_from_at is null or messages.created_at >= versions.applies_from_at)
        and (versions.valid_to_at is null or messages.created_at < versions.valid_to_at)
)

select
    call_id,
    is_unopened,
    provider,
    model,
    model_source
from configured
where model is not null
