-- One row per model that was charged in one currency alone.
-- materialized: table
-- model: Name of the model.
-- provider_word: Last part of the provider's name, as openai of langgenius/openai/openai.
-- currency: The currency.

select
    charges.model,
    split_part(charges.provider, '/', -1) as provider_word,
    max(charges.currency) as currency
from staging.stg_charges as charges
inner join staging.stg_read_days as days_read
    on charges.app_id = days_read.app_id and charges.usage_date = days_read.read_date
where charges.currency is not null and charges.model is not null
group by charges.model, split_part(charges.provider, '/', -1)
having count(distinct charges.currency) = 1
