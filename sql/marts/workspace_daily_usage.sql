-- One row per local day of the workspace, quiet days included, from its first activity on.
-- workspace_id: Id of the workspace.
-- usage_date: Local day, as in app_daily_usage.
-- is_proven: Whether all reads of the day were proven whole in all apps.
-- is_settled: Whether all reads of the day came 24 h after its end, in all apps.
-- apps: Apps with a message or a run on that day.
-- people: Persons who asked, or started a run of a workflow app; each is counted once.
-- new_people: Persons among them who were never seen before.
-- conversations_started: Conversations that began.
-- active_conversations: Conversations with a message on that day.
-- messages: Questions, failed ones included.
-- error_messages: Messages with status error.
-- workflow_runs: Runs that began, debugging left out; those behind messages included.
-- failed_runs: Runs among them with status failed.
-- prompt_tokens: Tokens of the prompts.
-- completion_tokens: Tokens of the answers.
-- total_tokens: Tokens of prompts and answers.
-- total_price: What is in Dify's figures of the day (marts.costs); null: several currencies.
-- currency: Currency of total_price; null when nothing was priced, or in several currencies.
-- prices: JSON object: what was charged in each currency, as text, never added.
-- unpriced_messages: Messages of unknown price.
-- likes: Messages' likes by users and editors now.
-- dislikes: Messages' dislikes by users and editors now.

with days as (
    select
        usage_date,
        bool_and(is_proven) as is_proven,
        bool_and(is_settled) as is_settled,
        count(*) filter (where messages > 0 or workflow_runs > 0) as apps,
        cast(sum(conversations_started) as bigint) as conversations_started,
        cast(sum(active_conversations) as bigint) as active_conversations,
        cast(sum(messages) as bigint) as messages,
        cast(sum(error_messages) as bigint) as error_messages,
        cast(sum(workflow_runs) as bigint) as workflow_runs,
        cast(sum(prompt_tokens) as decimal(38, 0)) as prompt_tokens,
        cast(sum(completion_tokens) as decimal(38, 0)) as completion_tokens,
        cast(sum(total_tokens) as decimal(38, 0)) as total_tokens,
        cast(sum(unpriced_messages) as bigint) as unpriced_messages,
        cast(sum(likes) as bigint) as likes,
        cast(sum(dislikes) as bigint) as dislikes
    from marts.app_daily_usage
    group by usage_date
),

failures as (
    select run_date, cast(sum(failed_runs) as bigint) as failed_runs
    from marts.workflow_reliability
    group by run_date
),

first_days as (
    select person_id, min(activity_date) as first_date
    from staging.stg_active_people
    group by person_id
),

-- As all figures here, of days that were read: of others a message is known by chance.
people as (
    select
        activities.activity_date,
        count(distinct activities.person_id) as people,
        count(distinct activities.person_id)
            filter (where first_days.first_date = activities.activity_date) as new_people
    from staging.stg_active_people as activities
    inner join marts.app_daily_usage as daily
        on activities.app_id = daily.app_id and activities.activity_date = daily.usage_date
    inner join first_days on activities.person_id = first_days.person_id
    group by activities.activity_date
),

prices_by_currency as (
    select usage_date, currency, cast(sum(total_price) as decimal(38, 10)) as total_price
    from marts.costs
    where is_in_dify_figure and currency is not null and total_price is not null
    group by usage_date, currency
),

prices as (
    select
        usage_date,
        case when count(*) = 1 then max(total_price) end as total_price,
        case when count(*) = 1 then max(currency) end as currency,
        to_json(
            map(
                list(currency order by currency),
                list(cast(total_price as varchar) order by currency)
            )
        ) as prices
    from prices_by_currency
    group by usage_date
),

-- What costs nothing has no currency, and is 0 where nothing else was priced.
free_days as (
    select distinct usage_date
    from marts.costs
    where is_in_dify_figure and total_price = 0
)

select
    (select max(source.workspace_id) from ops.source as source) as workspace_id,
    days.usage_date,
    days.is_proven,
    days.is_settled,
    days.apps,
    coalesce(people.people, 0) as people,
    coalesce(people.new_people, 0) as new_people,
    days.conversations_started,
    days.active_conversations,
    days.messages,
    days.error_messages,
    days.workflow_runs,
    coalesce(failures.failed_runs, 0) as failed_runs,
    days.prompt_tokens,
    days.completion_tokens,
    days.total_tokens,
    case
        when prices.usage_date is not null then prices.total_price
        when free_days.usage_date is not null then 0
    end as total_price,
    prices.currency,
    prices.prices,
    days.unpriced_messages,
    days.likes,
    days.dislikes
from days
left join failures on days.usage_date = failures.run_date
left join people on days.usage_date = people.activity_date
left join prices on days.usage_date = prices.usage_date
left join free_days on days.usage_date = free_days.usage_date
