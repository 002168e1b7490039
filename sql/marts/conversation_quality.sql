-- One row per conversation.
-- incremental: app_id, created_date
-- linked by: messages of conversation, ratings of conversation
-- workspace_id: Id of the workspace.
-- conversation_id: Id of the conversation.
-- conversation_name: Its title.
-- app_id: Id of the app.
-- app_name: Name of the app.
-- app_mode: Mode of the app.
-- person_id: Who talks, by the rule of stg_people; null: nobody.
-- person_name: Session id of the end user, or name of the account.
-- person_kind: One of account, browser, end_user, nobody.
-- from_source: Where it came from: api (also web app) or console (debugging or Explore).
-- created_at: When it began, UTC.
-- created_date: Local day on which it began.
-- turns: Questions that were loaded, failed ones included.
-- first_question_at: When the first question came, UTC; null without a question.
-- last_question_at: When the last question came, UTC.
-- duration_seconds: Seconds from the first question to the last one; 0 for a single question.
-- unanswered_messages: Questions with an empty answer when read, unless a person is waited for.
-- error_messages: Questions with status error, with or without a part of an answer.
-- waiting_messages: Questions whose run waits for a person (human input).
-- is_abandoned: Whether the last question failed or has no answer; null without a question.
-- likes: Messages' likes by users and editors now.
-- dislikes: Messages' dislikes by users and editors now.
-- annotated_messages: Messages whose answer an editor annotated.
-- annotation_hits: Messages that an annotation answered.
-- total_tokens: Tokens of prompts and answers; null when no message tells any.
-- average_latency_seconds: Mean seconds till the answers were complete; failed ones tell none.
-- is_absent: Whether Dify was proven to have the conversation no more.

-- Unanswered: the answer is empty, and no person is waited for, as in stg_answers: of stg_questions
-- it is known without a look at the answers.
-- Abandoned: the last question failed or is unanswered, and nobody asked again.

with answers as (
    select
        conversation_id,
        message_id,
        created_at,
        is_error,
        is_paused or is_waiting as is_waiting,
        is_empty and not is_paused and not is_waiting as is_unanswered,
        is_annotated,
        is_annotation_hit,
        tokens,
        latency_seconds
    from staging.stg_questions
),

talks as (
    select
        conversation_id,
        count(*) as turns,
        min(created_at) as first_question_at,
        max(created_at) as last_question_at,
        count(*) filter (where is_unanswered) as unanswered_messages,
        count(*) filter (where is_error) as error_messages,
        count(*) filter (where is_waiting) as waiting_messages,
        max_by(is_unanswered or is_error, (created_at, message_id)) as is_abandoned,
        count(*) filter (where is_annotated) as annotated_messages,
        count(*) filter (where is_annotation_hit) as annotation_hits,
        cast(sum(tokens) as decimal(38, 0)) as total_tokens,
        round(avg(latency_seconds) filter (where latency_seconds > 0), 6) as average_latency_seconds
    from answers
    group by conversation_id
),

ratings as (
    select
        conversation_id,
        count(*) filter (where rating = 'like') as likes,
        count(*) filter (where rating = 'dislike') as dislikes
    from staging.stg_message_feedbacks
    where not is_absent
    group by conversation_id
)

select
    (select max(source.workspace_id) from ops.source as source) as workspace_id,
    conversations.conversation_id,
    conversations.conversation_name,
    conversations.app_id,
    apps.app_name,
    apps.app_mode,
    case
        when people.actor_id is null
            then coalesce(conversations.end_user_id, conversations.account_id)
        else people.person_id
    end as person_id,
    people.person_name,
    people.person_kind,
    conversations.from_source,
    conversations.created_at,
    conversations.created_date,
    coalesce(talks.turns, 0) as turns,
    talks.first_question_at,
    talks.last_question_at,
    epoch(talks.last_question_at) - epoch(talks.first_question_at) as duration_seconds,
    coalesce(talks.unanswered_messages, 0) as unanswered_messages,
    coalesce(talks.error_messages, 0) as error_messages,
    coalesce(talks.waiting_messages, 0) as waiting_messages,
    talks.is_abandoned,
    coalesce(log_ratings.likes, ratings.likes, 0) as likes,
    coalesce(log_ratings.dislikes, ratings.dislikes, 0) as dislikes,
    coalesce(talks.annotated_messages, 0) as annotated_messages,
    coalesce(talks.annotation_hits, 0) as annotation_hits,
    talks.total_tokens,
    talks.average_latency_seconds,
    conversations.is_absent
from staging.stg_conversations as conversations
left join staging.stg_apps as apps on conversations.app_id = apps.app_id
left join staging.stg_people as people
    on coalesce(conversations.end_user_id, conversations.account_id) = people.actor_id
left join talks on conversations.conversation_id = talks.conversation_id
left join ratings on conversations.conversation_id = ratings.conversation_id
left join staging.stg_log_ratings as log_ratings
    on conversations.conversation_id = log_ratings.conversation_id
