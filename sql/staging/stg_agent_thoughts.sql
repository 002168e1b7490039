-- One row per step of an agent on the way to an answer.
-- agent_thought_id: Id of the step.
-- message_id: Id of the message.
-- conversation_id: Id of the conversation.
-- app_id: Id of the app.
-- chain_id: Always null in practice.
-- position: Order of the step, from 1.
-- thought: What the model thought.
-- answer: Text of the answer in this step (since 1.15).
-- tools: Tools called, joined by a semicolon.
-- tool_labels: Tool names by language, JSON.
-- tool_input: Arguments by tool, JSON text of Dify.
-- observation: Results by tool, JSON text of Dify.
-- files: File ids, JSON list.
-- created_at: When the step was stored, UTC.
-- message_created_at: When the question came, UTC.
-- message_created_date: Local day of message_created_at.
-- extra: Fields that Dify sent and no known version has; null: none.
-- loaded_at: When this row was first loaded, UTC.
-- changed_at: When a value of this row last changed here, UTC.
-- absent_since: When Dify was proven to have it no more, UTC; null: there.
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
    extra,
    loaded_at,
    changed_at,
    absent_since,
    absent_since is not null as is_absent
from raw.agent_thoughts
