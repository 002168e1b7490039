-- One row per member of the workspace, invited ones included.
-- account_name: Name that others see.
-- role: One of owner, admin, editor, normal, dataset_operator.
-- status: One of pending, uninitialized, active, banned, closed.
-- last_login_at: Last login, UTC.
-- last_active_at: Last call, to 10 minutes, UTC.
-- created_at: When the account was made, UTC.
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
