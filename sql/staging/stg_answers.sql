-- One row per message: whether it was answered.
-- message_id: Id of the message; null for a completion log that nobody opened.
-- conversation_id: Id of the conversation.
-- app_id: Id of the app.
-- person_id: Who asked, by the rule of stg_people; null: nobody.
-- created_at: When the question came, UTC.
-- created_date: Local day of created_at.
-- question: What the user asked.
-- answer: What the app answered.
-- is_error: Whether it failed, with or without a part of an answer.
-- is_waiting: Whether its run waits for a person (human input).
-- is_unanswered: Whether the answer is empty, and no person is waited for.
-- is_annotated: Whether an editor annotated it.
-- is_annotation_hit: Whether an annotation gave the answer.
-- tokens: Tokens of question and answer, as Dify's statistics count them.
-- latency_seconds: Seconds till the answer was complete.

-- A streaming client's message that waits has status paused; a blocking one's is normal, and only
-- its form tells that it waits.

with messages as (
    select
        messages.message_id,
        messages.conversation_id,
        messages.app_id,
        case when actors.actor_id is null then messages.asked_by else actors.person_id end
            as person_id,
        messages.created_at,
        messages.created_date,
        messages.question,
        messages.answer,
        coalesce(messages.status = 'error', false) as is_error,
        coalesce(messages.status = 'paused', false) or waiting.message_id is not null
            as is_waiting,
        -- Few begin with white space: only these are looked through.
        case
            when trim(left(messages.answer, 1), e' \t\r\n') <> '' then false
            else coalesce(trim(messages.answer, e' \t\r\n'), '') = ''
        end as is_empty,
        messages.annotation_id is not null as is_annotated,
        messages.annotation_hit_id is not null as is_annotation_hit,
        cast(messages.message_tokens as decimal(38, 0)) + messages.answer_tokens as tokens,
        messages.latency_seconds
    from staging.stg_message_rows as messages
    left join staging.stg_actors as actors on messages.asked_by = actors.actor_id
    left join staging.stg_waiting_messages as waiting
        on messages.message_id = waiting.message_id
)

select
    message_id,
    conversation_id,
    app_id,
    person_id,
    created_at,
    created_date,
    question,
    answer,
    is_error,
    is_waiting,
    is_empty and not is_waiting as is_unanswered,
    is_annotated,
    is_annotation_hit,
    tokens,
    latency_seconds
from messages
