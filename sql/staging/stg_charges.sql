-- One row per charge: a message, or a part of one by the node that it paid, or a node of a run.
-- materialized: table
-- incremental: app_id, usage_date
-- whole in stretches of days
-- linked by: run
-- charge_id: Id of the message or of the node's execution; of the conversation for unopened logs.
-- app_id: Id of the app.
-- app_mode: Mode of the app.
-- message_id: Message that was charged; null in workflow apps and for unopened logs.
-- workflow_run_id: Run that was charged.
-- usage_date: Local day of the question, in workflow apps of the node's start.
-- provider: Provider of the model, as langgenius/openai/openai; null: not known.
-- model: Name of the model; null: not known, or several.
-- model_source: Who tells the model: node, message, app configuration; null: nobody.
-- person_id: Who it is, by the rule of stg_people; null: nobody.
-- person_name: Session id of the end user, or name of the account.
-- person_kind: One of account, browser, end_user, nobody.
-- price_source: One of database, message, nodes; null: Dify tells no price.
-- total_price: What was charged, in `currency`, in 7 digits as Dify stores it; null: untold.
-- currency: Currency of the price; null when there is none, or the price is 0.
-- doubt: Why Dify's figure may leave it out: message says 0, message deleted, nodes beyond message.
-- left_out_reason: Why Dify's figures leave it out: see below; null: they count it.
-- absent_since: When Dify was proven to have the message no more, UTC; null: there.
-- messages: 1 for the first charge of a message, else 0.
-- node_executions: 1 for a node, else 0.
-- prompt_tokens: Tokens of prompts; those of a message stand once, with its first charge.
-- completion_tokens: Tokens of answers, likewise.
-- total_tokens: Tokens of both; null where Dify does not tell.

-- Why figures since 1.9.0 leave a charge out:
--   debugging       it is known to be debugging
--   no invoke_from  Dify's database has none: an old row
--   console         an account asked, in Explore or while debugging, and nobody tells which of them

-- Counted once: an iteration or a loop repeats what its inner nodes cost, and a tool that is a
-- workflow repeats what the run inside cost, which stands in the other app. A zero without tokens
-- was never computed: it is no price.

with apps as (
    select app_id, app_mode from staging.stg_apps
),

runs as (
    select
        workflow_run_id,
        coalesce(triggered_from = 'debugging', false) as is_debugging
    from staging.stg_workflow_runs
),

messages as (
    select
        stg_messages.message_id,
        coalesce(stg_messages.message_id, stg_messages.conversation_id) as charge_id,
        stg_messages.app_id,
        apps.app_mode,
        stg_messages.workflow_run_id,
        stg_messages.created_date as usage_date,
        stg_messages.provider,
        stg_messages.model,
        stg_messages.model_source,
        stg_messages.person_id,
        stg_messages.person_name,
        stg_messages.person_kind,
        case
            when
                stg_messages.charged_price > 0
                or stg_messages.charged_price = 0
                and stg_messages.message_tokens::hugeint + stg_messages.answer_tokens > 0
                then round(stg_messages.charged_price, 7)::decimal(38, 10)
            when
                stg_messages.total_price > 0
                or stg_messages.total_tokens > 0
                and stg_messages.total_price is not null
                then round(stg_messages.total_price, 7)::decimal(38, 10)
        end as told_price,
        coalesce(stg_messages.charged_currency, stg_messages.currency) as currency,
        case when stg_messages.charged_price is null then 'message' else 'database' end
            as teller,
        stg_messages.total_price is not null
        or stg_messages.status = 'error'
        and coalesce(stg_messages.message_tokens::hugeint + stg_messages.answer_tokens, 0) = 0
            as is_told_to_be_free,
        coalesce(stg_messages.from_source = 'console', false) as is_console,
        stg_messages.counted_as,
        stg_messages.absent_since,
        stg_messages.message_tokens as prompt_tokens,
        stg_messages.answer_tokens as completion_tokens,
        stg_messages.message_tokens::hugeint + stg_messages.answer_tokens as total_tokens
    from staging.stg_messages
    join apps on stg_messages.app_id = apps.app_id
    where apps.app_mode <> 'workflow'
),

priced_nodes as (
    select
        nodes.node_execution_id,
        nodes.workflow_run_id,
        nodes.app_id,
        apps.app_mode,
        nodes.created_date,
        nodes.provider,
        nodes.model,
        nodes.model_source,
        nodes.person_id,
        nodes.person_name,
        nodes.person_kind,
        round(nodes.total_price, 7)::decimal(38, 10) as price,
        nodes.currency,
        try_cast(json_extract_string(nodes.process_data, '$.usage.prompt_tokens') as bigint)
            as prompt_tokens,
        try_cast(json_extract_string(nodes.process_data, '$.usage.completion_tokens') as bigint)
            as completion_tokens,
        nodes.total_tokens
    from staging.stg_node_executions as nodes
    join apps on nodes.app_id = apps.app_id
    where
        nodes.node_type not in ('iteration', 'loop')
        and (nodes.total_price > 0 or nodes.total_price = 0 and nodes.total_tokens > 0)
),

