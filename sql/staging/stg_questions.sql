-- One row per message: its question without what differs among equal ones, and how it ended.
-- materialized: table
-- incremental: app_id, created_date
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

select
    app_id,
    message_id,
    conversation_id,
    person_id,
    created_at,
    created_date,
    left(
        trim(
            regexp_replace(lower(nfc_normalize(question)), '[\s\p{Z}\p{Cf}\p{P}\p{S}]+', ' ', 'g')
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
    annotation_hit_id is not null as is_annotation_hit
from staging.stg_messages
