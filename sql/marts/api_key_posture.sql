-- One row per API key that is in Dify, as far as the reading account is shown it.
-- workspace_id: Id of the workspace.
-- api_key_id: Id of the key.
-- key_type: One of app, dataset (a key of the workspace's datasets).
-- app_id: Id of the app; null for the datasets.
-- app_name: Name of the app; null for the datasets.
-- masked_token: First 5 and last 4 characters of the key.
-- created_at: When the key was made, UTC.
-- last_used_at: Last use, UTC: at most a minute late, up to an hour since 1.13; null: never.
-- read_at: When the keys were read, UTC: all ages are of then; null: the last read failed.
-- age_days: Whole days since the key was made.
-- unused_days: Whole days since its last use; if it was never used, since it was made.
-- is_never_used: Whether Dify never saw it used.
-- max_age_days: How old a key may become, by the policy's defaults, else 90; null: a wrong policy.
-- is_over_age: Whether it is older than that; null: not known.
-- consumer: Who uses it, in the words of the policy; null: no rotation made it.
-- sink: Where a rotation put it; null: no rotation made it.
-- entry: Under which name it is kept there.
-- made_by: Who applied the plan that made it, by the audit: Dify account and machine's user.
-- rotation_state: State of the rotation that made it.
-- is_being_replaced: Whether a rotation that is under way will revoke it.
-- keys_in_place: Keys of the same app, or of the datasets.
-- slots_left: Keys that may still be made there: Dify allows 10; a rotation needs one.

with settings as (
    select case when count(*) = 0 then 90 else max(try_cast(value as integer)) end as max_age_days
    from ops.model_settings
    where setting = 'key_max_age_days'
),

keys as (
    select
        api_key_id,
        'app' as key_type,
        app_id,
        masked_token,
        created_at,
        last_used_at
    from staging.stg_app_api_keys
    where not is_absent
    union all
    select
        api_key_id,
        'dataset' as key_type,
        cast(null as varchar) as app_id,
        masked_token,
        created_at,
        last_used_at
    from staging.stg_dataset_api_keys
    where not is_absent
),

reads as (
    select
        case when feed = 'app_api_keys' then 'app' else 'dataset' end as key_type,
        app_id,
        max(read_at) as read_at
    from ops.slices
    where
        feed in ('app_api_keys', 'dataset_api_keys') and state not in ('failed', 'incomplete')
    group by feed, app_id
),

rotations as (
    select
        new_key_id,
        max_by(rotation_id, (started_at, rotation_id)) as rotation_id
    from ops.key_rotations
    where new_key_id is not null
    group by new_key_id
),

makers as (
    select
        rotations.rotation_id,
        min_by(audit.actor, (audit.recorded_at, audit.entry_id)) as made_by
    from ops.key_rotations as rotations
    inner join ops.audit as audit
        on
            rotations.target_id = audit.target_id
            and audit.recorded_at >= rotations.started_at
            and audit.recorded_at <= coalesce(rotations.promoted_at, rotations.stood_at)
    where audit.operation = 'keys.rotate'
    group by rotations.rotation_id
),

replaced as (
    select distinct unnest(from_json(old_key_ids, '["VARCHAR"]')) as api_key_id
    from ops.key_rotations
    where state not in ('proven', 'failed', 'rolled_back', 'withdrawing')
),

places as (
    select key_type, app_id, count(*) as keys_in_place
    from keys
    group by key_type, app_id
)

select
    (select max(source.workspace_id) from ops.source as source) as workspace_id,
    keys.api_key_id,
    keys.key_type,
    keys.app_id,
    apps.app_name,
    keys.masked_token,
    keys.created_at,
    keys.last_used_at,
    reads.read_at,
    cast(floor((epoch(reads.read_at) - epoch(keys.created_at)) / 86400) as bigint) as age_days,
    cast(
        floor(
            (epoch(reads.read_at) - epoch(coalesce(keys.last_used_at, keys.created_at))) / 86400
        ) as bigint
    ) as unused_days,
    keys.last_used_at is null as is_never_used,
    settings.max_age_days,
    epoch(reads.read_at) - epoch(keys.created_at) > settings.max_age_days * 86400 as is_over_age,
    key_rotations.consumer,
    key_rotations.sink,
    key_rotations.entry,
    makers.made_by,
    key_rotations.state as rotation_state,
    replaced.api_key_id is not null as is_being_replaced,
    places.keys_in_place,
    greatest(10 - places.keys_in_place, 0) as slots_left
from keys
cross join settings
inner join places
    on keys.key_type = places.key_type and keys.app_id is not distinct from places.app_id
left join reads
    on keys.key_type = reads.key_type and keys.app_id is not distinct from reads.app_id
left join staging.stg_apps as apps on keys.app_id = apps.app_id
left join rotations on keys.api_key_id = rotations.new_key_id
left join ops.key_rotations as key_rotations on rotations.rotation_id = key_rotations.rotation_id
left join makers on rotations.rotation_id = makers.rotation_id
left join replaced on keys.api_key_id = replaced.api_key_id
