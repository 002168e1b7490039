-- One row per change of an app: a publication, or another configuration, with the weeks around it.
-- workspace_id: Id of the workspace.
-- app_id: Id of the app.
-- app_name: Name of the app now.
-- app_mode: Mode of the app.
-- change_kind: One of publication (workflow or agent), configuration.
-- change_id: Id of the published version; for a configuration the number in stg_app_versions.
-- changed_at: When it was changed, UTC, as Dify tells it, else when a read found it.
-- changed_date: Local day of changed_at.
-- changed: For a configuration what is otherwise, JSON list of columns of raw.apps; else null.
-- version: The published version; null for a configuration.
-- version_name: Name that its publisher gave it; null: none.
-- version_comment: What the publisher wrote; null: nothing.
-- changed_by_account_id: Account that changed it; null: Dify does not tell.
-- changed_by_name: Its name.
-- days_before: Days of the 7 before changed_date that were read.
-- messages_before: Questions on these days.
-- runs_before: Runs of workflow apps on these days, debugging left out.
-- failed_before: Messages and runs among them that failed.
-- tokens_before: Tokens of these days (total_tokens of app_daily_usage).
-- price_before: Their price; null: nothing was priced, or several currencies.
-- currency_before: Currency of price_before.
-- likes_before: Likes of the messages of these days.
-- dislikes_before: Dislikes of the messages of these days.
-- average_seconds_before: Mean seconds of answers, of workflow apps of runs; null: none is told.
-- days_after: Days of the 7 after changed_date that were read; fewer than 7: the week is not over.
-- messages_after: As messages_before, for the 7 days after changed_date.
-- runs_after: As runs_before, for the 7 days after changed_date.
-- failed_after: As failed_before, for the 7 days after changed_date.
-- tokens_after: As tokens_before, for the 7 days after changed_date.
-- price_after: As price_before, for the 7 days after changed_date.
-- currency_after: Currency of price_after.
-- likes_after: As likes_before, for the 7 days after changed_date.
-- dislikes_after: As dislikes_before, for the 7 days after changed_date.
-- average_seconds_after: As average_seconds_before, for the 7 days after changed_date.

-- The day of the change is in neither week. Publications are known as far back as Dify lists them,
-- configurations since the first read. An app without a day in app_daily_usage has nulls.

with publications as (
    select
        app_id,
        'publication' as change_kind,
        workflow_id as change_id,
        created_at as changed_at,
        created_date as changed_date,
        cast(null as json) as changed,
        version,
        nullif(marked_name, '') as version_name,
        nullif(marked_comment, '') as version_comment,
        created_by_account_id as changed_by_account_id,
        created_by_account_name as changed_by_name
    from staging.stg_workflow_versions
    where created_at is not null
    union all
    select
        versions.app_id,
        'publication' as change_kind,
        versions.agent_version_id as change_id,
        versions.created_at as changed_at,
        days.local_date as changed_date,
        cast(null as json) as changed,
        cast(versions.version as varchar) as version,
        cast(null as varchar) as version_name,
        nullif(versions.version_note, '') as version_comment,
        versions.created_by_account_id as changed_by_account_id,
        people.person_name as changed_by_name
    from staging.stg_agent_versions as versions
    left join staging.stg_people as people
        on versions.created_by_account_id = people.actor_id
    left join ops.local_days as days
        on versions.created_at >= days.starts_at and versions.created_at < days.ends_at
    where versions.created_at is not null
),

-- What changed beside the published version, or a published version that no list shows.
configurations as (
    select
        versions.app_id,
        case when versions.other_changes = 0 then 'publication' else 'configuration' end
            as change_kind,
        cast(versions.app_version as varchar) as change_id,
        versions.valid_from_at as changed_at,
        versions.valid_from_date as changed_date,
        case when versions.other_changes > 0 then versions.changed end as changed,
        cast(null as varchar) as version,
        cast(null as varchar) as version_name,
        cast(null as varchar) as version_comment,
        case when apps.updated_at = versions.valid_from_at then apps.updated_by_account_id end
            as changed_by_account_id,
        case when apps.updated_at = versions.valid_from_at then people.person_name end
            as changed_by_name
    from (
        select
            *,
            json_array_length(changed)
            - case when json_contains(changed, '"workflow_id"') then 1 else 0 end
                as other_changes
        from staging.stg_app_versions
        where app_version > 1
    ) as versions
    left join publications
        on versions.app_id = publications.app_id and versions.workflow_id = publications.change_id
    left join staging.stg_apps as apps on versions.app_id = apps.app_id
    left join staging.stg_people as people on apps.updated_by_account_id = people.actor_id
    where versions.other_changes > 0 or publications.change_id is null
),

