-- One row per trigger of a workflow app: webhook, schedule or plugin event.
-- trigger_type: One of trigger-webhook, trigger-schedule, trigger-plugin.
-- status: One of enabled, disabled, unauthorized, rate_limited.
-- created_at: When it was made, UTC.
-- updated_at: When it was changed last, UTC.
-- is_absent: Whether Dify was proven to have it no more.

select
    app_trigger_id,
    app_id,
    trigger_type,
    title,
    node_id,
    provider_name,
    icon,
    status,
    created_at,
    updated_at,
    odd_fields,
    extra,
    loaded_at,
    changed_at,
    absent_since,
    absent_since is not null as is_absent
from raw.app_triggers
