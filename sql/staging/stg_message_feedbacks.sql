-- One row per like or dislike: message, source (user or admin) and giver.
-- rating: Either like or dislike.
-- comment: Comment.
-- from_source: Who rated: user or admin.
-- end_user_id: End user, when from_source is user.
-- account_id: Account, when from_source is admin.
-- account_name: Its name.
-- account_email: Its e-mail.
-- person_id: Who it is, by the rule of stg_people; null: nobody.
-- person_name: Session id of the end user, or name of the account.
-- person_kind: One of account, browser, end_user, nobody.
-- is_absent: Whether Dify was proven to have it no more.

with feedbacks as (
    select
        *,
        coalesce(from_end_user_id, from_account_id) as asked_by
    from raw.message_feedbacks
)

select
    message_id,
    conversation_id,
    app_id,
    position,
    rating,
    content as comment,
    from_source,
    from_end_user_id as end_user_id,
    from_account_id as account_id,
    from_account_name as account_name,
    from_account_email as account_email,
    case when actor_id is null then asked_by else person_id end as person_id,
    person_name,
    person_kind,
    feedback_id,
    created_at,
    created_date,
    created_hour,
    message_created_at,
    message_created_date,
    odd_fields,
    extra,
    loaded_at,
    changed_at,
    absent_since,
    absent_since is not null as is_absent
from feedbacks
left join staging.stg_actors as actors on feedbacks.asked_by = actors.actor_id