changes as (
    select * from publications
    union all
    select * from configurations
),

days as (
    select
        daily.app_id,
        daily.usage_date,
        daily.messages,
        case when daily.app_mode = 'workflow' then daily.workflow_runs else 0 end as runs,
        daily.error_messages
        + case when daily.app_mode = 'workflow' then coalesce(runs.failed_runs, 0) else 0 end
            as failed,
        daily.total_tokens,
        daily.total_price,
        daily.currency,
        daily.currencies,
        daily.likes,
        daily.dislikes,
        seconds.seconds,
        seconds.timed
    from marts.app_daily_usage as daily
    left join marts.workflow_reliability as runs
        on daily.app_id = runs.app_id and daily.usage_date = runs.run_date
    left join staging.stg_daily_seconds as seconds
        on daily.app_id = seconds.app_id and daily.usage_date = seconds.created_date
),

sides as (
    select
        changes.change_kind,
        changes.change_id,
        changes.app_id,
        days.usage_date > changes.changed_date as is_after,
        count(*) as days,
        cast(sum(days.messages) as bigint) as messages,
        cast(sum(days.runs) as bigint) as runs,
        cast(sum(days.failed) as bigint) as failed,
        cast(sum(days.total_tokens) as decimal(38, 0)) as tokens,
        case
            when max(days.currencies) <= 1 and count(distinct days.currency) <= 1
                then cast(sum(days.total_price) as decimal(38, 10))
        end as price,
        case
            when max(days.currencies) <= 1 and count(distinct days.currency) = 1
                then max(days.currency)
        end as currency,
        cast(sum(days.likes) as bigint) as likes,
        cast(sum(days.dislikes) as bigint) as dislikes,
        round(sum(days.seconds) / sum(days.timed), 6) as average_seconds
    from changes
    inner join days
        on
            changes.app_id = days.app_id
            and days.usage_date between changes.changed_date - 7 and changes.changed_date + 7
            and days.usage_date <> changes.changed_date
    group by
        changes.change_kind,
        changes.change_id,
        changes.app_id,
        days.usage_date > changes.changed_date
)

select
    (select max(source.workspace_id) from ops.source as source) as workspace_id,
    changes.app_id,
    apps.app_name,
    apps.app_mode,
    changes.change_kind,
    changes.change_id,
    changes.changed_at,
    changes.changed_date,
    changes.changed,
    changes.version,
    changes.version_name,
    changes.version_comment,
    changes.changed_by_account_id,
    changes.changed_by_name,
    coalesce(earlier.days, 0) as days_before,
    earlier.messages as messages_before,
    earlier.runs as runs_before,
    earlier.failed as failed_before,
    earlier.tokens as tokens_before,
    earlier.price as price_before,
    earlier.currency as currency_before,
    earlier.likes as likes_before,
    earlier.dislikes as dislikes_before,
    earlier.average_seconds as average_seconds_before,
    coalesce(later.days, 0) as days_after,
    later.messages as messages_after,
    later.runs as runs_after,
    later.failed as failed_after,
    later.tokens as tokens_after,
    later.price as price_after,
    later.currency as currency_after,
    later.likes as likes_after,
    later.dislikes as dislikes_after,
    later.average_seconds as average_seconds_after
from changes
left join staging.stg_apps as apps on changes.app_id = apps.app_id
left join sides as earlier
    on
        changes.app_id = earlier.app_id
        and changes.change_kind = earlier.change_kind
        and changes.change_id = earlier.change_id
        and not earlier.is_after
left join sides as later
    on
        changes.app_id = later.app_id
        and changes.change_kind = later.change_kind
        and changes.change_id = later.change_id
        and later.is_after
