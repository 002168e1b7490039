-- One row per error that happened: of a message, a node, a run or a tool.
-- materialized: table
-- incremental: app_id, created_date
-- linked by: run, tool call
-- app_id: Id of the app.
-- error_kind: One of message, node, run, tool.
-- node_type: Type of the node; null unless it is a node.
-- node_id: Id of the node in the graph; null unless it is a node.
-- error_message: Error text.
-- error_group: The text without ids, numbers and quoted values; 300 characters at most.
-- person_id: Who met it, by the rule of stg_people; null: nobody.
-- conversation_id: Conversation of it; null: none.
-- created_at: When the message, node or run began, UTC; of a tool its message.
-- created_date: Local day of created_at.
-- example_id: Id of the message, the node's execution, the run, or the step of an agent.

-- What Dify deleted since has happened all the same, and is counted.
-- A message that failed because a node did is told by Dify with the node's error: both are there,
-- each in the row of its kind.

with runs as (
    select workflow_run_id, conversation_id, triggered_from
    from staging.stg_workflow_runs
),

happened as (
    select
        app_id,
        'message' as error_kind,
        cast(null as varchar) as node_type,
        cast(null as varchar) as node_id,
        error_message,
        person_id,
        conversation_id,
        created_at,
        created_date,
        message_id as example_id
    from staging.stg_messages
    where error_message is not null
    union all
    select
        nodes.app_id,
        'node' as error_kind,
        nodes.node_type,
        nodes.node_id,
        nodes.error_message,
        nodes.person_id,
        runs.conversation_id,
        nodes.created_at,
        nodes.created_date,
        nodes.node_execution_id as example_id
    from staging.stg_node_executions as nodes
    left join runs on nodes.workflow_run_id = runs.workflow_run_id
    where
        nodes.error_message is not null
        and runs.triggered_from is distinct from 'debugging'
    union all
    select
        app_id,
        'run' as error_kind,
        cast(null as varchar) as node_type,
        cast(null as varchar) as node_id,
        error_message,
        person_id,
        conversation_id,
        created_at,
        created_date,
        workflow_run_id as example_id
    from staging.stg_workflow_runs
    where
        error_message is not null
        and triggered_from is distinct from 'debugging'
        and status is distinct from 'stopped'
    union all
    select
        calls.app_id,
        'tool' as error_kind,
        cast(null as varchar) as node_type,
        cast(null as varchar) as node_id,
        calls.error as error_message,
        messages.person_id,
        calls.conversation_id,
        calls.message_created_at as created_at,
        calls.message_created_date as created_date,
        calls.agent_thought_id as example_id
    from staging.stg_agent_tool_calls as calls
    left join staging.stg_messages as messages on calls.message_id = messages.message_id
    where calls.error is not null
)

select
    app_id,
    error_kind,
    node_type,
    node_id,
    error_message,
    left(
        trim(
            regexp_replace(
                regexp_replace(
                    regexp_replace(
                        regexp_replace(
                            error_message,
                            '[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F-]{18,}', '<id>', 'g'
                        ),
                        '(^|[^A-Za-z0-9])(?:''[^'']*''|"[^"]*")', '\1<value>', 'g'
                    ),
                    '[0-9a-fA-F]{12,}', '<id>', 'g'
                ),
                '[0-9]+', '<n>', 'g'
            )
        ),
        300
    ) as error_group,
    person_id,
    conversation_id,
    created_at,
    created_date,
    example_id
from happened
where error_message <> ''
