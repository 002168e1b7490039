-- One row per app of which at least one answer cites a passage.
-- materialized: table
-- app_id: Id of the app.

select distinct app_id
from staging.stg_message_citations
where not is_absent
