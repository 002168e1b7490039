-- One row per rating that was ever read: message, who may rate (user or admin), and giver.
-- incremental: app_id, asked_date
-- linked by: rating, rated conversation, cited rating
-- workspace_id: Id of the workspace.
-- app_id: Id of the app.
-- app_name: Name of the app.
-- app_mode: Mode of the app.
-- conversation_id: Conversation of the message.
-- message_id: The message that was rated.
-- position: Place among the ratings of the message, from 1; null: of a log that nobody opened.
-- rating: Either like or dislike.
-- comment: What the giver wrote; null: nothing, or Dify does not tell it.
-- from_source: Who rated: user or admin (an editor in the logs).
-- giver_id: Who it is, by the rule of stg_people; null: nobody, or not told.
-- giver_name: Session id of the end user, or name of the account.
-- giver_kind: One of account, browser, end_user, nobody.
-- rated_at: When it was given first, UTC; null: Dify tells it only in its export, since 1.10.1.
-- rated_date: Local day of rated_at.
-- asked_at: When the question came, UTC.
-- asked_date: Local day of the question.
-- asker_id: Who asked, by the rule of stg_people; null: nobody.
-- asker_name: Session id of the end user, or name of the account.
-- question: The question.
-- answer: The answer that was rated.
-- provider: Provider of the model that answered; null: not known.
-- model: The model that answered; null: not known, or several.
-- total_tokens: Tokens of question and answer.
-- latency_seconds: Seconds till the answer was complete.
-- citations: Passages that the answer cites.
-- cited_documents: Names of the documents that it cites, JSON list, by name; null: none.
-- is_annotated: Whether an editor annotated the message.
-- is_absent: Whether it is gone from Dify: withdrawn, or deleted with its message.

-- A completion log that nobody opened is a row without an id: its conversation has no other.
-- Messages are asked for twice, so that texts are read of those alone that are rated.

with unopened as (
    select conversation_id as call_id
    from staging.stg_message_rows
    where message_id is null
),

feedbacks as (
    select ratings.*, coalesce(unopened.call_id, ratings.message_id) as call_id
    from staging.stg_message_feedbacks as ratings
    left join unopened on ratings.conversation_id = unopened.call_id
),

calls as (
    select
        coalesce(message_id, conversation_id) as call_id,
        question,
        answer,
        person_id,
        person_name,
        provider,
        model,
        message_tokens,
        answer_tokens,
        latency_seconds,
        annotation_id
    from staging.stg_messages
    where coalesce(message_id, conversation_id) in (select call_id from feedbacks)
),

cited as (
    select
        message_id,
        count(*) as citations,
        to_json(
            list(distinct document_name order by document_name)
            filter (where document_name is not null)
        ) as cited_documents
    from staging.stg_message_citations
    where not is_absent
    group by message_id
)

select
    (select max(source.workspace_id) from ops.source as source) as workspace_id,
    feedbacks.app_id,
    apps.app_name,
    apps.app_mode,
    feedbacks.conversation_id,
    feedbacks.message_id,
    feedbacks.position,
    feedbacks.rating,
    feedbacks.comment,
    feedbacks.from_source,
    feedbacks.person_id as giver_id,
    feedbacks.person_name as giver_name,
    feedbacks.person_kind as giver_kind,
    feedbacks.created_at as rated_at,
    feedbacks.created_date as rated_date,
    feedbacks.message_created_at as asked_at,
    feedbacks.message_created_date as asked_date,
    calls.person_id as asker_id,
    calls.person_name as asker_name,
    calls.question,
    calls.answer,
    calls.provider,
    calls.model,
    cast(calls.message_tokens as decimal(38, 0)) + calls.answer_tokens as total_tokens,
    calls.latency_seconds,
    coalesce(cited.citations, 0) as citations,
    cited.cited_documents,
    coalesce(calls.annotation_id is not null, false) as is_annotated,
    feedbacks.is_absent
from feedbacks
left join staging.stg_apps as apps on feedbacks.app_id = apps.app_id
left join calls on feedbacks.call_id = calls.call_id
left join cited on feedbacks.message_id = cited.message_id
