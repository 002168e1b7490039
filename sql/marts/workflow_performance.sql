-- One row per app, workflow version and local day with at least one run; debugging is left out.
-- incremental: app_id, run_date
-- linked by: run
-- workspace_id: Id of the workspace.
-- app_id: Id of the app.
-- app_name: Name of the app.
-- app_mode: Mode of the app: workflow, or advanced-chat (a run per message).
-- workflow_version: Version that the runs ran; null when the run does not tell it.
-- version_name: Name that its publisher gave it; null: none.
-- version_published_at: When it was published, UTC; null: not told.
-- run_date: Local day on which the runs began.
-- runs: Runs that began on that day, those that Dify deleted since too.
-- succeeded_runs: Runs with status succeeded.
-- partly_succeeded_runs: Runs with status partial-succeeded: a node failed and was handled.
-- failed_runs: Runs with status failed.
-- stopped_runs: Runs with status stopped: somebody ended them.
-- unfinished_runs: Runs that had not ended when last read.
-- failure_rate: Failed among the ended runs, 0 to 1; null when none ended.
-- p50_seconds: Half of the ended runs were as fast as this; null when none ended.
-- p95_seconds: 95 of 100 ended runs were as fast as this.
-- total_tokens: Tokens of all runs, as the runs tell them.
-- priced_runs: Runs of which a price is told, by their nodes or by their message.
-- total_price: What these cost, in `currency`; null: unknown, or several currencies.
-- currency: Currency of total_price, unknown: untold; null: no price, several, or all cost 0.

-- Prices that marts.costs computes or shares out are not of a run, and not in here.

with runs as (
    select
        app_id,
        workflow_run_id,
        workflow_version,
        created_date as run_date,
        status,
        coalesce(
            status in ('succeeded', 'partial-succeeded', 'failed', 'stopped'), false
        ) as is_ended,
        elapsed_seconds,
        total_tokens
    from staging.stg_workflow_runs
    where triggered_from is distinct from 'debugging' and created_date is not null
),

charges as (
    select
        workflow_run_id,
        total_price,
        case when total_price > 0 then coalesce(currency, 'unknown') end as currency
    from staging.stg_charges
    where workflow_run_id is not null and total_price is not null
),

run_prices as (
    select
        workflow_run_id,
        cast(sum(total_price) as decimal(38, 10)) as total_price,
        count(distinct currency) as currencies,
        max(currency) as currency
    from charges
    group by workflow_run_id
),

versions as (
    select
        app_id,
        version,
        max_by(marked_name, (created_at, workflow_id)) as version_name,
        max(created_at) as version_published_at
    from staging.stg_workflow_versions
    group by app_id, version
),

counted as (
    select
        runs.app_id,
        runs.workflow_version,
        runs.run_date,
        count(*) as runs,
        count(*) filter (where runs.status = 'succeeded') as succeeded_runs,
        count(*) filter (where runs.status = 'partial-succeeded') as partly_succeeded_runs,
        count(*) filter (where runs.status = 'failed') as failed_runs,
        count(*) filter (where runs.status = 'stopped') as stopped_runs,
        count(*) filter (where runs.is_ended) as ended_runs,
        quantile_cont(runs.elapsed_seconds, 0.5) filter (where runs.is_ended) as p50_seconds,
        quantile_cont(runs.elapsed_seconds, 0.95) filter (where runs.is_ended) as p95_seconds,
        cast(sum(runs.total_tokens) as decimal(38, 0)) as total_tokens,
        count(run_prices.workflow_run_id) as priced_runs,
        cast(sum(run_prices.total_price) as decimal(38, 10)) as total_price,
        min(run_prices.currency) is distinct from max(run_prices.currency)
        or coalesce(max(run_prices.currencies), 0) > 1 as is_mixed,
        max(run_prices.currency) as currency
    from runs
    left join run_prices on runs.workflow_run_id = run_prices.workflow_run_id
    group by runs.app_id, runs.workflow_version, runs.run_date
)

select
    (select max(source.workspace_id) from ops.source as source) as workspace_id,
    counted.app_id,
    apps.app_name,
    apps.app_mode,
    counted.workflow_version,
    nullif(versions.version_name, '') as version_name,
    versions.version_published_at,
    counted.run_date,
    counted.runs,
    counted.succeeded_runs,
    counted.partly_succeeded_runs,
    counted.failed_runs,
    counted.stopped_runs,
    counted.runs - counted.ended_runs as unfinished_runs,
    counted.failed_runs / nullif(counted.ended_runs, 0) as failure_rate,
    counted.p50_seconds,
    counted.p95_seconds,
    counted.total_tokens,
    counted.priced_runs,
    case when not counted.is_mixed then counted.total_price end as total_price,
    case when not counted.is_mixed then counted.currency end as currency
from counted
left join staging.stg_apps as apps on counted.app_id = apps.app_id
left join versions
    on counted.app_id = versions.app_id and counted.workflow_version = versions.version
