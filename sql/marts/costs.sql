-- One row per app, local day, model, person, currency and price source, by difference_reason.
-- incremental: app_id, usage_date
-- whole in stretches of days
-- workspace_id: Id of the workspace.
-- app_id: Id of the app.
-- app_name: Name of the app.
-- app_mode: Mode of the app.
-- usage_date: Local day of the question, in workflow apps of the node's start.
-- provider: Provider of the model; null: not known.
-- model: Name of the model; null: not known.
-- model_source: Who tells the model: node, message, app configuration; null: nobody.
-- person_id: Who it was for, across apps (staging.stg_people); null: nobody, or not known.
-- person_name: Session id of the end user, or name of the account.
-- person_kind: One of account, browser, end_user, nobody (callers without `user`).
-- currency: Currency of the price; unknown: nobody tells it; null: no price, or none but 0.
-- price_source: database, message, nodes, unit_price, allocated, unattributed, unknown: see below.
-- is_in_dify_figure: Whether it is part of Dify's figure of the day; workflow apps: no debugging.
-- difference_reason: Why it is not, or why the day cannot be compared; null: it is.
-- is_estimate: Whether the price is computed or shared out here, and not told by Dify.
-- total_price: The price, in `currency`; null: unknown. Currencies are never added.
-- converted_price: The price in converted_currency, by DIFY_ETL_RATES; null: no rate is told.
-- converted_currency: The currency into which its rates convert.
-- conversion_rate: The rate that was taken: that of the last day on or before usage_date.
-- messages: Messages; each is counted once.
-- node_executions: Nodes of runs that were charged.
-- prompt_tokens: Tokens of prompts; of workflow apps as far as nodes tell.
-- completion_tokens: Tokens of answers, likewise.
-- total_tokens: Tokens of both.

-- Where a price comes from:
--   database      Dify's own database tells it (DIFY_DATABASE_URL)
--   message       the message, or the log of an agent, tells it
--   nodes         the nodes of its run tell it
--   unit_price    tokens times what the model showed elsewhere in this workspace, near that day
--   allocated     the rest of Dify's figure of the day, shared out by tokens
--   unattributed  what is left of that figure: of logs that nobody opened, of Explore in chats
--                 where only Dify's database could tell it from debugging
--   unknown       nobody tells: the rows are counted, and have no price
-- The rows with is_in_dify_figure add up to the largest figure that Dify ever told for an app and
-- settled day (stg_largest_figures), to the last digit: in whole units of 10^-7, the remainder to
-- the largest rows. First what messages tell is in it, then nodes and unit prices, then what may
-- have been deleted before Dify counted. Only days with several currencies in an app do not: Dify
-- adds these as if they were one, so nothing is shared out, and the reason is mixed currencies.

with source as (
    select max(workspace_id) as workspace_id, max(server_version) as server_version
    from ops.source
),

rule_of_today as (
    select
        coalesce(
            try_cast(split_part(server_version, '.', 1) as integer) * 1000
            + try_cast(split_part(server_version, '.', 2) as integer) < 1009,
            false
        ) as is_debugging_counted
    from source
),

apps as (
    select app_id, app_name, app_mode from staging.stg_apps
),

days_read as (
    select app_id, read_date from staging.stg_read_days
),

figures as (
    select
        figures.app_id,
        figures.statistic_date,
        (round(figures.total_price, 7) * 10000000)::hugeint as figure_units,
        figures.token_count::hugeint as figure_tokens,
        figures.read_at,
        figures.is_debugging_counted,
        figures.is_settled
    from staging.stg_largest_figures as figures
    join apps on figures.app_id = apps.app_id
    where apps.app_mode <> 'workflow'
),

