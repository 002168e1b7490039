-- One row per message: question and answer; one per conversation where message_source is list.
-- question: What the user asked.
-- answer: What the app answered; empty while it is written.
-- prompt: Prompt, JSON list of role, text, files; "" for advanced-chat.
-- status: Either normal (also while the answer is written) or error; null from the list.
-- error_message: Error text.
-- from_source: Where it came from: api (also web app) or console (debugging or Explore).
-- end_user_id: End user who asked.
-- account_id: Account that asked in the console.
-- person_id: Who it is, by the rule of stg_people; null: nobody.
-- person_name: Session id of the end user, or name of the account.
-- person_kind: One of account, browser, end_user, nobody.
-- provider: Provider of the model that was asked, by the rule of stg_message_models.
-- model: Name of that model; null: not known, or several.
-- model_source: Who tells it: node, message, app configuration; null: nobody.
-- created_at: When the question came, UTC.
-- message_tokens: Tokens of the prompt, as Dify's statistics count them.
-- answer_tokens: Tokens of the answer, as Dify's statistics count them.
-- prompt_tokens: Tokens of the prompt that were billed.
-- prompt_unit_price: Price of a unit of the prompt, in `currency`.
-- prompt_price_unit: The unit of the prompt as part of a token price: 0.001 for 1,000.
-- prompt_price: Price of the prompt, in `currency`.
-- completion_tokens: Tokens of the answer that were billed.
-- completion_unit_price: Price of a unit of the answer, in `currency`.
-- completion_price_unit: The unit of the answer as part of a token price: 0.001 for 1,000.
-- completion_price: Price of the answer, in `currency`.
-- total_tokens: Tokens of prompt and answer that were billed.
-- total_price: Price of prompt and answer, in `currency`.
-- annotation_created_at: When it was annotated, UTC.
-- annotation_hit_created_at: When that annotation was written, UTC; not when it gave the answer.
-- message_source: One of chat, detail (log opened), list (no id, no tokens), log (agent log alone).
-- counted_as: By Dify's database counted, debugging or no invoke_from; null: it did not tell.
-- is_absent: Whether Dify was proven to have it no more.

with messages as (
    select
        *,
        coalesce(from_end_user_id, from_account_id) as asked_by,
        coalesce(message_id, conversation_id) as call_id
    from raw.messages
)

select
    message_id,
    conversation_id,
    app_id,
    parent_message_id,
    workflow_run_id,
    query as question,
    answer,
    inputs,
    message as prompt,
    status,
    error as error_message,
    from_source,
    from_end_user_id as end_user_id,
    from_account_id as account_id,
    case when actor_id is null then asked_by else person_id end as person_id,
    person_name,
    person_kind,
    asked.provider,
    asked.model,
    asked.model_source,
    created_at,
    created_date,
    created_hour,
    message_tokens,
    answer_tokens,
    latency_seconds,
    prompt_tokens,
    prompt_unit_price,
    prompt_price_unit,
    prompt_price,
    completion_tokens,
    completion_unit_price,
    completion_price_unit,
    completion_price,
    total_tokens,
    total_price,
    currency,
    usage_latency_seconds,
    time_to_first_token_seconds,
    time_to_generate_seconds,
    metadata,
    annotation_id,
    annotation_question,
    annotation_content,
    annotation_account_id,
    annotation_created_at,
    annotation_hit_id,
    annotation_hit_account_id,
    annotation_hit_created_at,
    extra_contents,
    message_source,
    charged_price,
    charged_currency,
    charged_prompt_unit_price,
    charged_prompt_price_unit,
    charged_completion_unit_price,
    charged_completion_price_unit,
    model_provider,
    model_id,
    invoke_from,
    case
        when invoke_from = 'debugger' then 'debugging'
        when invoke_from is not null then 'counted'
        -- No message of Dify's database is without a currency.
        when charged_currency is not null then 'no invoke_from'
    end as counted_as,
    odd_fields,
    extra,
    loaded_at,
    changed_at,
    absent_since,
    absent_since is not null as is_absent
from messages
left join staging.stg_actors as actors on messages.asked_by = actors.actor_id
left join (
    select
        call_id,
        max(provider) as provider,
        max(model) as model,
        max(model_source) as model_source
    from staging.stg_message_models
    group by call_id
) as asked on messages.call_id = asked.call_id
