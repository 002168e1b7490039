-- One row per model, currency and local day on which it showed what its tokens cost.
-- provider: Last part of the provider's name, as openai of langgenius/openai/openai; null: untold.
-- model: Name of the model.
-- currency: Currency of the prices.
-- price_date: Local day.
-- prompt_unit_price: Price of a unit of the prompt, in `currency`.
-- prompt_price_unit: The unit of the prompt as part of a token price: 0.001 for 1,000.
-- completion_unit_price: Price of a unit of the answer, in `currency`.
-- completion_price_unit: The unit of the answer as part of a token price.
-- showings: Calls of that day that showed just these prices: of several those that most showed.

with counted as (
    select
        provider,
        model,
        currency,
        price_date,
        prompt_unit_price,
        prompt_price_unit,
        completion_unit_price,
        completion_price_unit,
        cast(sum(showings) as bigint) as showings
    from staging.stg_shown_prices
    group by all
)

select
    provider,
    model,
    currency,
    price_date,
    prompt_unit_price,
    prompt_price_unit,
    completion_unit_price,
    completion_price_unit,
    showings
from counted
qualify row_number() over (
    partition by provider, model, currency, price_date
    order by showings desc, completion_unit_price desc, prompt_unit_price desc
) = 1