leaves as (
    select *
    from priced_nodes
    where node_execution_id not in (select node_execution_id from staging.stg_repeating_nodes)
),

-- The nodes of a chatflow's message, beside what the message itself tells.
parts as (
    select
        messages.message_id,
        messages.told_price,
        messages.teller,
        messages.currency as told_currency,
        messages.is_told_to_be_free,
        messages.prompt_tokens as message_prompt_tokens,
        messages.completion_tokens as message_completion_tokens,
        messages.total_tokens as message_tokens,
        leaves.node_execution_id,
        leaves.provider,
        leaves.model,
        leaves.model_source,
        leaves.price,
        leaves.currency,
        leaves.prompt_tokens,
        leaves.completion_tokens,
        leaves.total_tokens,
        row_number() over largest_first as place,
        sum(leaves.price) over of_message as nodes_price,
        sum(leaves.prompt_tokens) over of_message as nodes_prompt_tokens,
        sum(leaves.total_tokens) over of_message as nodes_tokens,
        sum(leaves.completion_tokens) over of_message as nodes_completion_tokens
    from messages
    join leaves on messages.workflow_run_id = leaves.workflow_run_id
    where messages.app_mode = 'advanced-chat' and messages.message_id is not null
    window
        of_message as (partition by messages.message_id),
        largest_first as (
            partition by messages.message_id order by leaves.price desc, leaves.node_execution_id
        )
    qualify nodes_price > 0
),

-- In units of 10^-7: what the message tells is shared out over its nodes, by what each cost. Dify
-- adds its nodes as if they were of one currency, and names one of them: each keeps its own.
shared_parts as (
    select
        *,
        told_price is not null as is_told,
        case
            when told_price is null then (price * 10000000)::hugeint
            when told_price >= nodes_price or nodes_price >= 100000000000
                then (price * 10000000)::hugeint
            else
                ((price * 10000000)::hugeint * (told_price * 10000000)::hugeint)
                // (nodes_price * 10000000)::hugeint
        end as units,
        coalesce(told_price is null and message_tokens > nodes_tokens, false) as has_more_tokens,
        coalesce(
            message_tokens is null
            or message_tokens = 0
            or nodes_prompt_tokens = message_prompt_tokens
            and nodes_completion_tokens = message_completion_tokens
            or told_price is null
            and nodes_prompt_tokens <= message_prompt_tokens
            and nodes_completion_tokens <= message_completion_tokens,
            false
        ) as are_tokens_by_node
    from parts
),

exact_parts as (
    select
        *,
        case
            when is_told and told_price < nodes_price and place <= leftover then units + 1
            else units
        end as exact_units
    from (
        select
            *,
            (told_price * 10000000)::hugeint
            - sum(units) over (partition by message_id) as leftover
        from shared_parts
    )
),

-- What the message tells, what its nodes cost beyond that, and what it costs beyond its nodes; and
-- of a message that tells no price the tokens that none of its nodes has: their price is unknown.
parts_by_price as (
    select
        node_execution_id as charge_id,
        message_id,
        provider,
        model,
        model_source,
        case when is_told then teller else 'nodes' end as price_source,
        exact_units as units,
        coalesce(currency, told_currency) as currency,
        case when not is_told and is_told_to_be_free then 'message says 0' end as doubt,
        case when place = 1 then 1 else 0 end as messages,
        1 as node_executions,
        case
            when are_tokens_by_node then prompt_tokens
            when has_more_tokens then 0
            when place = 1 then message_prompt_tokens
            else 0
        end as prompt_tokens,
        case
            when are_tokens_by_node then completion_tokens
            when has_more_tokens then 0
            when place = 1 then message_completion_tokens
            else 0
        end as completion_tokens,
        case
            when are_tokens_by_node or has_more_tokens then total_tokens
            when place = 1 then message_tokens
            else 0
        end as total_tokens
    from exact_parts
    union all
    select
        node_execution_id as charge_id,
        message_id,
        provider,
        model,
        model_source,
        'nodes' as price_source,
        (price * 10000000)::hugeint - exact_units as units,
        currency,
        'nodes beyond message' as doubt,
        0 as messages,
        0 as node_executions,
        0 as prompt_tokens,
        0 as completion_tokens,
        0 as total_tokens
    from exact_parts
    where is_told and (price * 10000000)::hugeint > exact_units
    union all
    select
        message_id as charge_id,
        message_id,
        null as provider,
        null as model,
        null as model_source,
        teller as price_source,
        leftover as units,
        told_currency as currency,
        null as doubt,
        0 as messages,
        0 as node_executions,
        0 as prompt_tokens,
        0 as completion_tokens,
        0 as total_tokens
    from exact_parts
    where is_told and place = 1 and told_price > nodes_price
    union all
    select
        message_id as charge_id,
        message_id,
        null as provider,
        null as model,
        null as model_source,
        null as price_source,
        null as units,
        null as currency,
        null as doubt,
        0 as messages,
        0 as node_executions,
        message_prompt_tokens
        - case when are_tokens_by_node then nodes_prompt_tokens else 0 end as prompt_tokens,
        message_completion_tokens
        - case when are_tokens_by_node then nodes_completion_tokens else 0 end
            as completion_tokens,
        message_tokens - nodes_tokens as total_tokens
    from exact_parts
    where place = 1 and has_more_tokens
),

