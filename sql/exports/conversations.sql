-- One row per question and answer, with who asked and how it was rated.
-- workspace_id: Id of the workspace.
-- app_id: Id of the app.
-- app_name: Name of the app.
-- app_mode: Mode of the app.
-- conversation_id: Id of the conversation.
-- conversation_name: Title of the conversation.
-- conversation_created_at: When the conversation began, UTC.
-- message_id: Id of the message.
-- created_at: When the question came, UTC.
-- created_date: Local day of created_at.
-- person: End user's session id (the API caller's `user`), else name of the account; null: nobody.
-- person_kind: One of account, browser, end_user, nobody (callers without `user`); null: not known.
-- from_source: Where it came from: api (also web app) or console (debugging or Explore).
-- question: What was asked.
-- answer: What the app answered.
-- status: Either normal (also while the answer is written) or error; null from unopened logs.
-- error_message: Error text.
-- user_rating: Rating by the end user: like or dislike; several stand beside one another.
-- user_comment: What the end user wrote to it.
-- admin_rating: Ratings by editors in the console: like or dislike; several beside one another.
-- admin_comment: What the editors wrote to it.
-- admin_names: Names of these editors.
-- annotation: Answer of the annotation that an editor made of it.
-- prompt_tokens: Tokens of the prompt; null where Dify does not tell.
-- answer_tokens: Tokens of the answer; null where Dify does not tell.
-- total_price: Price of prompt and answer, in `currency`; null where Dify does not tell.
-- currency: Currency of the price, as USD.
-- latency_seconds: Seconds till the answer was complete.
-- is_absent: Whether Dify was proven to have the message no more.

with apps as (
    select app_id, app_name, app_mode from staging.stg_apps
),

conversations as (
    select app_id, conversation_id, conversation_name, created_at
    from staging.stg_conversations
),

-- Several editors may rate one answer: one row has them all, in the order of the console.
ratings as (
    select
        app_id,
        message_id,
        string_agg(rating, ', ' order by position, account_id)
        filter (where from_source = 'user') as user_rating,
        string_agg(comment, ', ' order by position, account_id)
        filter (where from_source = 'user') as user_comment,
        string_agg(rating, ', ' order by position, account_id)
        filter (where from_source = 'admin') as admin_rating,
        string_agg(comment, ', ' order by position, account_id)
        filter (where from_source = 'admin') as admin_comment,
        string_agg(account_name, ', ' order by position, account_id)
        filter (where from_source = 'admin') as admin_names
    from staging.stg_message_feedbacks
    where not is_absent
    group by app_id, message_id
),

-- Dify's database has 0 from the question on: a price only with the tokens of its answer.
questions as (
    select
        messages.*,
        messages.charged_price > 0
        or messages.charged_price = 0
        and cast(messages.message_tokens as decimal(38, 0)) + messages.answer_tokens > 0
            as is_charged,
        conversations.conversation_name,
        conversations.created_at as conversation_created_at
    from staging.stg_messages as messages
    left join conversations
        on messages.app_id = conversations.app_id
        and messages.conversation_id = conversations.conversation_id
)

select
    (select max(source.workspace_id) from ops.source as source) as workspace_id,
    questions.app_id,
    apps.app_name,
    apps.app_mode,
    questions.conversation_id,
    questions.conversation_name,
    questions.conversation_created_at,
    questions.message_id,
    questions.created_at,
    questions.created_date,
    questions.person_name as person,
    questions.person_kind,
    questions.from_source,
    questions.question,
    questions.answer,
    questions.status,
    questions.error_message,
    ratings.user_rating,
    ratings.user_comment,
    ratings.admin_rating,
    ratings.admin_comment,
    ratings.admin_names,
    questions.annotation_content as annotation,
    questions.message_tokens as prompt_tokens,
    questions.answer_tokens,
    -- Of basic apps the database of Dify alone tells it; it comes first, as in marts.costs.
    case
        when questions.is_charged then questions.charged_price else questions.total_price
    end as total_price,
    case
        when questions.is_charged then questions.charged_currency else questions.currency
    end as currency,
    questions.latency_seconds,
    questions.is_absent
from questions
left join apps on questions.app_id = apps.app_id
left join ratings
    on questions.app_id = ratings.app_id
    and questions.message_id = ratings.message_id
