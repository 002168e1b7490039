-- One row per app, local day and metric: whether Dify's figure and our rows agree, and why not.
-- workspace_id: Id of the workspace.
-- app_id: Id of the app.
-- app_name: Name of the app.
-- app_mode: Mode of the app.
-- statistic_date: Local day in the account's time zone.
-- metric: Which figure, as daily_messages.
-- unit: Unit of both figures; null when Dify shows none for this day.
-- verdict: One of equal, explained, late, differs: see below.
-- dify_figure: Dify's latest figure; null when it shows none, which it does on days without rows.
-- our_figure: The figure counted again from all rows that are held; null: no rows.
-- difference: our_figure less dify_figure; a missing side counts as 0.
-- reason: Why the verdict is so: which rows, how many, and which rule of which version.
-- command: What reads this app again, settled days as well.
-- server_version: Server version that counted.
-- left_out_rows: Rows of ours that explain it, since that version leaves them out.
-- unlisted_rows: Rows that explain it, since that version counts them and shows them in no list.
-- untold_rows: Rows that explain it, since they do not tell what the figure adds up.
-- absent_rows: Rows that explain it, since they were deleted in Dify.

-- The verdicts, first match wins:
--   equal       the same, but for the last digit that Dify shows
--   explained   a rule of the version says which rows one side has and the other has not, and with
--               these the figures are the same; or what rows do not tell lies within the difference
--   late        the day is not over, was not read whole, or one side was read before it changed
--   differs     none of this: something is wrong on one side. The check no_figure_differs fails.
-- A metric has no row on days of which the statistics were never read, nor where neither side has
-- a figure.

with source as (
    select
        max(workspace_id) as workspace_id,
        max(timezone) as timezone,
        max(server_version) as server_version
    from ops.source
),

apps as (
    select app_id, app_name, app_mode, absent_since from staging.stg_apps
),

dify_figures as (
    select app_id, statistic_date, metric, unit, value, server_version
    from staging.stg_daily_statistics
    where account_timezone = (select timezone from source)
),

-- All figures of a day are read together, those that changed are kept with the version.
counted_by as (
    select
        app_id,
        statistic_date,
        max_by(server_version, read_at) as server_version
    from staging.stg_daily_statistics
    where account_timezone = (select timezone from source)
    group by app_id, statistic_date
),

our_figures as (
    select * from marts.recomputed_statistics
),

largest as (
    select app_id, statistic_date, total_price, server_version, is_settled
    from staging.stg_largest_figures
),

cost_days as (
    select
        app_id,
        usage_date,
        coalesce(sum(total_price) filter (where is_in_dify_figure), 0) as figure_price,
        coalesce(sum(total_price) filter (where price_source = 'unattributed'), 0)
            as unattributed_price,
        coalesce(sum(total_price) filter (where price_source = 'allocated'), 0)
            as allocated_price,
        coalesce(
            sum(total_price) filter (
                where difference_reason = 'beyond figure'
                and price_source in ('database', 'message', 'nodes')
            ),
            0
        ) as beyond_price,
        coalesce(sum(messages) filter (where difference_reason = 'console'), 0)::bigint
            as console_messages,
        bool_or(price_source = 'unit_price') as has_estimates,
        bool_or(coalesce(difference_reason = 'mixed currencies', false)) as is_mixed
    from marts.costs
    where app_mode <> 'workflow'
    group by app_id, usage_date
),

days_read as (
    select
        slices.feed,
        slices.app_id,
        slices.slice_date,
        slices.state,
        slices.reason,
        slices.is_settled,
        slices.run_id,
        slices.read_at
    from ops.slices as slices
    where slices.slice_date is not null
),

ended_runs as (
    select run_id, max(ended_at) as ended_at from ops.runs group by run_id
),

