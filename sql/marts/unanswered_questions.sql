-- One row per app and group of equal questions that were, at least once, not answered well.
-- workspace_id: Id of the workspace.
-- app_id: Id of the app.
-- app_name: Name of the app.
-- app_mode: Mode of the app.
-- question_group: The question in lower case, all marks and spaces as one space; 300 characters.
-- questions: Questions of the group that were not answered well.
-- people: Persons who asked them; callers without `user` are nobody and not counted.
-- unanswered_questions: Those with an empty answer that waits for nobody, or that failed.
-- disliked_questions: Those whose answer somebody dislikes now.
-- uncited_questions: Those whose answer cites nothing, in an app whose answers do; opened logs.
-- well_answered_questions: Questions of the same group that were answered well.
-- first_asked_at: When one that was not answered well came first, UTC.
-- last_asked_at: When one came last, UTC.
-- last_asked_date: Local day of the last one.
-- is_annotated: Whether the app has an annotation with a question of the same group now.
-- example_question: The newest such question, whole.
-- example_answer: Its answer.
-- example_message_id: Its message; null for a completion log that nobody opened.

-- Not answered well: it failed, its answer is empty, disliked, or cites nothing in an app of which
-- at least one answer cites. What no model answers is worth an annotation, or a document.

with cited as (
    select distinct app_id, message_id
    from staging.stg_message_citations
    where not is_absent
),

citing_apps as (
    select distinct app_id from cited
),

disliked as (
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

annotated as (
    select distinct
        app_id,
        left(
            trim(
                regexp_replace(
                    lower(nfc_normalize(question)), '[\s\p{Z}\p{Cf}\p{P}\p{S}]+', ' ', 'g'
                )
            ),
            300
        ) as question_group
    from staging.stg_annotations
    where not is_absent
),

waiting as (
    select distinct message_id
    from staging.stg_human_inputs
    where state = 'waiting' and not is_absent
),

judged as (
    select
        questions.app_id,
        questions.message_id,
        questions.conversation_id,
        questions.person_id,
        questions.created_at,
        questions.created_date,
        questions.question_group,
        questions.is_error
        or questions.is_empty and not questions.is_paused and waiting.message_id is null
            as is_unanswered,
        disliked_messages.message_id is not null
        or disliked_conversations.conversation_id is not null as is_disliked,
        questions.message_id is not null
        and citing_apps.app_id is not null
        and cited.message_id is null
        and not questions.is_paused
        and waiting.message_id is null
        and not questions.is_annotation_hit as is_uncited
    from staging.stg_questions as questions
    left join waiting on questions.message_id = waiting.message_id
    left join disliked_messages on questions.message_id = disliked_messages.message_id
    left join disliked_conversations
        on
            questions.message_id is null
            and questions.conversation_id = disliked_conversations.conversation_id
    left join cited on questions.message_id = cited.message_id
    left join citing_apps on questions.app_id = citing_apps.app_id
    where questions.question_group <> ''
),

marked as (
    select *, is_unanswered or is_disliked or is_uncited as is_bad
    from judged
),

grouped as (
    select
        app_id,
        question_group,
        count(*) filter (where is_bad) as questions,
        count(distinct person_id) filter (where is_bad) as people,
        count(*) filter (where is_unanswered) as unanswered_questions,
        count(*) filter (where is_disliked) as disliked_questions,
        count(*) filter (where is_uncited) as uncited_questions,
        count(*) filter (where not is_bad) as well_answered_questions,
        min(created_at) filter (where is_bad) as first_asked_at,
        max(created_at) filter (where is_bad) as last_asked_at,
        max(created_date) filter (where is_bad) as last_asked_date,
        -- As one value: max_by skips nulls, and would take each from another message.
        max_by(
            {'conversation_id': conversation_id, 'message_id': message_id},
            (created_at, message_id, conversation_id)
        ) filter (where is_bad) as example
    from marked
    group by app_id, question_group
    having bool_or(is_bad)
),

-- Texts are read of the examples alone.
texts as (
    select conversation_id, message_id, question, answer
    from staging.stg_messages
    where conversation_id in (select example.conversation_id from grouped)
)

select
    (select max(source.workspace_id) from ops.source as source) as workspace_id,
    grouped.app_id,
    apps.app_name,
    apps.app_mode,
    grouped.question_group,
    grouped.questions,
    grouped.people,
    grouped.unanswered_questions,
    grouped.disliked_questions,
    grouped.uncited_questions,
    grouped.well_answered_questions,
    grouped.first_asked_at,
    grouped.last_asked_at,
    grouped.last_asked_date,
    annotated.question_group is not null as is_annotated,
    texts.question as example_question,
    texts.answer as example_answer,
    grouped.example.message_id as example_message_id
from grouped
left join staging.stg_apps as apps on grouped.app_id = apps.app_id
left join annotated
    on grouped.app_id = annotated.app_id and grouped.question_group = annotated.question_group
left join texts
    on
        grouped.example.conversation_id = texts.conversation_id
        and grouped.example.message_id is not distinct from texts.message_id
