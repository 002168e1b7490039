-- One row per call of a tool in a step of an agent.
-- step_position: Order of the step, from 1.
-- status: One of success or error; null outside agent-chat.
-- error: Error text; null outside agent-chat.
-- seconds: Seconds of the call; null outside agent-chat.
-- step_tokens: Tokens of the whole step, not of the call; null outside agent-chat.
-- created_at: When the step was stored, UTC.
-- is_absent: Whether Dify was proven to have it no more.

select
    agent_thought_id,
    call_position,
    message_id,
    conversation_id,
    app_id,
    position as step_position,
    tool_name,
    tool_input,
    tool_output,
    status,
    error,
    seconds,
    step_tokens,
    created_at,
    message_created_at,
    message_created_date,
    odd_fields,
    extra,
    loaded_at,
    changed_at,
    absent_since,
    absent_since is not null as is_absent
from raw.agent_tool_calls