charges as (
    select
        charges.*,
        split_part(charges.provider, '/', -1) as provider_word,
        (charges.total_price * 10000000)::hugeint as told_units,
        coalesce(charges.total_tokens, 0)::hugeint as tokens,
        figures.figure_units,
        figures.figure_tokens,
        figures.read_at,
        coalesce(figures.is_settled, false) as is_settled,
        coalesce(
            figures.is_debugging_counted, (select is_debugging_counted from rule_of_today)
        ) as is_debugging_counted
    from staging.stg_charges as charges
    join days_read
        on charges.app_id = days_read.app_id and charges.usage_date = days_read.read_date
    left join figures
        on charges.app_id = figures.app_id and charges.usage_date = figures.statistic_date
),

nearest_prices as (
    select
        provider_word,
        model,
        usage_date,
        currency,
        price_of_prompt_token,
        price_of_completion_token
    from staging.stg_nearest_prices
),

-- In which currency a model was charged, where it showed a price but none of a unit.
model_currencies as (
    select model, provider_word, currency from staging.stg_model_currencies
),

told_currencies as (
    select model as name, max(currency) as currency
    from ops.model_currencies
    group by model
),

priced as (
    select
        charges.*,
        coalesce(
            charges.told_units,
            (
                (
                    round(
                        try_cast(charges.prompt_tokens as decimal(12, 0))
                        * try_cast(nearest_prices.price_of_prompt_token as decimal(26, 16)),
                        7
                    )
                    + round(
                        try_cast(charges.completion_tokens as decimal(12, 0))
                        * try_cast(nearest_prices.price_of_completion_token as decimal(26, 16)),
                        7
                    )
                )
                * 10000000
            )::hugeint
        ) as units,
        coalesce(
            charges.currency,
            case when charges.told_units is null then nearest_prices.currency end
        ) as charged_currency,
        coalesce(
            nearest_prices.currency,
            model_currencies.currency,
            of_model.currency,
            of_provider.currency,
            of_provider_word.currency
        ) as model_currency,
        case
            when
                charges.left_out_reason is not null
                and (charges.app_mode = 'workflow' or not charges.is_debugging_counted)
                then charges.left_out_reason
            when charges.doubt = 'nodes beyond message' then charges.doubt
        end as outside_reason
    from charges
    left join nearest_prices
        on charges.model = nearest_prices.model
        and charges.provider_word is not distinct from nearest_prices.provider_word
        and charges.usage_date = nearest_prices.usage_date
    left join model_currencies
        on charges.model = model_currencies.model
        and charges.provider_word is not distinct from model_currencies.provider_word
    left join told_currencies as of_model on charges.model = of_model.name
    left join told_currencies as of_provider on charges.provider = of_provider.name
    left join told_currencies as of_provider_word
        on charges.provider_word = of_provider_word.name
),

-- What may be in the figure, in the order in which it is: 5 has tokens and no price.
placed as (
    select
        *,
        case
            when outside_reason is not null or app_mode = 'workflow' then 0
            when units is null and tokens = 0 then 0
            when absent_since <= read_at then 4
            when units is null then 5
            when doubt is not null then 4
            when price_source in ('database', 'message') and absent_since is null then 1
            when price_source in ('database', 'message') then 2
            else 3
        end as place
    from priced
),

days as (
    select
        app_id,
        usage_date,
        any_value(figure_units) as figure_units,
        any_value(figure_tokens) as figure_tokens,
        bool_or(is_settled) as is_settled,
        coalesce(sum(units) filter (where place = 1), 0) as units_1,
        coalesce(sum(units) filter (where place = 2), 0) as units_2,
        coalesce(sum(units) filter (where place = 3), 0) as units_3,
        coalesce(sum(units) filter (where place = 4), 0) as units_4,
        coalesce(sum(tokens) filter (where place = 5), 0) as open_tokens,
        coalesce(sum(tokens) filter (where place in (1, 2, 3)), 0) as priced_tokens,
        count(distinct coalesce(charged_currency, model_currency)) filter (
            where place between 1 and 3 and units > 0 or place = 5
        ) as currencies,
        max(coalesce(charged_currency, model_currency)) filter (
            where place between 1 and 3 and units > 0 or place = 5
        ) as one_currency
    from placed
    where app_mode <> 'workflow'
    group by app_id, usage_date
),

