-- One row per end user or account that talks, runs or rates: the person whom it stands for.
-- materialized: table
-- actor_id: Id of the end user or of the account; end users are per app.
-- actor_kind: One of end_user, account.
-- app_id: App of the end user; null for accounts.
-- person_id: Session id of the end user, the same across apps, or id of the account; null: nobody.
-- person_name: Session id of the end user (the API caller's `user`), or name of the account.
-- person_kind: One of account, browser (visitors of web apps), end_user, nobody (DEFAULT-USER).
-- is_nobody: Whether it is DEFAULT-USER, Dify's name for all callers that name no user.

-- With DIFY_ETL_PERSON=app (ops.model_settings) equal session ids in two apps are two persons.
-- Lists of chats do not tell whether a visitor came by the web app: their kind is end_user, unless
-- a run of the same session tells more.

with person_rule as (
    select coalesce(max(value), 'workspace') as scope
    from ops.model_settings
    where setting = 'person'
),

end_user_rows as (
    select
        from_end_user_id as actor_id,
        app_id,
        from_end_user_session_id as session_id,
        false as is_browser
    from raw.conversations
    where from_end_user_id is not null
    union all
    select
        created_by_end_user_id as actor_id,
        app_id,
        created_by_end_user_session_id as session_id,
        coalesce(created_by_end_user_type = 'browser', false)
        or coalesce(created_by_end_user_is_anonymous, false) as is_browser
    from raw.workflow_runs
    where created_by_end_user_id is not null
),

end_users as (
    select
        actor_id,
        max(app_id) as app_id,
        max(session_id) as session_id,
        bool_or(is_browser) as is_browser
    from end_user_rows
    group by actor_id
),

account_rows as (
    select account_id as actor_id, name as account_name, 1 as place
    from raw.members
    union all
    select from_account_id as actor_id, from_account_name as account_name, 2 as place
    from raw.conversations
    union all
    select created_by_account_id as actor_id, created_by_account_name as account_name, 2 as place
    from raw.workflow_runs
    union all
    select from_account_id as actor_id, from_account_name as account_name, 2 as place
    from raw.message_feedbacks
),

accounts as (
    select actor_id, arg_min(account_name, place) as account_name
    from account_rows
    where actor_id is not null
    group by actor_id
),

people as (
    select
        actor_id,
        'end_user' as actor_kind,
        app_id,
        case
            when session_id = 'DEFAULT-USER' then null
            when session_id is null then actor_id
            when (select scope from person_rule) = 'app' then app_id || '/' || session_id
            else session_id
        end as person_id,
        case when session_id <> 'DEFAULT-USER' then session_id end as person_name,
        coalesce(session_id = 'DEFAULT-USER', false) as is_nobody,
        is_browser
    from end_users
    union all
    select
        actor_id,
        'account' as actor_kind,
        null as app_id,
        actor_id as person_id,
        account_name as person_name,
        false as is_nobody,
        false as is_browser
    from accounts
)

select
    actor_id,
    actor_kind,
    app_id,
    person_id,
    person_name,
    case
        when is_nobody then 'nobody'
        when actor_kind = 'account' then 'account'
        when bool_or(is_browser) over (partition by person_id) then 'browser'
        else 'end_user'
    end as person_kind,
    is_nobody
from people
