-- One row per completion log that nobody opened: the ratings that the list of logs counts.
-- conversation_id: Id of the log, which is a conversation of one message.
-- app_id: Id of the app.
-- created_date: Local day of the question.
-- likes: Likes of its only message, by users and editors.
-- dislikes: Dislikes of its only message, by users and editors.

-- Who rated is not told by the list, and before 1.10.1 by nothing: staging.stg_message_feedbacks
-- has no row then.

select
    conversation_id,
    app_id,
    created_date,
    coalesce(user_like_count, 0) + coalesce(admin_like_count, 0) as likes,
    coalesce(user_dislike_count, 0) + coalesce(admin_dislike_count, 0) as dislikes
from raw.conversations
where
    absent_since is null
    and conversation_id in (select conversation_id from raw.messages where message_id is null)
