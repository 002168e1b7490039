-- One row per feed and app that was ever read; of feeds of the workspace app_id is null.
-- workspace_id: Id of the workspace.
-- feed: The feed, as in ops.slices.
-- app_id: Id of the app; null for what is the workspace's.
-- app_name: Name of the app.
-- read_at: When it was read last, whether that came whole or not.
-- read_through_date: Newest local day that was read; null for lists without days.
-- proven_through_date: Newest local day up to which every day was proven; null: not the first.
-- slices: Slices of the feed: days, or one for a list without days.
-- bad_slices: Those that are failed or incomplete, and not accepted.
-- accepted_slices: Those that are, as somebody accepted them (`dify-etl accept`).
-- unproven_slices: Those that Dify cannot, or not to this account, show whole.
-- bad_since_at: Since when the oldest of the bad slices is bad; null when none is.
-- waiting_rows: Objects of it that wait in quarantine.
-- reason: Why the newest slice that is not proven is not; null when all are.

with apps as (
    select app_id, app_name from staging.stg_apps
),

last_read as (
    select max(slices.read_at) as read_at from ops.slices as slices
),

-- As the verdict judges it: an acceptance is of a slice as it was then, and may end on a day.
accepted as (
    select distinct taken.feed, taken.app_id, taken.slice_date, taken.state, taken.reason,
        taken.rows, taken.expected
    from ops.accepted_slices as taken
    cross join last_read
    where
        taken.ended_at is null
        and (
            taken.until_date is null
            or epoch(last_read.read_at) < epoch(taken.until_date) + 86400
        )
),

slices as (
    select
        held.feed,
        held.app_id,
        held.slice_date,
        held.state,
        held.reason,
        held.bad_since,
        held.read_at,
        held.state in ('failed', 'incomplete') as is_bad,
        accepted.feed is not null as is_accepted
    from ops.slices as held
    left join accepted
        on
            held.feed = accepted.feed
            and held.state = accepted.state
            and held.app_id is not distinct from accepted.app_id
            and held.slice_date is not distinct from accepted.slice_date
            and held.reason is not distinct from accepted.reason
            and held.rows is not distinct from accepted.rows
            and held.expected is not distinct from accepted.expected
),

next_days as (
    select
        feed,
        app_id,
        slice_date,
        lead(slice_date) over (partition by feed, app_id order by slice_date) as next_date
    from slices
    where slice_date is not null
),

-- A day between two that were read, and was not itself, is not proven either.
not_proven as (
    select feed, app_id, slice_date from slices where state <> 'proven'
    union all
    select feed, app_id, slice_date + 1 as slice_date
    from next_days
    where next_date > slice_date + 1
),

first_unproven as (
    select feed, app_id, min(slice_date) as slice_date
    from not_proven
    group by feed, app_id
),

waiting as (
    select feed, app_id, count(*) as waiting_rows
    from ops.quarantine
    where resolved_at is null
    group by feed, app_id
),

counted as (
    select
        slices.feed,
        slices.app_id,
        max(slices.read_at) as read_at,
        max(slices.slice_date) as read_through_date,
        max(slices.slice_date) filter (
            where first_unproven.slice_date is null
            or slices.slice_date < first_unproven.slice_date
        ) as proven_through_date,
        count(*) as slices,
        count(*) filter (where slices.is_bad and not slices.is_accepted) as bad_slices,
        count(*) filter (where slices.is_bad and slices.is_accepted) as accepted_slices,
        count(*) filter (where slices.state = 'unproven') as unproven_slices,
        min(slices.bad_since) filter (where not slices.is_accepted) as bad_since_at,
        max_by(slices.reason, coalesce(slices.slice_date, date '0001-01-01'))
            filter (where slices.state <> 'proven') as reason
    from slices
    left join first_unproven
        on
            slices.feed = first_unproven.feed
            and slices.app_id is not distinct from first_unproven.app_id
    group by slices.feed, slices.app_id
)

select
    (select max(source.workspace_id) from ops.source as source) as workspace_id,
    counted.feed,
    counted.app_id,
    apps.app_name,
    counted.read_at,
    counted.read_through_date,
    counted.proven_through_date,
    counted.slices,
    counted.bad_slices,
    counted.accepted_slices,
    counted.unproven_slices,
    counted.bad_since_at,
    coalesce(waiting.waiting_rows, 0) as waiting_rows,
    counted.reason
from counted
left join apps on counted.app_id = apps.app_id
left join waiting
    on
        counted.feed = waiting.feed
        and counted.app_id is not distinct from waiting.app_id
