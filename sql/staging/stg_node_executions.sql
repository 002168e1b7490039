-- One row per execution of a node in a run; inner nodes of loops repeat their node_id.
-- created_by_role: Who started it, account or end_user.
-- created_by_account_name: Name of that account.
-- created_by_account_email: E-mail of that account.
-- created_by_end_user_type: One of service_api, browser, …
-- is_end_user_anonymous: Whether Dify made the user up.
-- person_id: Who it is, by the rule of stg_people; null: nobody.
-- person_name: Session id of the end user, or name of the account.
-- person_kind: One of account, browser, end_user, nobody.
-- provider: Provider of the model that it asked, by the rule of stg_node_models.
-- model: Name of that model; null: none, or not known.
-- model_source: Who tells it: node, app configuration; null: nobody.
-- node_type: One of start, llm, tool, code, iteration, …
-- status: One of running, succeeded, failed, exception, retry, …
-- error_message: Error text of the node.
-- created_at: When the node began, UTC.
-- finished_at: When it ended, UTC; null while it runs.
-- is_absent: Whether Dify was proven to have it no more.

with nodes as (
    select
        *,
        coalesce(created_by_end_user_id, created_by_account_id) as asked_by
    from raw.node_executions
)

select
    node_execution_id,
    nodes.workflow_run_id,
    app_id,
    created_by_role,
    created_by_account_id,
    created_by_account_name,
    created_by_account_email,
    created_by_end_user_id,
    created_by_end_user_type,
    created_by_end_user_is_anonymous as is_end_user_anonymous,
    created_by_end_user_session_id,
    case when actor_id is null then asked_by else person_id end as person_id,
    person_name,
    person_kind,
    asked.provider,
    asked.model,
    asked.model_source,
    node_index,
    predecessor_node_id,
    node_id,
    node_type,
    title,
    inputs,
    process_data,
    outputs,
    is_inputs_truncated,
    is_process_data_truncated,
    is_outputs_truncated,
    status,
    error as error_message,
    elapsed_seconds,
    total_tokens,
    total_price,
    currency,
    iteration_id,
    iteration_index,
    loop_id,
    loop_index,
    execution_metadata,
    extras,
    retry_index,
    tool_provider_type,
    tool_provider_id,
    created_at,
    created_date,
    created_hour,
    finished_at,
    finished_date,
    finished_hour,
    odd_fields,
    extra,
    loaded_at,
    changed_at,
    absent_since,
    absent_since is not null as is_absent
from nodes
left join staging.stg_actors as actors on nodes.asked_by = actors.actor_id
left join (
    select
        call_id,
        max(provider) as provider,
        max(model) as model,
        max(model_source) as model_source
    from staging.stg_node_models
    group by call_id
) as asked on node_execution_id = asked.call_id
