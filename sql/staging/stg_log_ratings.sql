-- One row per completion log that nobody opened and no newer export tells of: its ratings by list.
-- conversation_id: Id of the log, which is a conversation of one message.
-- app_id: Id of the app.
-- created_date: Local day of the question.
-- likes: Likes of its only message, by users and editors.
-- dislikes: Dislikes of its only message, by users and editors.

-- Who rated is not told by the list, and before 1.10.1 by nothing: staging.stg_message_feedbacks
-- has no row then. Since then an export tells it, once a week, and lists of old days are read
-- seldom: what changed last knows best.

with exported as (
    select
        conversation_id,
        max(greatest(changed_at, coalesce(absent_since, changed_at))) as changed_at
    from raw.message_feedbacks
    group by conversation_id
)

select
    conversations.conversation_id,
    conversations.app_id,
    conversations.created_date,
    coalesce(conversations.user_like_count, 0)
    + coalesce(conversations.admin_like_count, 0) as likes,
    coalesce(conversations.user_dislike_count, 0)
    + coalesce(conversations.admin_dislike_count, 0) as dislikes
from raw.conversations as conversations
left join exported on conversations.conversation_id = exported.conversation_id
where
    conversations.absent_since is null
    and conversations.conversation_id in (
        select conversation_id from raw.messages where message_id is null
    )
    and (exported.changed_at is null or exported.changed_at <= conversations.changed_at)
