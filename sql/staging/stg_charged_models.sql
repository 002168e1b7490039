-- One row per app, local day, model and currency with a charge, and whether its price is told.
-- materialized: table
-- incremental: app_id, usage_date
-- app_id: Id of the app.
-- usage_date: Local day of the charge.
-- provider_word: Last part of the provider's name, as openai of langgenius/openai/openai.
-- model: Name of the model.
-- currency: Currency of the charge; null: Dify tells none.
-- is_unpriced: Whether it has tokens, and Dify tells no price of it.

select distinct
    app_id,
    usage_date,
    split_part(provider, '/', -1) as provider_word,
    model,
    currency,
    total_price is null and coalesce(total_tokens > 0, false) as is_unpriced
from staging.stg_charges
where model is not null
