-- One row per model and local day with a charge of which Dify tells no price: what it cost then.
-- materialized: table
-- provider_word: Last word of the provider's name, as openai; null: not told.
-- model: Name of the model.
-- usage_date: Local day of the charge.
-- currency: Currency of the prices.
-- price_of_prompt_token: Price of a token of the prompt.
-- price_of_completion_token: Price of a token of the answer.

-- Of the prices that a model showed, those of the nearest day; of two such days the earlier.

with model_prices as (
    select
        provider,
        model,
        currency,
        price_date,
        try_cast(prompt_unit_price as decimal(18, 8))
        * try_cast(prompt_price_unit as decimal(18, 10)) as price_of_prompt_token,
        try_cast(completion_unit_price as decimal(18, 8))
        * try_cast(completion_price_unit as decimal(18, 10)) as price_of_completion_token,
        showings
    from staging.stg_model_prices
),

wanted as (
    select distinct
        charged.provider_word,
        charged.model,
        charged.usage_date
    from staging.stg_charged_models as charged
    inner join staging.stg_read_days as days_read
        on charged.app_id = days_read.app_id and charged.usage_date = days_read.read_date
    where charged.is_unpriced
)

select
    wanted.provider_word,
    wanted.model,
    wanted.usage_date,
    model_prices.currency,
    model_prices.price_of_prompt_token,
    model_prices.price_of_completion_token
from wanted
inner join model_prices
    on
        wanted.model = model_prices.model
        and coalesce(wanted.provider_word = model_prices.provider, true)
qualify row_number() over (
    partition by wanted.provider_word, wanted.model, wanted.usage_date
    order by
        abs(wanted.usage_date - model_prices.price_date),
        model_prices.price_date,
        model_prices.showings desc,
        model_prices.currency
) = 1
