-- One row per message: its question without what differs among equal ones, and how it ended.
-- materialized: table
-- incremental: app_id, created_date
-- linked by: rating, rated conversation, citation
-- app_id: Id of the app.
-- message_id: Id of the message; null for a completion log that nobody opened.
-- conversation_id: Id of the conversation.
-- person_id: Who asked, by the rule of stg_people; null: nobody.
-- created_at: When the question came, UTC.
-- created_date: Local day of created_at.
-- question_group: The question in small letters without punctuation, 300 characters at most.
-- is_error: Whether it failed.
-- is_paused: Whether its status is paused: its run waits for a person.
-- is_empty: Whether its answer is empty.
-- is_annotation_hit: Whether an annotation gave the answer.
-- is_waiting: Whether its run waits for a person.
-- is_disliked: Whether somebody dislikes its answer now.
-- is_cited: Whether its answer cites a passage.
-- is_annotated: Whether an editor annotated it.
-- tokens: Tokens of question and answer, as Dify's statistics count them.
-- latency_seconds: Seconds till the answer was complete.
-- changed_at: When the row of the message changed last, UTC: its texts may be others since.

-- Every run of marks and spaces becomes one space; what is one space already is no match, as most
-- are, and each match costs more than all letters of a word.

with disliked as (
    select distinct message_id, conversation_id
    from staging.stg_message_feedbacks
    where not is_absent and rating = 'dislike'
),

disliked_messages as (
    select distinct message_id from disliked
),

-- A completion log that nobody opened has one message, and Dify does not tell its id.
disliked_conversations as (
    select distinct conversation_id from disliked
),

cited as (
    select distinct message_id
    from staging.stg_message_citations
    where not is_absent
)

select
    messages.app_id,
    messages.message_id,
    messages.conversation_id,
    case when actor_id is null then asked_by else person_id end as person_id,
    messages.created_at,
    messages.created_date,
    left(
        trim(
            regexp_replace(
                lower(nfc_normalize(question)),
                '[\t\n\f\r\p{Zl}\p{Zp}\p{Cf}\p{P}\p{S}\x{a0}\x{1680}\x{2000}-\x{200a}\x{202f}'
                || '\x{205f}\x{3000}][\s\p{Z}\p{Cf}\p{P}\p{S}]*| [\s\p{Z}\p{Cf}\p{P}\p{S}]+',
                ' ',
                'g'
            )
        ),
        300
    ) as question_group,
    coalesce(status = 'error', false) as is_error,
    coalesce(status = 'paused', false) as is_paused,
    -- Few begin with white space: only these are looked through.
    case
        when trim(left(answer, 1), e' \t\r\n') <> '' then false
        else coalesce(trim(answer, e' \t\r\n'), '') = ''
    end as is_empty,
    annotation_hit_id is not null as is_annotation_hit,
    waiting.message_id is not null as is_waiting,
    disliked_messages.message_id is not null
    or disliked_conversations.conversation_id is not null as is_disliked,
    cited.message_id is not null as is_cited,
    annotation_id is not null as is_annotated,
    cast(message_tokens as decimal(38, 0)) + answer_tokens as tokens,
    messages.latency_seconds,
    messages.changed_at
from staging.stg_message_rows as messages
left join staging.stg_actors as actors on messages.asked_by = actors.actor_id
left join staging.stg_waiting_messages as waiting on messages.message_id = waiting.message_id
left join disliked_messages on messages.message_id = disliked_messages.message_id
left join disliked_conversations
    on
        messages.message_id is null
        and messages.conversation_id = disliked_conversations.conversation_id
left join cited on messages.message_id = cited.message_id
