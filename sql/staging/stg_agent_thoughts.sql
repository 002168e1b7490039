-- One row per step of an agent on the way to an answer.
-- tools: Tools called, joined by a semicolon.
-- created_at: When the step was stored, UTC.
-- is_absent: Whether Dify was proven to have it no more.

select
    agent_thought_id,
    message_id,
    conversation_id,
    app_id,
    chain_id,
    position,
    thought,
    answer,
    tool as tools,
    tool_labels,
    tool_input,
    observation,
    files,
    created_at,
    message_created_at,
    message_created_date,
    odd_fields,
    extra,
    loaded_at,
    changed_at,
    absent_since,
    absent_since is not null as is_absent
from raw.agent_thoughts
