-- One row per API key of an app; the key itself is never kept.
-- app_id: Id of the app.
-- key_type: Always app here.
-- masked_token: First 5 and last 4 characters of the key.
-- token_fingerprint: HMAC-SHA256 of the key, hex; null when Dify masks it or no secret is set.
-- created_at: When the key was made, UTC.
-- last_used_at: Last use, UTC: at most a minute late, up to an hour since 1.13.
-- is_absent: Whether Dify was proven to have it no more.

select
    api_key_id,
    app_id,
    key_type,
    masked_token,
    token_fingerprint,
    dataset_ids,
    created_at,
    last_used_at,
    loaded_at,
    changed_at,
    absent_since,
    absent_since is not null as is_absent
from raw.app_api_keys