-- Days of which Dify tells a figure, and of which no message is held.
all_days as (
    select
        app_id,
        usage_date,
        figure_units,
        greatest(figure_tokens - open_tokens - priced_tokens, 0) as rest_tokens,
        is_settled,
        units_1,
        units_2,
        units_3,
        units_4,
        open_tokens,
        currencies,
        one_currency
    from days
    union all
    select
        figures.app_id,
        figures.statistic_date as usage_date,
        figures.figure_units,
        greatest(figures.figure_tokens, 0) as rest_tokens,
        figures.is_settled,
        0 as units_1,
        0 as units_2,
        0 as units_3,
        0 as units_4,
        0 as open_tokens,
        0 as currencies,
        null as one_currency
    from figures
    join days_read
        on figures.app_id = days_read.app_id and figures.statistic_date = days_read.read_date
    where
        not exists (
            select 1
            from days
            where
                days.app_id = figures.app_id and days.usage_date = figures.statistic_date
        )
),

judged_days as (
    select
        *,
        currencies > 1 as is_mixed,
        coalesce(
            currencies <= 1
            and figure_units between 0 and 1000000000000000000
            and units_1 + units_2 + units_3 + units_4 < 1000000000000000000
            and open_tokens + coalesce(rest_tokens, 0) < 1000000000000000000
            and (is_settled or units_1 + units_2 + units_3 <= figure_units),
            false
        ) as has_budget
    from all_days
),

-- How much of each place is in the figure.
budgets_1 as (
    select *, least(units_1, figure_units) as budget_1
    from judged_days
),

budgets_2 as (
    select *, least(units_2, figure_units - budget_1) as budget_2
    from budgets_1
),

budgets_3 as (
    select *, least(units_3, figure_units - budget_1 - budget_2) as budget_3
    from budgets_2
),

budgets_4 as (
    select
        *,
        case
            when open_tokens > 0 then 0
            else least(units_4, figure_units - budget_1 - budget_2 - budget_3)
        end as budget_4
    from budgets_3
),

budgets as (
    select *, figure_units - budget_1 - budget_2 - budget_3 - budget_4 as budget_5
    from budgets_4
),

day_places as (
    select app_id, usage_date, 1 as place, units_1 as weights, budget_1 as budget
    from budgets
    where has_budget
    union all
    select app_id, usage_date, 2 as place, units_2 as weights, budget_2 as budget
    from budgets
    where has_budget
    union all
    select app_id, usage_date, 3 as place, units_3 as weights, budget_3 as budget
    from budgets
    where has_budget
    union all
    select app_id, usage_date, 4 as place, units_4 as weights, budget_4 as budget
    from budgets
    where has_budget
    union all
    select
        app_id,
        usage_date,
        5 as place,
        greatest(open_tokens + coalesce(rest_tokens, 0), 1) as weights,
        budget_5 as budget
    from budgets
    where has_budget
),

-- Which model an app was configured with at the end of a local day.
day_models as (
    select
        budgets.app_id,
        budgets.usage_date,
        configured.provider,
        configured.model
    from budgets
    join staging.stg_app_versions as configured
        on budgets.app_id = configured.app_id
        and (configured.app_version = 1 or configured.valid_from_date <= budgets.usage_date)
        and (configured.valid_to_date is null or configured.valid_to_date > budgets.usage_date)
),

-- What of the figure can be given to nobody: a row of each day, with the tokens that Dify counted
-- beyond those of the rows.
rests as (
    select
        '' as charge_id,
        budgets.app_id,
        apps.app_mode,
        budgets.usage_date,
        day_models.provider,
        day_models.model,
        if(day_models.model is not null, 'app configuration', null) as model_source,
        null as person_id,
        null as person_name,
        null as person_kind,
        null as price_source,
        null::hugeint as units,
        coalesce(budgets.one_currency, model_currencies.currency, told_currencies.currency)
            as currency,
        case
            when budgets.open_tokens = 0 then greatest(coalesce(budgets.rest_tokens, 0), 1)
            else coalesce(budgets.rest_tokens, 0)
        end as weight
    from budgets
    join apps on budgets.app_id = apps.app_id
    left join day_models
        on budgets.app_id = day_models.app_id and budgets.usage_date = day_models.usage_date
    left join model_currencies
        on day_models.model = model_currencies.model
        and split_part(day_models.provider, '/', -1)
        is not distinct from model_currencies.provider_word
    left join told_currencies on day_models.model = told_currencies.name
    where budgets.has_budget and budgets.budget_5 > 0
),

