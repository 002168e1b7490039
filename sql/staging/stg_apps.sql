-- One row per app of the workspace.
-- app_name: Name of the app.
-- app_mode: One of chat, agent-chat, advanced-chat, completion, workflow, agent, …
-- description: Description; when empty, Dify shows the first 200 characters of the prompt.
-- icon_type: One of emoji, image or link.
-- workflow_created_by_account_id: Account that published it.
-- workflow_created_at: When it was published, UTC.
-- workflow_updated_by_account_id: Account that changed its marks last.
-- workflow_updated_at: When its marks were changed last, UTC.
-- creator_name: Name of the creator, looked up by Dify.
-- maintainer_account_id: Account that maintains the app (since 1.16).
-- created_by_account_id: Account that made the app.
-- created_at: When the app was made, UTC.
-- updated_by_account_id: Account that changed the app last.
-- updated_at: Last change or publication, UTC; not traffic.
-- detail_updated_at: The app's updated_at when its detail was read, UTC.
-- is_absent: Whether Dify was proven to have it no more.

select
    app_id,
    name as app_name,
    mode as app_mode,
    agent_id,
    description,
    icon_type,
    icon,
    icon_background,
    icon_url,
    app_model_config,
    workflow_id,
    workflow_created_by as workflow_created_by_account_id,
    workflow_created_at,
    workflow_updated_by as workflow_updated_by_account_id,
    workflow_updated_at,
    tags,
    max_active_requests,
    is_icon_as_answer_icon,
    has_draft_trigger,
    access_mode,
    create_user_name as creator_name,
    author_name,
    maintainer_id as maintainer_account_id,
    permission_keys,
    is_starred,
    created_by as created_by_account_id,
    created_at,
    updated_by as updated_by_account_id,
    updated_at,
    is_site_enabled,
    is_api_enabled,
    api_base_url,
    site,
    tracing,
    deleted_tools,
    detail_extra,
    detail_of as detail_updated_at,
    odd_fields,
    extra,
    loaded_at,
    changed_at,
    absent_since,
    absent_since is not null as is_absent
from raw.apps
