-- One row per app and local day with a message that Dify still has: conversations by kind.
-- materialized: table
-- incremental: app_id, message_date
-- app_id: Id of the app.
-- message_date: Local day of the messages.
-- console_conversations: Conversations of accounts that a list shows.
-- listed_conversations: Conversations that a list shows.
-- unlisted_conversations: Conversations that none shows.
-- messages: Messages of all of them on that day.
-- untold_tokens: The most messages without tokens that one of them has.

select
    app_id,
    message_date,
    count(distinct conversation_id) filter (where is_listed and is_console)
        as console_conversations,
    count(distinct conversation_id) filter (where is_listed) as listed_conversations,
    count(distinct conversation_id) filter (where not is_listed) as unlisted_conversations,
    cast(sum(messages) as bigint) as messages,
    max(untold_tokens) as untold_tokens
from marts.conversation_days
where not is_absent
group by app_id, message_date