weighted as (
    select
        charge_id,
        app_id,
        app_mode,
        usage_date,
        provider,
        model,
        model_source,
        person_id,
        person_name,
        person_kind,
        case
            when told_units is not null then price_source
            when units is not null then 'unit_price'
        end as price_source,
        units,
        charged_currency,
        model_currency,
        outside_reason,
        case
            when doubt is not null then doubt
            when place = 4 then 'deleted'
            else 'beyond figure'
        end as beyond_reason,
        place,
        case
            when place = 5 then tokens
            when place > 0 then units
        end as weight,
        messages,
        node_executions,
        prompt_tokens,
        completion_tokens,
        total_tokens
    from placed
    union all
    select
        charge_id,
        app_id,
        app_mode,
        usage_date,
        provider,
        model,
        model_source,
        person_id,
        person_name,
        person_kind,
        price_source,
        units,
        currency as charged_currency,
        null as model_currency,
        null as outside_reason,
        null as beyond_reason,
        5 as place,
        weight,
        0 as messages,
        0 as node_executions,
        0 as prompt_tokens,
        0 as completion_tokens,
        0 as total_tokens
    from rests
),

floored as (
    select
        weighted.*,
        day_places.budget,
        day_places.weights,
        case
            when day_places.budget >= day_places.weights and weighted.place < 5 then weighted.units
            else weighted.weight * day_places.budget // nullif(day_places.weights, 0)
        end as floor_units
    from weighted
    left join day_places
        on weighted.app_id = day_places.app_id
        and weighted.usage_date = day_places.usage_date
        and weighted.place = day_places.place
),

-- Where all of a place is in the figure, nothing is left to be shared out, and no row is sorted.
shared as (
    select *, floor_units as share
    from floored
    where not coalesce(place = 5 or budget < weights, false)
    union all
    select
        *,
        case
            when
                row_number() over (
                    partition by app_id, usage_date, place
                    order by weight desc, charge_id
                )
                <= budget - sum(floor_units) over (partition by app_id, usage_date, place)
                then floor_units + 1
            else floor_units
        end as share
    from floored
    where place = 5 or budget < weights
),

marked as (
    select
        shared.*,
        coalesce(judged_days.is_mixed, false) as is_mixed,
        judged_days.one_currency
    from shared
    left join judged_days
        on shared.app_id = judged_days.app_id and shared.usage_date = judged_days.usage_date
),

-- What is in the figure, and beside it what is not.
pieces as (
    select
        *,
        case
            when place = 0 or share is null then units
            else share
        end as piece_units,
        outside_reason is null and not (is_mixed and place = 4) as is_in_dify_figure,
        case
            when outside_reason is not null then outside_reason
            when is_mixed and place = 4 then beyond_reason
            when is_mixed and place > 0 then 'mixed currencies'
        end as difference_reason,
        coalesce(share <> units, price_source is null) as is_shared,
        true as is_counted
    from marked
    where
        (place in (0, 5) or share is null or share > 0 or units = 0)
        and (charge_id <> '' or share > 0)
    union all
    select
        *,
        units - coalesce(share, 0) as piece_units,
        false as is_in_dify_figure,
        beyond_reason as difference_reason,
        share > 0 as is_shared,
        share = 0 as is_counted
    from marked
    where place between 1 and 4 and units > share
),

sourced as (
    select
        *,
        case
            when charge_id = '' then 'unattributed'
            when piece_units is null or (price_source is null and piece_units = 0) then 'unknown'
            else coalesce(price_source, 'allocated')
        end as final_source
    from pieces
),

