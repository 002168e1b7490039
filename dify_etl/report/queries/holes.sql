-- One row per feed, app and local day (or whole list) that is not proven: the worst first.
select
    app_id,
    slice_date as day,
    feed,
    state,
    left(reason, $text_length) as reason,
    bad_since,
    count(*) over () as all_rows
from ops.slices
where
    state <> 'proven'
    and (slice_date is null or slice_date between $first_day and $last_day)
order by
    case state when 'failed' then 0 when 'incomplete' then 1 else 2 end,
    slice_date desc nulls first,
    feed,
    app_id
limit $most_rows
