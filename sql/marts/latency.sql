-- One row per app, model and local day with at least one message that tells how long it took.
-- incremental: app_id, message_date
-- workspace_id: Id of the workspace.
-- app_id: Id of the app.
-- app_name: Name of the app.
-- app_mode: Mode of the app.
-- provider: Provider of the model that answered; null when none is known.
-- model: The model that answered; null: unknown, or several, as in many chatflows.
-- message_date: Local day of the messages.
-- messages: Messages that tell how long they took, deleted ones too; debugging, where shown.
-- failed_messages: Those among them with status error.
-- p50_seconds: Half of the messages were answered within these seconds.
-- p95_seconds: 95 of 100 messages were answered within these seconds.
-- p99_seconds: 99 of 100 messages were answered within these seconds.
-- max_seconds: Seconds of the slowest answer.
-- tokens_per_second: Tokens of the answers by the seconds that these took; null without tokens.
-- messages_with_first_token: Messages that tell when the first token came.
-- p50_first_token_seconds: Half of them had their first token within these seconds.
-- p95_first_token_seconds: 95 of 100 of them had their first token within these seconds.
-- is_proven: Whether the messages of the day were proven whole; if not, there may be more.

-- Sums of floating point are rounded: their last digits depend on the order of adding, and every
-- build has to give the same.

with apps as (
    select app_id, app_name, app_mode from staging.stg_apps
),

messages as (
    select
        app_id,
        provider,
        model,
        created_date as message_date,
        status,
        latency_seconds,
        answer_tokens,
        time_to_first_token_seconds
    from staging.stg_messages
    where latency_seconds > 0 and created_date is not null
),

days_read as (
    select app_id, slice_date as message_date, bool_and(state = 'proven') as is_proven
    from ops.slices
    where feed = 'messages' and slice_date is not null
    group by app_id, slice_date
),

measured as (
    select
        app_id,
        provider,
        model,
        message_date,
        count(*) as messages,
        count(*) filter (where status = 'error') as failed_messages,
        quantile_cont(latency_seconds, 0.5) as p50_seconds,
        quantile_cont(latency_seconds, 0.95) as p95_seconds,
        quantile_cont(latency_seconds, 0.99) as p99_seconds,
        max(latency_seconds) as max_seconds,
        round(
            sum(answer_tokens) filter (where answer_tokens > 0)
            / sum(latency_seconds) filter (where answer_tokens > 0),
            6
        ) as tokens_per_second,
        count(time_to_first_token_seconds) as messages_with_first_token,
        quantile_cont(time_to_first_token_seconds, 0.5) as p50_first_token_seconds,
        quantile_cont(time_to_first_token_seconds, 0.95) as p95_first_token_seconds
    from messages
    group by app_id, provider, model, message_date
)

select
    (select max(source.workspace_id) from ops.source as source) as workspace_id,
    measured.app_id,
    apps.app_name,
    apps.app_mode,
    measured.provider,
    measured.model,
    measured.message_date,
    measured.messages,
    measured.failed_messages,
    measured.p50_seconds,
    measured.p95_seconds,
    measured.p99_seconds,
    measured.max_seconds,
    measured.tokens_per_second,
    measured.messages_with_first_token,
    measured.p50_first_token_seconds,
    measured.p95_first_token_seconds,
    coalesce(days_read.is_proven, false) as is_proven
from measured
left join apps on measured.app_id = apps.app_id
left join days_read
    on
        measured.app_id = days_read.app_id
        and measured.message_date = days_read.message_date