costs as (
    select
        (select workspace_id from source) as workspace_id,
        sourced.app_id,
        apps.app_name,
        sourced.app_mode,
        sourced.usage_date,
        sourced.provider,
        sourced.model,
        sourced.model_source,
        sourced.person_id,
        sourced.person_name,
        sourced.person_kind,
        case
            when sourced.final_source <> 'unknown'
                then coalesce(
                    sourced.charged_currency,
                    sourced.model_currency,
                    sourced.one_currency,
                    case when sourced.piece_units > 0 then 'unknown' end
                )
        end as currency,
        sourced.final_source as price_source,
        sourced.is_in_dify_figure,
        sourced.difference_reason,
        sourced.final_source in ('unit_price', 'allocated')
        or sourced.is_shared and sourced.final_source not in ('unattributed', 'unknown')
            as is_estimate,
        case when sourced.final_source <> 'unknown' then sourced.piece_units end as piece_units,
        if(sourced.is_counted, sourced.messages, 0) as messages,
        if(sourced.is_counted, sourced.node_executions, 0) as node_executions,
        if(sourced.is_counted, sourced.prompt_tokens, 0) as prompt_tokens,
        if(sourced.is_counted, sourced.completion_tokens, 0) as completion_tokens,
        if(sourced.is_counted, sourced.total_tokens, 0) as total_tokens
    from sourced
    join apps on sourced.app_id = apps.app_id
),

summed as (
    select
        workspace_id,
        app_id,
        app_name,
        app_mode,
        usage_date,
        provider,
        model,
        model_source,
        person_id,
        person_name,
        person_kind,
        currency,
        price_source,
        is_in_dify_figure,
        difference_reason,
        is_estimate,
        (sum(piece_units)::decimal(31, 0) * 0.0000001::decimal(7, 7))::decimal(38, 10)
            as total_price,
        sum(messages)::bigint as messages,
        sum(node_executions)::bigint as node_executions,
        coalesce(sum(prompt_tokens), 0)::decimal(38, 0) as prompt_tokens,
        coalesce(sum(completion_tokens), 0)::decimal(38, 0) as completion_tokens,
        coalesce(sum(total_tokens), 0)::decimal(38, 0) as total_tokens
    from costs
    group by
        workspace_id,
        app_id,
        app_name,
        app_mode,
        usage_date,
        provider,
        model,
        model_source,
        person_id,
        person_name,
        person_kind,
        currency,
        price_source,
        is_in_dify_figure,
        difference_reason,
        is_estimate
),

conversions as (
    select
        wanted.currency,
        wanted.usage_date,
        rates.to_currency,
        rates.rate
    from (select distinct currency, usage_date from summed) as wanted
    join (
        select from_currency, to_currency, rate_date, rate
        from ops.currency_rates
        union all
        select distinct to_currency, to_currency, '0001-01-01'::date, 1
        from ops.currency_rates
    ) as rates
        on wanted.currency = rates.from_currency and wanted.usage_date >= rates.rate_date
    qualify row_number() over (
        partition by wanted.currency, wanted.usage_date order by rates.rate_date desc
    ) = 1
)

select
    summed.workspace_id,
    summed.app_id,
    summed.app_name,
    summed.app_mode,
    summed.usage_date,
    summed.provider,
    summed.model,
    summed.model_source,
    summed.person_id,
    summed.person_name,
    summed.person_kind,
    summed.currency,
    summed.price_source,
    summed.is_in_dify_figure,
    summed.difference_reason,
    summed.is_estimate,
    summed.total_price,
    try_cast(
        try_cast(summed.total_price as decimal(20, 7))
        * try_cast(conversions.rate as decimal(18, 10))
        as decimal(38, 10)
    ) as converted_price,
    conversions.to_currency as converted_currency,
    conversions.rate as conversion_rate,
    summed.messages,
    summed.node_executions,
    summed.prompt_tokens,
    summed.completion_tokens,
    summed.total_tokens
from summed
left join conversions
    on summed.currency = conversions.currency
    and summed.usage_date = conversions.usage_date
