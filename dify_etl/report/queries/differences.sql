-- One row per figure that is not equal: those that differ first, then the newest.
select
    app_id,
    statistic_date as day,
    metric,
    verdict,
    dify_figure,
    our_figure,
    left(reason, $text_length) as reason,
    count(*) over () as all_rows
from marts.statistics_reconciliation
where statistic_date between $first_day and $last_day and verdict <> 'equal'
order by
    case verdict when 'differs' then 0 when 'late' then 1 else 2 end,
    statistic_date desc,
    app_id,
    metric
limit $most_rows
