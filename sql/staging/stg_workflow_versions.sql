-- One row per published version of a workflow or chatflow.
-- created_by_account_id: Account that published it.
-- created_by_account_name: Name of that account.
-- created_by_account_email: E-mail of that account.
-- created_at: When it was published, UTC.
-- updated_by_account_id: Account that changed its marks last; null: nobody.
-- updated_at: When its marks were changed last, UTC.
-- nodes: Nodes of the graph.
-- is_current: Whether it is what the app runs now.
-- is_absent: Whether Dify was proven to have it no more.

select
    versions.workflow_id,
    versions.app_id,
    versions.version,
    versions.version_number,
    versions.marked_name,
    versions.marked_comment,
    versions.graph_hash,
    versions.graph,
    versions.features,
    versions.environment_variables,
    versions.conversation_variables,
    versions.rag_pipeline_variables,
    versions.is_tool_published,
    versions.created_by_id as created_by_account_id,
    versions.created_by_name as created_by_account_name,
    versions.created_by_email as created_by_account_email,
    versions.created_at,
    versions.created_date,
    versions.created_hour,
    coalesce(
        json_extract_string(versions.updated_by, 'id'),
        json_extract_string(versions.updated_by, '$')
    ) as updated_by_account_id,
    versions.updated_at,
    json_array_length(versions.graph, '$.nodes')::bigint as nodes,
    coalesce(versions.workflow_id = apps.workflow_id, false) as is_current,
    versions.odd_fields,
    versions.extra,
    versions.loaded_at,
    versions.changed_at,
    versions.absent_since,
    versions.absent_since is not null as is_absent
from raw.workflow_versions as versions
left join staging.stg_apps as apps on versions.app_id = apps.app_id
