-- One row per app and group of equal questions that were, at least once, not answered well.
-- incremental by group: app_id, question_group
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

with judged as (
    select
        questions.app_id,
        questions.message_id,
        questions.conversation_id,
        questions.person_id,
        questions.created_at,
        questions.created_date,
        questions.question_group,
        questions.is_error
        or questions.is_empty and not questions.is_paused and not questions.is_waiting
            as is_unanswered,
        questions.is_disliked,
        questions.message_id is not null
        and citing_apps.app_id is not null
        and not questions.is_cited
        and not questions.is_paused
        and not questions.is_waiting
        and not questions.is_annotation_hit as is_uncited
    from staging.stg_questions as questions
    left join staging.stg_citing_apps as citing_apps on questions.app_id = citing_apps.app_id
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
        -- The newest, as one value: max_by takes ten times as long for a key of several columns.
        max(
            {
                'created_at': created_at,
                'message_id': message_id,
                'conversation_id': conversation_id
            }
        ) filter (where is_bad) as example
    from marked
    group by app_id, question_group
    having bool_or(is_bad)
),

-- Texts are read of the examples alone: of the other messages of a conversation the time tells.
texts as (
    select conversation_id, message_id, question, answer
    from staging.stg_message_rows
    where
        conversation_id in (select example.conversation_id from grouped)
        and created_at in (select example.created_at from grouped)
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
left join staging.stg_annotated_groups as annotated
    on grouped.app_id = annotated.app_id and grouped.question_group = annotated.question_group
left join texts
    on
        grouped.example.conversation_id = texts.conversation_id
        and grouped.example.message_id is not distinct from texts.message_id