paired as (
    select
        app_id,
        statistic_date,
        metric,
        dify_figures.unit,
        dify_figures.value as dify_figure,
        our_figures.value as our_figure,
        our_figures.counted_value,
        our_figures.debugging_value,
        our_figures.held_value,
        coalesce(our_figures.figure_rows, 0) as figure_rows,
        coalesce(our_figures.missing_rows, 0) as missing_rows,
        coalesce(our_figures.left_out_rows, 0) as left_out_rows,
        coalesce(our_figures.nameless_rows, 0) as nameless_rows,
        coalesce(our_figures.debugging_rows, 0) as debugging_rows,
        coalesce(our_figures.absent_rows, 0) as absent_rows,
        coalesce(our_figures.is_certain, true) as is_certain
    from dify_figures
    full join our_figures using (app_id, statistic_date, metric)
    where
        dify_figures.value is not null
        or our_figures.value is not null
        or our_figures.missing_rows > 0
),

versioned as (
    select
        paired.*,
        apps.app_name,
        apps.app_mode,
        apps.absent_since as app_absent_since,
        starts_with(paired.metric, 'workflow_') as is_of_runs,
        coalesce(counted_by.server_version, (select server_version from source), '')
            as server_version,
        case
            when paired.metric = 'total_price' then 0
            when paired.metric in ('average_response_time', 'tokens_per_second') then 0.0001
            when
                paired.metric = 'user_satisfaction_rate' or contains(paired.metric, 'average')
                then 0.01
            else 0
        end as tolerance,
        case
            when starts_with(paired.metric, 'workflow_') then 'workflow_runs'
            when apps.app_mode = 'completion' then 'conversations'
            else 'messages'
        end as rows_feed,
        case
            when starts_with(paired.metric, 'workflow_') then 'workflow_runs'
            else 'messages'
        end as rows_kind
    from paired
    join apps on paired.app_id = apps.app_id
    left join counted_by
        on paired.app_id = counted_by.app_id and paired.statistic_date = counted_by.statistic_date
),

with_days as (
    select
        versioned.*,
        coalesce(
            try_cast(split_part(versioned.server_version, '.', 1) as integer) * 1000000
            + try_cast(split_part(versioned.server_version, '.', 2) as integer) * 1000
            + coalesce(
                try_cast(
                    regexp_extract(split_part(versioned.server_version, '.', 3), '[0-9]+')
                    as integer
                ),
                0
            ),
            9000000
        ) as version_number,
        statistics_day.state as figure_state,
        statistics_day.reason as figure_reason,
        statistics_day.read_at as figure_read_at,
        statistics_day.is_settled is true and rows_day.is_settled is true as is_settled,
        rows_day.state as rows_state,
        rows_day.reason as rows_reason,
        statistics_day.run_id is distinct from rows_day.run_id
        and statistics_day.read_at > rows_day.read_at as is_figure_newer,
        statistics_day.run_id as figure_run_id,
        largest.total_price as largest_price,
        largest.server_version as largest_version,
        cost_days.figure_price,
        cost_days.unattributed_price,
        cost_days.allocated_price,
        cost_days.beyond_price,
        coalesce(cost_days.console_messages, 0) as console_messages,
        coalesce(cost_days.has_estimates, false) as has_estimates,
        coalesce(cost_days.is_mixed, false) as is_mixed,
        coalesce(talk_days.console_conversations, 0) as console_conversations,
        coalesce(talk_days.listed_conversations, 0) as listed_conversations,
        coalesce(talk_days.unlisted_conversations, 0) as unlisted_conversations,
        coalesce(talk_days.untold_tokens, 0) as untold_tokens,
        coalesce(talk_days.messages, 0) as messages,
        coalesce(lost_runs.runs, 0) as lost_runs
    from versioned
    join days_read as statistics_day
        on statistics_day.feed = 'daily_statistics'
        and versioned.app_id = statistics_day.app_id
        and versioned.statistic_date = statistics_day.slice_date
    left join days_read as rows_day
        on versioned.rows_feed = rows_day.feed
        and versioned.app_id = rows_day.app_id
        and versioned.statistic_date = rows_day.slice_date
    left join largest
        on versioned.app_id = largest.app_id and versioned.statistic_date = largest.statistic_date
    left join cost_days
        on versioned.app_id = cost_days.app_id and versioned.statistic_date = cost_days.usage_date
    left join staging.stg_daily_conversations as talk_days
        on versioned.app_id = talk_days.app_id and versioned.statistic_date = talk_days.message_date
    -- If one that messages or nodes name is not held, no rule explains that a run is missing.
    left join staging.stg_lost_runs as lost_runs
        on versioned.app_id = lost_runs.app_id and versioned.statistic_date = lost_runs.created_date
),

