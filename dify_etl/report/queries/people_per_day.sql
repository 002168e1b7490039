-- One row per local day of the workspace (app_id is null), and per app and local day.
select
    cast(null as varchar) as app_id,
    usage_date as day,
    people,
    new_people
from marts.workspace_daily_usage
where usage_date between $first_day and $last_day
union all
select
    app_id,
    day,
    count(*) as people,
    cast(null as bigint) as new_people
from activities
group by app_id, day
order by day, app_id nulls first
