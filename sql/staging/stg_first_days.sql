-- One row per app: its first local day with a conversation, a message or a run.
-- materialized: table
-- app_id: Id of the app.
-- first_date: The local day; null: none is told.

select app_id, min(created_date) as first_date
from (
    select app_id, created_date from raw.conversations
    union all
    select app_id, created_date from raw.messages
    union all
    select app_id, created_date from raw.workflow_runs
) as activities
group by app_id
