-- One row per model that was charged in one currency alone.
-- materialized: table
-- model: Name of the model.
-- provider_word: Last part of the provider's name, as openai of langgenius/openai/openai.
-- currency: The currency.

select
    charged.model,
    charged.provider_word,
    max(charged.currency) as currency
from staging.stg_charged_models as charged
inner join staging.stg_read_days as days_read
    on charged.app_id = days_read.app_id and charged.usage_date = days_read.read_date
where charged.currency is not null
group by charged.model, charged.provider_word
having count(distinct charged.currency) = 1
