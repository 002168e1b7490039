-- One row per scope (an app, or the workspace), week in which people came first, and later week.
-- workspace_id: Id of the workspace.
-- scope: One of app, workspace: within what people come first and come back.
-- app_id: Id of the app; null for the workspace.
-- app_name: Name of the app; null for the workspace.
-- cohort_week_date: Monday of the local week in which these people were seen first.
-- activity_week_date: Monday of the week of which the row tells, from the cohort's own week on.
-- weeks_since: Weeks from the one to the other; 0 in the cohort's own week.
-- cohort_people: People of the cohort.
-- returned_people: Those among them who asked, or started a run of a workflow app, in the week.
-- retention_rate: Returned among the people of the cohort, 0 to 1; 1 in the cohort's own week.
-- is_complete: Whether the week is over and no read of its days failed; workspace: in any app.

-- Retained: seen again in the week, be it for one question. People are those of stg_people; who
-- came before the first day that was read seems to have come on the first day that was.
-- Scopes are never to be added: who uses two apps is one person of the workspace.

with activities as (
    select
        app_id,
        person_id,
        activity_date - cast(isodow(activity_date) - 1 as integer) as activity_week_date
    from staging.stg_active_people
),

person_weeks as (
    select distinct 'app' as scope, app_id, person_id, activity_week_date
    from activities
    union all
    select distinct
        'workspace' as scope,
        cast(null as varchar) as app_id,
        person_id,
        activity_week_date
    from activities
),

cohorts as (
    select scope, app_id, person_id, min(activity_week_date) as cohort_week_date
    from person_weeks
    group by scope, app_id, person_id
),

cohort_sizes as (
    select scope, app_id, cohort_week_date, count(*) as cohort_people
    from cohorts
    group by scope, app_id, cohort_week_date
),

returns as (
    select
        cohorts.scope,
        cohorts.app_id,
        cohorts.cohort_week_date,
        person_weeks.activity_week_date,
        count(*) as returned_people
    from person_weeks
    inner join cohorts
        on
            person_weeks.scope = cohorts.scope
            and person_weeks.app_id is not distinct from cohorts.app_id
            and person_weeks.person_id = cohorts.person_id
    group by
        cohorts.scope,
        cohorts.app_id,
        cohorts.cohort_week_date,
        person_weeks.activity_week_date
),

app_days as (
    select
        app_id,
        slice_date,
        slice_date - cast(isodow(slice_date) - 1 as integer) as activity_week_date,
        bool_and(state not in ('failed', 'incomplete')) as is_whole
    from ops.slices
    where feed in ('messages', 'workflow_runs') and slice_date is not null
    group by app_id, slice_date
),

app_weeks as (
    select
        app_id,
        activity_week_date,
        count(*) filter (where is_whole) = 7 as is_whole
    from app_days
    group by app_id, activity_week_date
),

-- Of the workspace as of an app: every app that was read in the week was read on all of its days.
read_weeks as (
    select 'app' as scope, app_id, activity_week_date, is_whole from app_weeks
    union all
    select
        'workspace' as scope,
        cast(null as varchar) as app_id,
        activity_week_date,
        bool_and(is_whole) as is_whole
    from app_weeks
    group by activity_week_date
),

newest as (
    select max(slice_date) as newest_date from app_days
),

weeks as (
    select activity_week_date from app_weeks
    union
    select activity_week_date from person_weeks
)

select
    (select max(source.workspace_id) from ops.source as source) as workspace_id,
    cohort_sizes.scope,
    cohort_sizes.app_id,
    apps.app_name,
    cohort_sizes.cohort_week_date,
    weeks.activity_week_date,
    cast((weeks.activity_week_date - cohort_sizes.cohort_week_date) // 7 as bigint)
        as weeks_since,
    cohort_sizes.cohort_people,
    coalesce(returns.returned_people, 0) as returned_people,
    coalesce(returns.returned_people, 0) / cohort_sizes.cohort_people as retention_rate,
    coalesce(
        read_weeks.is_whole and weeks.activity_week_date + 7 <= newest.newest_date, false
    ) as is_complete
from cohort_sizes
inner join weeks on weeks.activity_week_date >= cohort_sizes.cohort_week_date
cross join newest
left join read_weeks
    on
        cohort_sizes.scope = read_weeks.scope
        and cohort_sizes.app_id is not distinct from read_weeks.app_id
        and weeks.activity_week_date = read_weeks.activity_week_date
left join returns
    on
        cohort_sizes.scope = returns.scope
        and cohort_sizes.app_id is not distinct from returns.app_id
        and cohort_sizes.cohort_week_date = returns.cohort_week_date
        and weeks.activity_week_date = returns.activity_week_date
left join staging.stg_apps as apps on cohort_sizes.app_id = apps.app_id
