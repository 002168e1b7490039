-- One row per trigger of a workflow app: webhook, schedule or plugin event.
-- app_trigger_id: Id of the trigger.
-- app_id: Id of the app.
-- trigger_type: One of trigger-webhook, trigger-schedule, trigger-plugin.
-- title: Title of its node.
-- node_id: Id of its node in the graph.
-- provider_name: Provider of a plugin; empty for others.
-- icon: Address of the provider's icon; empty for others.
-- status: One of enabled, disabled, unauthorized, rate_limited.
-- created_at: When it was made, UTC.
-- updated_at: When it was changed last, UTC.
-- odd_fields: Columns that keep the last good value, since Dify's last was odd; null: none.
-- extra: Fields that Dify sent and no known version has; null: none.
-- loaded_at: When this row was first loaded, UTC.
-- changed_at: When a value of this row last changed here, UTC.
-- absent_since: When Dify was proven to have it no more, UTC; null: there.
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
