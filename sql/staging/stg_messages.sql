-- One row per message: question and answer; one per conversation where message_source is list.
-- message_id: Id of the message.
-- conversation_id: Id of the conversation.
-- app_id: Id of the app.
-- parent_message_id: Message before; the nil UUID for the first of a service API conversation.
-- workflow_run_id: Run behind the answer (advanced-chat).
-- question: What the user asked.
-- answer: What the app answered; empty while it is written.
-- inputs: Variables of the app, JSON.
-- prompt: Prompt, JSON list of role, text, files; "" for advanced-chat.
-- status: Either normal (also while the answer is written) or error; null from the list.
-- error_message: Error text.
-- from_source: Where it came from: api (also web app) or console (debugging or Explore).
-- end_user_id: End user who asked.
-- account_id: Account that asked in the console.
-- created_at: When the question came, UTC.
-- created_date: Local day of created_at.
-- created_hour: Hour of created_at on the local clock, 0 to 23.
-- message_tokens: Tokens of the prompt, as Dify's statistics count them.
-- answer_tokens: Tokens of the answer, as Dify's statistics count them.
-- latency_seconds: Seconds till the answer was complete.
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
-- currency: Currency of the prices, as USD.
-- usage_latency_seconds: Seconds of the model.
-- time_to_first_token_seconds: Seconds till the first token.
-- time_to_generate_seconds: Seconds from the first token to the last.
-- metadata: Usage, citations and more, JSON.
-- annotation_id: Annotation made of it.
-- annotation_question: Question of that annotation.
-- annotation_content: Answer of that annotation.
-- annotation_account_id: Account that annotated.
-- annotation_created_at: When it was annotated, UTC.
-- annotation_hit_id: Annotation that gave the answer.
-- annotation_hit_account_id: Account that made that annotation.
-- annotation_hit_created_at: When it gave the answer, UTC.
-- extra_contents: Further content, JSON (newest servers).
-- message_source: One of chat, detail (log opened), list (no id, no tokens), log (agent log alone).
-- odd_fields: Columns that keep the last good value, since Dify's last was odd; null: none.
-- extra: Fields that Dify sent and no known version has; null: none.
-- loaded_at: When this row was first loaded, UTC.
-- changed_at: When a value of this row last changed here, UTC.
-- absent_since: When Dify was proven to have it no more, UTC; null: there.
-- is_absent: Whether Dify was proven to have it no more.

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
    odd_fields,
    extra,
    loaded_at,
    changed_at,
    absent_since,
    absent_since is not null as is_absent
from raw.messages