charges_of_parts as (
    select
        parts_by_price.charge_id,
        messages.app_id,
        messages.app_mode,
        messages.message_id,
        messages.workflow_run_id,
        messages.usage_date,
        parts_by_price.provider,
        parts_by_price.model,
        parts_by_price.model_source,
        messages.person_id,
        messages.person_name,
        messages.person_kind,
        parts_by_price.price_source,
        parts_by_price.units,
        parts_by_price.currency,
        parts_by_price.doubt,
        nullif(messages.counted_as, 'counted') as left_out_reason,
        messages.absent_since,
        parts_by_price.messages,
        parts_by_price.node_executions,
        parts_by_price.prompt_tokens,
        parts_by_price.completion_tokens,
        parts_by_price.total_tokens
    from parts_by_price
    join messages on parts_by_price.message_id = messages.message_id
),

charges_of_messages as (
    select
        charge_id,
        app_id,
        app_mode,
        message_id,
        workflow_run_id,
        usage_date,
        provider,
        model,
        model_source,
        person_id,
        person_name,
        person_kind,
        case when told_price is not null then teller end as price_source,
        (told_price * 10000000)::hugeint as units,
        currency,
        null as doubt,
        case
            when counted_as is not null then nullif(counted_as, 'counted')
            when is_console and app_mode in ('chat', 'agent-chat', 'completion') then 'console'
            -- Logs of agents tell a price of every message, but of debugging.
            when is_console and app_mode = 'agent' and told_price is null then 'debugging'
        end as left_out_reason,
        absent_since,
        1 as messages,
        0 as node_executions,
        prompt_tokens,
        completion_tokens,
        total_tokens
    from messages
    where message_id is null or message_id not in (select message_id from parts)
),

-- Runs without a message that is held: of workflow apps, of debugging, of messages deleted since.
charges_of_runs as (
    select
        leaves.node_execution_id as charge_id,
        leaves.app_id,
        leaves.app_mode,
        null as message_id,
        leaves.workflow_run_id,
        leaves.created_date as usage_date,
        leaves.provider,
        leaves.model,
        leaves.model_source,
        leaves.person_id,
        leaves.person_name,
        leaves.person_kind,
        'nodes' as price_source,
        (leaves.price * 10000000)::hugeint as units,
        leaves.currency,
        case
            when leaves.app_mode <> 'workflow' and not coalesce(runs.is_debugging, false)
                then 'message deleted'
        end as doubt,
        case when runs.is_debugging then 'debugging' end as left_out_reason,
        null as absent_since,
        0 as messages,
        1 as node_executions,
        leaves.prompt_tokens,
        leaves.completion_tokens,
        leaves.total_tokens
    from leaves
    left join runs on leaves.workflow_run_id = runs.workflow_run_id
    where
        leaves.app_mode = 'workflow'
        or leaves.workflow_run_id not in (
            select workflow_run_id from messages where workflow_run_id is not null
        )
),

charges as (
    select * from charges_of_parts
    union all
    select * from charges_of_messages
    union all
    select * from charges_of_runs
)

select
    charge_id,
    app_id,
    app_mode,
    message_id,
    workflow_run_id,
    usage_date,
    provider,
    model,
    model_source,
    person_id,
    person_name,
    person_kind,
    price_source,
    (units::decimal(31, 0) * 0.0000001::decimal(7, 7))::decimal(38, 10) as total_price,
    case when units > 0 then currency end as currency,
    doubt,
    left_out_reason,
    absent_since::timestamptz as absent_since,
    messages,
    node_executions,
    prompt_tokens::decimal(38, 0) as prompt_tokens,
    completion_tokens::decimal(38, 0) as completion_tokens,
    total_tokens::decimal(38, 0) as total_tokens
from charges