-- Rows that changed after Dify's figure was read; those that the same run brought first did not.
changed_since as (
    select
        days_read.app_id,
        days_read.slice_date,
        row_changes.rows_kind,
        cast(sum(row_changes.changed_rows) as bigint) as changed_rows
    from days_read
    join staging.stg_row_changes as row_changes
        on days_read.app_id = row_changes.app_id
        and days_read.slice_date = row_changes.changed_date
    left join ended_runs on days_read.run_id = ended_runs.run_id
    where
        days_read.feed = 'daily_statistics'
        and row_changes.changed_at > days_read.read_at
        and (
            row_changes.loaded_at < days_read.read_at
            and row_changes.changed_at > row_changes.loaded_at
            or row_changes.changed_at > coalesce(ended_runs.ended_at, row_changes.changed_at)
        )
    group by days_read.app_id, days_read.slice_date, row_changes.rows_kind
),

-- Runs of the other metrics of the day, beside each.
run_days as (
    select
        app_id,
        statistic_date,
        coalesce(max(our_figure) filter (where metric = 'workflow_daily_runs'), 0)
        - coalesce(max(dify_figure) filter (where metric = 'workflow_daily_runs'), 0) as runs_over,
        coalesce(max(our_figure) filter (where metric = 'workflow_token_count'), 0)
        - coalesce(max(dify_figure) filter (where metric = 'workflow_token_count'), 0)
            as run_tokens_over,
        coalesce(max(our_figure) filter (where metric = 'workflow_daily_terminals'), 0)
        - coalesce(max(dify_figure) filter (where metric = 'workflow_daily_terminals'), 0)
            as creators_over,
        coalesce(max(our_figure) filter (where metric = 'daily_conversations'), 0)
        - coalesce(max(dify_figure) filter (where metric = 'daily_conversations'), 0)
            as conversations_over,
        coalesce(max(our_figure) filter (where metric = 'daily_messages'), 0)
        - coalesce(max(dify_figure) filter (where metric = 'daily_messages'), 0)
            as messages_over
    from with_days
    group by app_id, statistic_date
),

compared as (
    select
        with_days.*,
        coalesce(with_days.our_figure, 0) - coalesce(with_days.dify_figure, 0) as difference,
        abs(coalesce(with_days.our_figure, 0) - coalesce(with_days.dify_figure, 0))
        <= with_days.tolerance as is_same,
        abs(coalesce(with_days.counted_value, 0) - coalesce(with_days.dify_figure, 0))
        <= with_days.tolerance as is_same_counted,
        coalesce(
            abs(with_days.debugging_value - coalesce(with_days.dify_figure, 0))
            <= with_days.tolerance,
            false
        ) as is_same_with_debugging,
        abs(coalesce(with_days.held_value, 0) - coalesce(with_days.dify_figure, 0))
        <= with_days.tolerance as is_same_held,
        run_days.runs_over,
        run_days.run_tokens_over,
        run_days.creators_over,
        run_days.conversations_over,
        run_days.messages_over,
        coalesce(changed_since.changed_rows, 0) as changed_rows
    from with_days
    join run_days
        on with_days.app_id = run_days.app_id
        and with_days.statistic_date = run_days.statistic_date
    left join changed_since
        on with_days.app_id = changed_since.app_id
        and with_days.statistic_date = changed_since.slice_date
        and with_days.rows_kind = changed_since.rows_kind
),

