-- One row per published version of an agent.
-- agent_version_id: Id of the version.
-- agent_id: Id of the agent.
-- app_id: Id of the agent's app.
-- version: Number of the version, from 1.
-- display_version: Number that the console shows.
-- snapshot_version: Number that counts drafts as well.
-- summary: Summary; null in practice.
-- version_note: Note of whoever published it.
-- created_by_account_id: Account that published it.
-- created_at: When it was published, UTC.
-- odd_fields: Columns that keep the last good value, since Dify's last was odd; null: none.
-- extra: Fields that Dify sent and no known version has; null: none.
-- loaded_at: When this row was first loaded, UTC.
-- changed_at: When a value of this row last changed here, UTC.
-- absent_since: When Dify was proven to have it no more, UTC; null: there.
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
