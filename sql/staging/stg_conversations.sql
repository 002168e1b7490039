-- One row per conversation of chat, agent-chat, advanced-chat, agent and completion apps.
-- status: Always normal in practice.
-- from_source: Where it came from: api (also web app) or console (debugging or Explore).
-- end_user_id: End user who talks; null for accounts.
-- end_user_session_id: The API caller's `user`; null when the end user is gone.
-- account_id: Account that talks (debugging or Explore), when from_source is console.
-- account_name: Name of that account; null when it is gone.
-- log_read_at: When an editor opened the log in Dify first, UTC.
-- created_at: When it began, UTC.
-- updated_at: Last message or renaming, UTC; on 1.10 to 1.12 also the first reading of the log.
-- conversation_name: Title; Dify or the user changes it.
-- is_absent: Whether Dify was proven to have it no more.

select
    conversation_id,
    app_id,
    status,
    from_source,
    from_end_user_id as end_user_id,
    from_end_user_session_id as end_user_session_id,
    from_account_id as account_id,
    from_account_name as account_name,
    app_model_config,
    read_at as log_read_at,
    created_at,
    created_date,
    created_hour,
    updated_at,
    updated_date,
    user_like_count,
    user_dislike_count,
    admin_like_count,
    admin_dislike_count,
    name as conversation_name,
    summary,
    is_annotated,
    message_count,
    success_count,
    failed_count,
    partial_success_count,
    paused_count,
    source_type,
    source_app_id,
    source_workflow_id,
    source_workflow_version,
    source_node_id,
    invoke_from,
    odd_fields,
    extra,
    loaded_at,
    changed_at,
    absent_since,
    absent_since is not null as is_absent
from raw.conversations