-- Which rule explains a metric; null: none.
ruled as (
    select
        *,
        case
            when metric = 'total_price'
                then
                    case
                        when beyond_price > 0 and left_out_rows = 0 and not is_mixed then null
                        when beyond_price > 0 and left_out_rows > 0 then 'left out'
                        when is_same and allocated_price = 0 then 'same'
                        when is_same then 'shared out'
                        when dify_figure is null and left_out_rows = figure_rows then 'left out'
                        when is_mixed
                            then
                                case
                                    when
                                        difference < 0
                                        and (missing_rows > 0 or console_messages > 0)
                                        then 'mixed currencies'
                                end
                        when figure_price = largest_price and largest_price > dify_figure
                            then 'shrunk'
                        when figure_price is distinct from dify_figure then null
                        when
                            version_number < 1009000
                            and debugging_rows > 0
                            and app_mode = 'advanced-chat'
                            then 'debugging'
                        when console_messages > 0 then 'explored'
                        when untold_tokens > 0 then 'untold'
                        when has_estimates then 'estimated'
                    end
            when is_same then 'same'
            when is_of_runs
                then
                    case
                        when
                            missing_rows > 0
                            and metric <> 'workflow_token_count'
                            and runs_over = 0
                            and creators_over between -missing_rows and 0
                            then 'untold'
                        when
                            version_number < 1009002
                            and runs_over < 0
                            and run_tokens_over <= 0
                            and creators_over between runs_over and 0
                            and lost_runs = 0
                            then 'unlisted'
                    end
            when
                version_number < 1009000
                and version_number >= 1007000
                and metric = 'daily_conversations'
                and app_mode <> 'advanced-chat'
                then
                    case
                        when
                            difference > 0
                            and unlisted_conversations = 0
                            and difference <= listed_conversations
                            then 'left out'
                    end
            when version_number >= 1009000 and is_same_counted and left_out_rows > 0
                then 'left out'
            when
                version_number >= 1009000
                and not is_certain
                and left_out_rows > 0
                and metric not in ('daily_messages', 'daily_conversations', 'token_count')
                and (
                    metric <> 'daily_end_users'
                    or nameless_rows > 0 and difference between 0 and conversations_over
                )
                then 'left out'
            when
                version_number >= 1009000
                and not is_certain
                and left_out_rows = 0
                and case metric
                    when 'daily_messages' then difference between conversations_over and messages
                    when 'daily_conversations' then difference between 0 and listed_conversations
                    when 'daily_end_users' then difference between 0 and conversations_over
                    when 'token_count' then difference >= 0
                    else true
                end
                then 'left out of many'
            when
                version_number < 1009000
                and debugging_rows > 0
                and app_mode = 'advanced-chat'
                and not (metric = 'daily_conversations' and version_number >= 1007000)
                and (
                    is_same_with_debugging
                    or metric = 'daily_conversations' and -difference between 1 and debugging_rows
                    or metric = 'token_count' and difference < 0
                    or metric in (
                        'user_satisfaction_rate',
                        'tokens_per_second',
                        'average_session_interactions'
                    )
                )
                then 'debugging'
            when missing_rows > 0 and metric = 'token_count'
                then
                    case
                        when coalesce(counted_value, 0) <= coalesce(dify_figure, 0) then 'untold'
                    end
            when missing_rows > 0 then 'untold'
        end as rule
    from compared
),

