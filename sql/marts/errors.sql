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

with apps as (
    select app_id, app_name, app_mode from staging.stg_apps
)

select
    (select max(source.workspace_id) from ops.source as source) as workspace_id,
    happened.app_id,
    max(apps.app_name) as app_name,
    max(apps.app_mode) as app_mode,
    happened.error_kind,
    happened.node_type,
    happened.error_group,
    count(*) as errors,
    count(distinct happened.person_id) as people,
    count(distinct happened.conversation_id) as affected_conversations,
    min(happened.created_at) as first_at,
    max(happened.created_at) as last_at,
    max(happened.created_date) as last_date,
    count(distinct happened.node_id) as nodes,
    max_by(happened.error_message, (happened.created_at, happened.example_id)) as example_error,
    max_by(happened.example_id, (happened.created_at, happened.example_id)) as example_id,
    max_by(happened.node_id, (happened.created_at, happened.example_id)) as example_node_id
from staging.stg_errors as happened
left join apps on happened.app_id = apps.app_id
group by happened.app_id, happened.error_kind, happened.node_type, happened.error_group
