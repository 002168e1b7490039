-- One row per app and local day of which messages or runs were read.
-- app_id: Id of the app.
-- read_date: The local day.

select distinct
    app_id,
    slice_date as read_date
from ops.slices
where feed in ('messages', 'workflow_runs') and slice_date is not null