judged as (
    select
        *,
        case
            when rule = 'same' then 'equal'
            when rule is not null then 'explained'
            when app_absent_since is not null then 'explained'
            when
                figure_state <> 'proven'
                or rows_state is null
                or rows_state in ('failed', 'incomplete')
                or rows_state = 'unproven' and starts_with(rows_reason, 'not shown to this account')
                then 'late'
            when not is_settled or is_figure_newer or changed_rows > 0 then 'late'
            when is_same_held and absent_rows > 0 then 'explained'
            else 'differs'
        end as verdict
    from ruled
),

told as (
    select
        *,
        'Dify ' || server_version as dify,
        format('{:d}', left_out_rows - nameless_rows) || ' messages of accounts as debugging'
            as debugging_words,
        format('{:d}', nameless_rows) || ' messages as old rows without invoke_from'
            as nameless_words
    from judged
),

reconciliation as (
    select
        (select workspace_id from source) as workspace_id,
        app_id,
        app_name,
        app_mode,
        statistic_date,
        metric,
        unit,
        verdict,
        dify_figure,
        our_figure,
        difference::decimal(38, 10) as difference,
        case
            when rule = 'same' then 'The rows give Dify''s figure.'
            when rule = 'left out' and version_number < 1009000
                then
                    dify || ' counts no conversations of debugging and none without invoke_from '
                    || '(its rule since 1.7.0): it leaves out '
                    || format('{:d}', difference::bigint)
                    || ' of ' || format('{:d}', listed_conversations) || ', of which '
                    || format('{:d}', console_conversations) || ' are of accounts.'
            when rule = 'left out'
                then
                    dify || ' leaves out '
                    || case
                        when nameless_rows = 0 then debugging_words
                        when nameless_rows = left_out_rows then nameless_words
                        else debugging_words || ' and ' || nameless_words
                    end
                    || ' (its rule since 1.9.0); they are marked in marts.conversation_days.'
            when rule = 'left out of many'
                then
                    dify || ' leaves out debugging and old rows without invoke_from (its rule '
                    || 'since 1.9.0): ' || format('{:d}', messages_over::bigint)
                    || ' messages of ' || format('{:d}', conversations_over::bigint)
                    || ' of the day''s conversations; which ones of so many is not known.'
            when rule = 'debugging'
                then
                    dify || ' counts debugging (until 1.9.0): '
                    || format('{:d}', debugging_rows)
                    || ' messages of the chatflow that no list shows, only their runs.'
            when rule = 'unlisted' and app_mode = 'advanced-chat'
                then
                    dify || ' lists no published runs of chatflows (until 1.9.2): '
                    || format('{:d}', (-runs_over)::bigint)
                    || ' runs have no message that is there, and are counted all the same.'
            when rule = 'unlisted'
                then
                    dify || ' logs a run when it has ended (until 1.9.0), and none that another '
                    || 'workflow called (listed since 1.9.2): it counts '
                    || format('{:d}', (-runs_over)::bigint) || ' runs that no list shows.'
            when rule = 'untold' and is_of_runs
                then
                    format('{:d}', missing_rows)
                    || ' runs do not tell who began them, as that account or end user is gone.'
            when rule = 'untold'
                then
                    format('{:d}', missing_rows) || ' messages do not tell it, as their logs were '
                    || 'not opened (DIFY_ETL_COMPLETION_DETAIL).'
            when rule = 'shared out'
                then
                    dify || ' shows no price of ' || format('{:d}', missing_rows)
                    || ' messages; the rest of its figure was shared out to them by tokens: '
                    || allocated_price::varchar || '.'
            when rule = 'explored'
                then
                    dify || ' shows no price of messages, and ' || format('{:d}', console_messages)
                    || ' are of accounts, in Explore or while debugging, and are given no share: '
                    || unattributed_price::varchar || ' of the figure is unattributed.'
            when rule = 'estimated'
                then
                    dify || ' shows no price of ' || format('{:d}', missing_rows)
                    || ' messages; they are priced by what their model costs elsewhere, and '
                    || unattributed_price::varchar || ' of the figure is unattributed.'
            when rule = 'mixed currencies'
                then
                    dify || ' adds currencies as if they were one, so nothing is shared out: '
                    || concat_ws(
                        ', and ',
                        case
                            when missing_rows > 0
                                then
                                    'it shows no price of ' || format('{:d}', missing_rows)
                                    || ' messages'
                        end,
                        case
                            when console_messages > 0
                                then
                                    format('{:d}', console_messages)
                                    || ' are of accounts, in Explore or while debugging'
                        end
                    ) || '.'
            when rule = 'shrunk' and largest_version is distinct from server_version
                then
                    'Dify ' || coalesce(largest_version, '') || ' told ' || largest_price::varchar
                    || ' before, ' || dify || ' counts by another rule or rows were deleted.'
            when rule = 'shrunk'
                then
                    'Dify told ' || largest_price::varchar || ' before: rows were deleted since, '
                    || 'and were charged all the same.'
            when verdict = 'explained' and app_absent_since is not null
                then 'The app is gone in Dify since ' || app_absent_since::date::varchar
                || ': neither side can be read again.'
            when verdict = 'explained'
                then
                    dify || ' still counts ' || format('{:d}', absent_rows)
                    || ' rows of what was deleted; no list shows them.'
            when verdict = 'late' and figure_state <> 'proven'
                then 'Dify''s figures of the day were not read whole: '
                || coalesce(figure_reason, figure_state) || '.'
            when
                verdict = 'late'
                and (rows_state is null or rows_state in ('failed', 'incomplete', 'unproven'))
                then 'The rows of the day were not read whole (' || rows_feed || '): '
                || coalesce(rows_reason, rows_state, 'not read yet') || '.'
            when verdict = 'late' and not is_settled
                then 'The day was read less than 24 hours after its end; figures and rows move.'
            when verdict = 'late' and changed_rows > 0
                then
                    format('{:d}', changed_rows) || ' rows of the day changed, came or were found '
                    || 'deleted after Dify''s figure was read at ' || figure_read_at::varchar || '.'
            when verdict = 'late'
                then 'Dify''s figure was read by a later run than the rows of the day.'
            when metric = 'total_price' and beyond_price > 0
                then
                    'Messages and nodes were charged ' || beyond_price::varchar
                    || ' more than Dify''s figure, and no rule leaves them out.'
            when our_figure is null then 'Dify shows a figure, and no row is held.'
            when dify_figure is null then 'Rows are held, and Dify shows no figure.'
            else 'No rule of ' || dify || ' explains the difference.'
        end as reason,
        'dify-etl sync --full --app '
        -- People paste it: an odd id stays one word of a shell.
        || if(
            regexp_full_match(app_id, '[0-9A-Za-z][0-9A-Za-z_-]*'),
            app_id,
            '''' || replace(app_id, '''', '''"''"''') || ''''
        )
        || case
            when is_of_runs
                then ' --feed daily_statistics --feed workflow_runs --feed node_executions'
            when metric = 'total_price' and app_mode = 'advanced-chat'
                then
                    ' --feed daily_statistics --feed conversations --feed messages'
                    || ' --feed workflow_runs --feed node_executions'
            else ' --feed daily_statistics --feed conversations --feed messages'
        end as command,
        server_version,
        case
            when rule = 'left out' and version_number < 1009000 then difference::bigint
            when rule = 'left out' then left_out_rows
            when rule = 'left out of many' then messages_over::bigint
            else 0
        end as left_out_rows,
        case
            when rule = 'debugging' then debugging_rows
            when rule = 'unlisted' then (-runs_over)::bigint
            else 0
        end as unlisted_rows,
        case
            when rule in ('untold', 'shared out', 'explored', 'estimated', 'mixed currencies')
                then missing_rows
            else 0
        end as untold_rows,
        case
            when verdict = 'explained' and (rule is null or rule = 'shrunk') then absent_rows
            else 0
        end as absent_rows
    from told
)

select * from reconciliation
