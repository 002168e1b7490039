-- One row per app, tool and local day with at least one call of the tool.
-- incremental: app_id, call_date
-- linked by: tool call
-- workspace_id: Id of the workspace.
-- app_id: Id of the app.
-- app_name: Name of the app.
-- app_mode: Mode of the app: agent or agent-chat.
-- tool_name: Name of the tool, as the model called it.
-- call_date: Local day of the message.
-- calls: Calls of the tool; as all counts, with those that Dify deleted since.
-- failed_calls: Calls with an error, or a status other than success.
-- untold_calls: Calls of which Dify tells no status: agent-chat while its log does not answer.
-- failure_rate: Failed among the calls whose status is told, 0 to 1; null: none is told.
-- messages: Messages in which it was called.
-- people: Persons in whose messages it was called; callers without `user` are not counted.
-- p50_seconds: Half of the calls were as fast as this; null when Dify tells no seconds.
-- p95_seconds: 95 of 100 calls were as fast as this.
-- total_seconds: Seconds of all calls that tell them.
-- step_tokens: Tokens of the steps in which it was called; of several tools in one, for each.

with apps as (
    select app_id, app_name, app_mode from staging.stg_apps
),

calls as (
    select
        calls.app_id,
        calls.tool_name,
        calls.message_created_date as call_date,
        calls.message_id,
        messages.person_id,
        calls.seconds,
        calls.step_tokens,
        calls.status is null and calls.error is null as is_untold,
        coalesce(calls.error, '') <> ''
        or coalesce(calls.status, 'success') not in ('success', 'succeeded') as is_failed
    from staging.stg_agent_tool_calls as calls
    left join staging.stg_messages as messages on calls.message_id = messages.message_id
    where
        calls.tool_name is not null
        and calls.message_created_date is not null
)

select
    (select max(source.workspace_id) from ops.source as source) as workspace_id,
    calls.app_id,
    max(apps.app_name) as app_name,
    max(apps.app_mode) as app_mode,
    calls.tool_name,
    calls.call_date,
    count(*) as calls,
    count(*) filter (where calls.is_failed) as failed_calls,
    count(*) filter (where calls.is_untold) as untold_calls,
    count(*) filter (where calls.is_failed)
    / nullif(count(*) filter (where not calls.is_untold), 0) as failure_rate,
    count(distinct calls.message_id) as messages,
    count(distinct calls.person_id) as people,
    quantile_cont(calls.seconds, 0.5) as p50_seconds,
    quantile_cont(calls.seconds, 0.95) as p95_seconds,
    round(sum(calls.seconds), 6) as total_seconds,
    cast(sum(calls.step_tokens) as decimal(38, 0)) as step_tokens
from calls
left join apps on calls.app_id = apps.app_id
group by calls.app_id, calls.tool_name, calls.call_date
