-- One row per app, local day and person who asked, or started a run of a workflow app.
select app_id, day, person_id, messages, workflow_runs
from activities
order by day, app_id, person_id
