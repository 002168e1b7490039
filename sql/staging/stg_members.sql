-- One row per member of the workspace, invited ones included.
-- account_id: Id of the account.
-- account_name: Name that others see.
-- email: E-mail address; Dify does not validate it.
-- avatar: File id or address of the picture.
-- avatar_url: Signed address of the picture; changes.
-- role: One of owner, admin, editor, normal, dataset_operator.
-- roles: Roles, JSON list (newest servers).
-- status: One of pending, uninitialized, active, banned, closed.
-- last_login_at: Last login, UTC.
-- last_active_at: Last call, to 10 minutes, UTC.
-- created_at: When the account was made, UTC.
-- odd_fields: Columns that keep the last good value, since Dify's last was odd; null: none.
-- extra: Fields that Dify sent and no known version has; null: none.
-- loaded_at: When this row was first loaded, UTC.
-- changed_at: When a value of this row last changed here, UTC.
-- absent_since: When Dify was proven to have it no more, UTC; null: there.
-- is_absent: Whether Dify was proven to have it no more.

select
    account_id,
    name as account_name,
    email,
    avatar,
    avatar_url,
    role,
    roles,
    status,
    last_login_at,
    last_active_at,
    created_at,
    odd_fields,
    extra,
    loaded_at,
    changed_at,
    absent_since,
    absent_since is not null as is_absent
from raw.members
