-- One row per app, local day, model, currency, source of the price and is_in_dify_figure.
select
    app_id,
    usage_date as day,
    model,
    currency,
    price_source,
    is_in_dify_figure,
    sum(total_price) as price,
    cast(sum(messages) as bigint) as messages,
    cast(sum(total_tokens) as decimal(38, 0)) as tokens
from marts.costs
where usage_date between $first_day and $last_day
group by app_id, usage_date, model, currency, price_source, is_in_dify_figure
order by day, app_id, model nulls first, currency nulls first, price_source, is_in_dify_figure
