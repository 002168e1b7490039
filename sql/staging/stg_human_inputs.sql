-- One row per form by which a run asked a person.
-- human_input_id: Id of the form; where none is told, of the node's execution.
-- conversation_id: Id of the conversation; null for workflow apps.
-- message_id: Id of the message; null for workflow apps.
-- state: One of waiting, submitted, expired (not answered, and its time is over or its run ended).
-- expires_at: Until when it may be answered, UTC.
-- is_absent: Whether Dify was proven to have it no more.

select
    human_input_id,
    app_id,
    workflow_run_id,
    conversation_id,
    message_id,
    node_execution_id,
    form_id,
    node_id,
    node_title,
    form_content,
    form_inputs,
    actions,
    state,
    expires_at,
    asked_at,
    asked_date,
    asked_hour,
    answered_at,
    answered_date,
    answered_hour,
    is_submitted,
    action_id,
    action_text,
    submitted_data,
    rendered_content,
    answered_by,
    answered_by_id,
    submitted_at,
    message_created_at,
    odd_fields,
    loaded_at,
    changed_at,
    absent_since,
    absent_since is not null as is_absent
from raw.human_inputs
