-- One row per message, as in stg_messages, with nothing of its person and its model.
-- question: What the user asked.
-- answer: What the app answered; empty while it is written.
-- status: Either normal (also while the answer is written) or error; null from the list.
-- from_source: Where it came from: api (also web app) or console (debugging or Explore).
-- end_user_id: End user who asked.
-- asked_by: The end user or account, as stg_actors names them.
-- created_at: When the question came, UTC.
-- message_tokens: Tokens of the prompt, as Dify's statistics count them.
-- answer_tokens: Tokens of the answer, as Dify's statistics count them.
-- counted_as: By Dify's database counted, debugging or no invoke_from; null: it did not tell.
-- is_absent: Whether Dify was proven to have it no more.

-- DuckDB makes the joins of stg_messages for queries as well that ask for nothing of them.

select
    message_id,
    conversation_id,
    app_id,
    workflow_run_id,
    query as question,
    answer,
    status,
    from_source,
    from_end_user_id as end_user_id,
    coalesce(from_end_user_id, from_account_id) as asked_by,
    created_at,
    created_date,
    message_tokens,
    answer_tokens,
    latency_seconds,
    annotation_id,
    annotation_hit_id,
    case
        when invoke_from = 'debugger' then 'debugging'
        when invoke_from is not null then 'counted'
        -- No message of Dify's database is without a currency.
        when charged_currency is not null then 'no invoke_from'
    end as counted_as,
    loaded_at,
    changed_at,
    absent_since,
    absent_since is not null as is_absent
from raw.messages
