-- One row per published version of an agent.
-- created_by_account_id: Account that published it.
-- created_at: When it was published, UTC.
-- is_absent: Whether Dify was proven to have it no more.

select
    agent_version_id,
    agent_id,
    app_id,
    version,
    display_version,
    snapshot_version,
    summary,
    version_note,
    created_by as created_by_account_id,
    created_at,
    odd_fields,
    extra,
    loaded_at,
    changed_at,
    absent_since,
    absent_since is not null as is_absent
from raw.agent_versions
