-- One row per app, local day that was read, and currency in which something was charged.
-- workspace_id: Id of the workspace.
-- app_id: Id of the app.
-- app_name: Name of the app.
-- app_mode: Mode of the app; workflow apps are charged by node, all others by message.
-- usage_date: Local day of the question, in workflow apps of the node's start.
-- currency: Currency of the prices; unknown: nobody tells it.
-- charged_items: Messages, in workflow apps nodes, that have a price here, debugging included.
-- charged_tokens: Tokens of these messages or nodes.
-- total_price: What is in Dify's figure of the day, in `currency`; of workflow apps: no debugging.
-- other_price: What is not: see costs.difference_reason. Unattributed money may hold some of it.
-- estimated_share: Part of total_price that is computed or shared out here, 0 to 1.
-- unattributed_share: Part of total_price that can be given to nobody, 0 to 1.

select
    workspace_id,
    app_id,
    app_name,
    app_mode,
    usage_date,
    currency,
    sum(if(app_mode = 'workflow', node_executions, messages))::bigint as charged_items,
    sum(total_tokens)::decimal(38, 0) as charged_tokens,
    coalesce(sum(total_price) filter (where is_in_dify_figure), 0)::decimal(38, 10) as total_price,
    coalesce(sum(total_price) filter (where not is_in_dify_figure), 0)::decimal(38, 10)
        as other_price,
    coalesce(sum(total_price) filter (where is_in_dify_figure and is_estimate), 0)
    / nullif(sum(total_price) filter (where is_in_dify_figure), 0) as estimated_share,
    coalesce(
        sum(total_price) filter (where is_in_dify_figure and price_source = 'unattributed'), 0
    )
    / nullif(sum(total_price) filter (where is_in_dify_figure), 0) as unattributed_share
from marts.costs
where currency is not null
group by workspace_id, app_id, app_name, app_mode, usage_date, currency
