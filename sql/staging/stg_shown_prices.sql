-- One row per app, local day, model and prices that calls of the day showed.
-- materialized: table
-- incremental: app_id, price_date
-- app_id: Id of the app.
-- provider: Last part of the provider's name, as openai of langgenius/openai/openai; null: untold.
-- model: Name of the model.
-- currency: Currency of the prices.
-- price_date: Local day.
-- prompt_unit_price: Price of a unit of the prompt, in `currency`.
-- prompt_price_unit: The unit of the prompt as part of a token price: 0.001 for 1,000.
-- completion_unit_price: Price of a unit of the answer, in `currency`.
-- completion_price_unit: The unit of the answer as part of a token price.
-- showings: Calls of that day that showed just these prices.

-- Dify's database has unit prices in four digits, and may have rounded them: they are taken where
-- they give the price that was charged, to the last digit.

with apps as (
    select app_id, app_mode from staging.stg_apps
),

node_usages as (
    select
        app_id,
        provider,
        model,
        created_date,
        coalesce(json_extract(process_data, 'usage'), json_extract(outputs, 'usage')) as told
    from staging.stg_node_executions
    where total_tokens > 0
),

messages as (
    select
        stg_messages.*,
        coalesce(
            stg_messages.total_tokens > 0
            and stg_messages.prompt_unit_price + stg_messages.completion_unit_price > 0,
            false
        ) as is_shown
    from staging.stg_messages
    join apps on stg_messages.app_id = apps.app_id
    where apps.app_mode in ('chat', 'agent-chat', 'completion')
),

shown as (
    select
        app_id,
        provider,
        model,
        json_extract_string(told, 'currency') as currency,
        created_date as price_date,
        try_cast(json_extract_string(told, 'prompt_unit_price') as decimal(28, 10))
            as prompt_unit_price,
        try_cast(json_extract_string(told, 'prompt_price_unit') as decimal(28, 10))
            as prompt_price_unit,
        try_cast(json_extract_string(told, 'completion_unit_price') as decimal(28, 10))
            as completion_unit_price,
        try_cast(json_extract_string(told, 'completion_price_unit') as decimal(28, 10))
            as completion_price_unit
    from node_usages
    union all
    select
        app_id,
        provider,
        model,
        if(is_shown, currency, charged_currency) as currency,
        created_date,
        if(is_shown, prompt_unit_price, charged_prompt_unit_price) as prompt_unit_price,
        if(is_shown, prompt_price_unit, charged_prompt_price_unit) as prompt_price_unit,
        if(is_shown, completion_unit_price, charged_completion_unit_price)
            as completion_unit_price,
        if(is_shown, completion_price_unit, charged_completion_price_unit)
            as completion_price_unit
    from messages
    where
        is_shown
        or charged_price >= 0.0001
        and abs(
            try_cast(charged_price as decimal(24, 7))
            - round(
                try_cast(message_tokens as decimal(10, 0))
                * try_cast(charged_prompt_unit_price as decimal(14, 8))
                * try_cast(charged_prompt_price_unit as decimal(9, 7)),
                7
            )
            - round(
                try_cast(answer_tokens as decimal(10, 0))
                * try_cast(charged_completion_unit_price as decimal(14, 8))
                * try_cast(charged_completion_price_unit as decimal(9, 7)),
                7
            )
        ) <= 0.0000001
)

select
    app_id,
    nullif(split_part(provider, '/', -1), '') as provider,
    model,
    currency,
    price_date,
    prompt_unit_price,
    prompt_price_unit,
    completion_unit_price,
    completion_price_unit,
    count(*) as showings
from shown
where
    model is not null
    and currency is not null
    and price_date is not null
    and prompt_unit_price + completion_unit_price > 0
    and prompt_price_unit > 0
    and completion_price_unit > 0
group by all
