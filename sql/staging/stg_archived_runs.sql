-- One row per run that was moved to cold storage and is in no other list.
-- status: One of scheduled, running, succeeded, failed, stopped, partial-succeeded, paused.
-- triggered_from: One of app-run, webhook, schedule, …
-- created_by_role: Always null here: Dify tells the account or end user alone.
-- created_by_account_name: Name of that account.
-- created_by_account_email: E-mail of that account.
-- created_by_end_user_type: One of service_api, browser, …
-- is_end_user_anonymous: Whether Dify made the user up.
-- created_at: When the run began, UTC.
-- is_absent: Whether Dify was proven to have it no more.

select
    archived_run_id,
    app_id,
    workflow_run_id,
    status,
    triggered_from,
    elapsed_seconds,
    total_tokens,
    trigger_type,
    trigger_metadata,
    created_by_role,
    created_by_account_id,
    created_by_account_name,
    created_by_account_email,
    created_by_end_user_id,
    created_by_end_user_type,
    created_by_end_user_is_anonymous as is_end_user_anonymous,
    created_by_end_user_session_id,
    created_at,
    created_date,
    created_hour,
    odd_fields,
    extra,
    loaded_at,
    changed_at,
    absent_since,
    absent_since is not null as is_absent
from raw.archived_runs
