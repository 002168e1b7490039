-- One row per run of a workflow or advanced-chat app; triggered_from tells debugging apart.
-- created_by_role: Who started it, account or end_user.
-- created_by_account_name: Name of that account.
-- created_by_account_email: E-mail of that account.
-- created_by_end_user_type: One of service_api, browser, …
-- is_end_user_anonymous: Whether Dify made the user up.
-- person_id: Who it is, by the rule of stg_people; null: nobody.
-- person_name: Session id of the end user, or name of the account.
-- person_kind: One of account, browser, end_user, nobody.
-- triggered_from: One of app-run, debugging, webhook, schedule, …
-- status: One of scheduled, running, succeeded, failed, stopped, partial-succeeded, paused.
-- created_at: When the run began, UTC.
-- finished_at: When it ended, UTC; null while it is open.
-- error_message: Error text.
-- created_from: One of service-api, web-app, installed-app.
-- log_created_at: When the row was written, UTC; what the time filters look at.
-- trigger_metadata: What triggered the run, JSON (since 1.10).
-- trigger_type: One of trigger-webhook, trigger-schedule, trigger-plugin; null: no trigger.
-- is_absent: Whether Dify was proven to have it no more.

with runs as (
    select
        *,
        coalesce(created_by_end_user_id, created_by_account_id) as asked_by
    from raw.workflow_runs
)

select
    workflow_run_id,
    app_id,
    created_by_role,
    created_by_account_id,
    created_by_account_name,
    created_by_account_email,
    created_by_end_user_id,
    created_by_end_user_type,
    created_by_end_user_is_anonymous as is_end_user_anonymous,
    created_by_end_user_session_id,
    case when actor_id is null then asked_by else person_id end as person_id,
    person_name,
    person_kind,
    workflow_version,
    triggered_from,
    status,
    elapsed_seconds,
    total_tokens,
    total_steps,
    exceptions_count,
    retry_index,
    sequence_number,
    created_at,
    created_date,
    created_hour,
    finished_at,
    finished_date,
    finished_hour,
    workflow_app_log_id,
    error as error_message,
    created_from,
    log_created_at,
    details as trigger_metadata,
    trigger_type,
    trigger_endpoint_id,
    trigger_event_name,
    trigger_provider_id,
    trigger_plugin,
    conversation_id,
    message_id,
    inputs,
    outputs,
    detail_extra,
    odd_fields,
    extra,
    loaded_at,
    changed_at,
    absent_since,
    absent_since is not null as is_absent
from runs
left join staging.stg_actors as actors on runs.asked_by = actors.actor_id
