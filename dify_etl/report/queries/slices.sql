-- One row per app, local day and state: how many feeds have it.
select
    app_id,
    slice_date as day,
    state,
    count(*) as slices
from ops.slices
where slice_date between $first_day and $last_day
group by app_id, slice_date, state
order by day, app_id, state
