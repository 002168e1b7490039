-- One row per app, kind and error text without what differs from case to case.
-- workspace_id: Id of the workspace.
-- app_id: Id of the app.
-- app_name: Name of the app.
-- app_mode: Mode of the app.
-- error_kind: Where it happened: message, node, run, or tool (a tool call of an agent).
-- node_type: Type of the node, as llm or code; null for the other kinds.
-- error_group: The error's text with ids, numbers and quoted values replaced; 300 characters.
-- errors: How often it happened; debugging of workflows, and runs that somebody stopped, are not.
-- people: Persons whom it hit; callers without `user` are nobody and not counted.
-- affected_conversations: Conversations that it hit; 0 for workflow apps.
-- first_at: When it happened first.
-- last_at: When it happened last.
-- last_date: Local day of the last one.
-- nodes: Nodes of the graph in which it happened; 0 for the other kinds.
-- example_error: The text of the newest one, whole.
-- example_id: Id of the message, node execution, run or thought that has it.
-- example_node_id: Its node in the graph; null for the other kinds.

-- What Dify deleted since has happened all the same, and is counted.
-- A message that failed because a node did is told by Dify with the node's error: both are there,
-- each in the row of its kind.

with apps as (
    select app_id, app_name, app_mode from staging.stg_apps
),

runs as (
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
),

grouped as (
    select
        *,
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
        ) as error_group
    from happened
    where error_message <> ''
)

select
    (select max(source.workspace_id) from ops.source as source) as workspace_id,
    grouped.app_id,
    max(apps.app_name) as app_name,
    max(apps.app_mode) as app_mode,
    grouped.error_kind,
    grouped.node_type,
    grouped.error_group,
    count(*) as errors,
    count(distinct grouped.person_id) as people,
    count(distinct grouped.conversation_id) as affected_conversations,
    min(grouped.created_at) as first_at,
    max(grouped.created_at) as last_at,
    max(grouped.created_date) as last_date,
    count(distinct grouped.node_id) as nodes,
    max_by(grouped.error_message, (grouped.created_at, grouped.example_id)) as example_error,
    max_by(grouped.example_id, (grouped.created_at, grouped.example_id)) as example_id,
    max_by(grouped.node_id, (grouped.created_at, grouped.example_id)) as example_node_id
from grouped
left join apps on grouped.app_id = apps.app_id
group by grouped.app_id, grouped.error_kind, grouped.node_type, grouped.error_group
