-- One row per app, local day that was read, and currency in which something was charged.
-- app_id: Id of the app.
-- app_name: Name of the app.
-- app_mode: Mode of the app; workflow apps are charged by node, all others by message.
-- usage_date: Local day of the question, in workflow apps of the node's start.
-- currency: Currency of the prices, as Dify shows it for the model.
-- charged_items: Messages, in workflow apps nodes (debugging included), that carry a price.
-- charged_tokens: Tokens of these messages or nodes.
-- total_price: Sum of their prices, in `currency`; what Dify has deleted since is included.

with apps as (
    select app_id, app_name, app_mode from staging.stg_apps
),

messages as (
    select app_id, created_date, currency, total_tokens, total_price from staging.stg_messages
),

nodes as (
    select app_id, node_type, created_date, currency, total_tokens, total_price
    from staging.stg_node_executions
),

days_read as (
    select distinct app_id, slice_date
    from ops.slices
    where feed in ('messages', 'workflow_runs') and slice_date is not null
),

charged_messages as (
    select app_id, created_date, currency, total_tokens, total_price
    from messages
    where total_price is not null
),

-- An iteration or a loop repeats what its inner nodes cost.
charged_nodes as (
    select nodes.app_id, nodes.created_date, nodes.currency, nodes.total_tokens, nodes.total_price
    from nodes
    join apps on nodes.app_id = apps.app_id
    where
        nodes.total_price is not null
        and apps.app_mode = 'workflow'
        and nodes.node_type not in ('iteration', 'loop')
),

charges as (
    select app_id, created_date, currency, total_tokens, total_price from charged_messages
    union all
    select app_id, created_date, currency, total_tokens, total_price from charged_nodes
),

daily_costs as (
    select
        charges.app_id,
        apps.app_name,
        apps.app_mode,
        charges.created_date as usage_date,
        charges.currency,
        count(*) as charged_items,
        coalesce(sum(charges.total_tokens), 0)::hugeint as charged_tokens,
        sum(charges.total_price)::decimal(38, 10) as total_price
    from charges
    join days_read
        on charges.app_id = days_read.app_id and charges.created_date = days_read.slice_date
    left join apps on charges.app_id = apps.app_id
    group by
        charges.app_id, apps.app_name, apps.app_mode, charges.created_date, charges.currency
)

select * from daily_costs
