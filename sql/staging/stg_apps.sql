-- One row per app of the workspace.
-- app_id: Id of the app.
-- app_name: Name of the app.
-- app_mode: One of chat, agent-chat, advanced-chat, completion, workflow, agent, …
-- agent_id: Agent that the app is bound to (mode agent).
-- description: Description; when empty, Dify shows the first 200 characters of the prompt.
-- icon_type: One of emoji, image or link.
-- icon: Emoji, or file id of the image.
-- icon_background: Colour, as #FFEAD5.
-- icon_url: Signed address of the image; changes on each read.
-- app_model_config: Model and prompt, JSON; null for workflow and advanced-chat.
-- workflow_id: Id of the published workflow.
-- workflow_created_by_account_id: Account that published it.
-- workflow_created_at: When it was published, UTC.
-- workflow_updated_by_account_id: Account that changed its marks last.
-- workflow_updated_at: When its marks were changed last, UTC.
-- tags: Tags, JSON list of id, name, type.
-- max_active_requests: Parallel requests; null or 0: no limit.
-- is_icon_as_answer_icon: Whether the icon stands beside answers.
-- has_draft_trigger: Whether the draft has a trigger node.
-- access_mode: Who may open the web app (enterprise).
-- creator_name: Name of the creator, looked up by Dify.
-- author_name: Name of the author, looked up by Dify.
-- maintainer_account_id: Account that maintains the app (since 1.16).
-- permission_keys: What the reading account may do with it, JSON list (since 1.16).
-- is_starred: Whether the reading account starred it (since 1.16).
-- created_by_account_id: Account that made the app.
-- created_at: When the app was made, UTC.
-- updated_by_account_id: Account that changed the app last.
-- updated_at: Last change or publication, UTC; not traffic.
-- is_site_enabled: Whether the web app is on.
-- is_api_enabled: Whether the API is on.
-- api_base_url: Address of the service API.
-- site: Web app settings, JSON, without its secrets.
-- tracing: Tracing switch, JSON.
-- deleted_tools: Tools that are gone, JSON list.
-- detail_extra: As extra, for fields of the detail.
-- detail_updated_at: The app's updated_at when its detail was read, UTC.
-- odd_fields: Columns that keep the last good value, since Dify's last was odd; null: none.
-- extra: Fields that Dify sent and no known version has; null: none.
-- loaded_at: When this row was first loaded, UTC.
-- changed_at: When a value of this row last changed here, UTC.
-- absent_since: When Dify was proven to have it no more, UTC; null: there.
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
