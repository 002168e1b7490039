-- One row per feed and app that was ever read; of feeds of the workspace app_id is null.
select
    app_id,
    feed,
    read_at,
    read_through_date,
    proven_through_date,
    slices,
    bad_slices,
    unproven_slices,
    waiting_rows
from marts.freshness
order by bad_slices desc, waiting_rows desc, unproven_slices desc, feed, app_id nulls first
