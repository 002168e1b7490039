-- One row per app, local day and verdict on Dify's figures: how many figures have it.
select
    app_id,
    statistic_date as day,
    verdict,
    count(*) as figures
from marts.statistics_reconciliation
where statistic_date between $first_day and $last_day
group by app_id, statistic_date, verdict
order by day, app_id, verdict
