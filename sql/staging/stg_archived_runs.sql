-- One row per run that was moved to cold storage and is in no other list.
-- status: One of scheduled, running, succeeded, failed, stopped, partial-succeeded, paused.
-- triggered_from: One of app-run, webhook, schedule, …
-- created_by_role: Always null here: Dify tells the account or end user alone.
-- created_by_account_name: Name of that account.
-- created_by_account_email: E-mail of that account.
-- created_by_end_user_type: One of service_api, browser, …
-- is_end_user_anonymous: Whether Dify made the user up.
-- created_at: When the run began, UTC.
-- created_date: Local day of created_at.
-- created_hour: Hour of created_at on the local clock, 0 to 23.
-- odd_fields: Columns that keep the last good value, since Dify's last was odd; null: none.
-- absent_since: When Dify was proven to have it no more, UTC; null: there.
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
