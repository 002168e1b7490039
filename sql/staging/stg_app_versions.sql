-- One row per app and span in which its name, publication and configuration did not change.
-- app_id: Id of the app.
-- app_version: Number of the row among those of its app, from 1.
-- valid_from_at: Since when it is so, UTC, as Dify tells it, else when it was seen.
-- valid_to_at: When the next row begins, UTC; null: it is so now.
-- valid_from_date: Local day of valid_from_at.
-- valid_to_date: Local day of valid_to_at.
-- applies_from_at: As valid_from_at; null in the first row, which stands for all that was before.
-- valid_from_source: One of dify, seen.
-- seen_at: When the read that found it began, UTC.
-- changed: What is otherwise than before, JSON list of columns of raw.apps; null: first row.
-- app_name: Name of the app.
-- workflow_id: The published version, as in stg_workflow_versions; null: none.
-- provider: Provider of the model; null for workflows and chatflows.
-- model: Name of the model; null for workflows and chatflows.
-- configuration: All that is compared, JSON by column of raw.apps, without secrets.

-- History is kept from the first read on. What was before nobody knows, so the first row is taken
-- for it.

select
    app_id,
    app_version,
    valid_from_at,
    lead(valid_from_at) over (partition by app_id order by app_version) as valid_to_at,
    valid_from_date,
    lead(valid_from_date) over (partition by app_id order by app_version) as valid_to_date,
    case when app_version > 1 then valid_from_at end as applies_from_at,
    valid_from_source,
    seen_at,
    changed,
    app_name,
    workflow_id,
    provider,
    model,
    configuration
from ops.app_versions
