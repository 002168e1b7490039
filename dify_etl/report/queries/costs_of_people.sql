-- One row per app, local day, person and currency; person_id is null for nobody or not known.
select
    app_id,
    usage_date as day,
    person_id,
    currency,
    sum(total_price) as price,
    cast(sum(total_tokens) as decimal(38, 0)) as tokens
from marts.costs
where usage_date between $first_day and $last_day and is_in_dify_figure
group by app_id, usage_date, person_id, currency
order by day, app_id, person_id nulls first, currency nulls first
