-- One row per app, local day, conversation, end user, is_absent and counted_as: its messages then.
-- incremental: app_id, message_date
-- whole in stretches of days
-- linked by: conversation, rating
-- workspace_id: Id of the workspace.
-- app_id: Id of the app.
-- app_mode: Mode of the app.
-- message_date: Local day of the questions.
-- conversation_id: Id of the conversation.
-- end_user_id: End user who asked; null: an account did.
-- is_absent: Whether the messages are known to be deleted in Dify.
-- counted_as: By Dify's database counted, debugging or no invoke_from; null: it did not tell.
-- is_console: Whether accounts asked, in Explore or while debugging.
-- is_listed: Whether the lists of Dify show the conversation itself.
-- messages: Messages.
-- tokens: Tokens of prompts and answers (staging.stg_charges), as far as they are told.
-- answer_tokens: Tokens of the answers, likewise.
-- latency_seconds: Seconds of all answers, as far as they are told.
-- likes: Likes of users and admins.
-- joined_rows: Messages joined with likes: one that is liked twice is two rows, as in Dify.
-- untold_tokens: Messages that do not tell their tokens: of logs that nobody opened.
-- untold_latencies: Messages that do not tell their seconds.
-- absent_at: When the last of them was found deleted, UTC; null: there.
-- is_counted: Whether Dify's figures of the day count it, by the rule of the version.
-- left_out_reason: Why they do not: debugging, or no invoke_from; null: they do.
-- is_certain: Whether no other choice of conversations gives Dify's figures as well.

-- Since 1.9.0 Dify's figures leave out debugging, and old rows without `invoke_from`. Chatflows
-- list neither. In the lists of chat, agent-chat, completion and agent apps debugging looks like
-- Explore, and rows without `invoke_from` look like all others: which ones are left out Dify's
-- database tells (counted_as), and where it was not read, Dify's figures alone show it. So of the
-- conversations of which it does not tell those are chosen whose messages, number and tokens are
-- together what Dify's figures lack, if there are several with whom as many end users go: first
-- among those of accounts alone. Sets of up to ten conversations
-- of accounts and ten others are all tried, of more those of one or two, or all but these. When
-- none fits to the digit, the nearest of those of accounts are left out, and the rest differs.
-- Where more than two of so many are lacking, and no set that is tried fits, none is left out and
-- is_certain is false: that some are left out is known, not which.

with source as (
    select
        max(timezone) as timezone,
        coalesce(
            try_cast(split_part(max(server_version), '.', 1) as integer) * 1000
            + try_cast(split_part(max(server_version), '.', 2) as integer),
            9000
        ) >= 1009 as leaves_out_debugging
    from ops.source
),

apps as (
    select app_id, app_mode from staging.stg_apps where app_mode <> 'workflow'
),

talks as (
    select
        conversation_id,
        coalesce(user_like_count, 0) + coalesce(admin_like_count, 0) as likes
    from staging.stg_conversations
    where not is_absent
),

-- What a message says to be free is 0 in Dify's figure, whatever its nodes tell. Only of chatflows
-- a message may have several charges; all others are their messages' own tokens.
charged_tokens as (
    select
        message_id,
        sum(if(doubt = 'message says 0', 0, total_tokens)) as tokens,
        sum(if(doubt = 'message says 0', 0, completion_tokens)) as answer_tokens
    from staging.stg_charges
    where message_id is not null and app_mode = 'advanced-chat'
    group by message_id
),

likes as (
    select message_id, count(*) as likes
    from staging.stg_message_feedbacks
    where not is_absent and rating = 'like'
    group by message_id
),

asked as (
    select
        messages.app_id,
        messages.created_date as message_date,
        messages.conversation_id,
        messages.end_user_id,
        messages.is_absent,
        messages.counted_as,
        coalesce(messages.from_source = 'console', false) as is_console,
        case
            when apps.app_mode = 'advanced-chat' then charged_tokens.tokens
            when messages.message_id is not null
                then
                    messages.message_tokens::decimal(38, 0)
                    + messages.answer_tokens
        end as tokens,
        case
            when apps.app_mode = 'advanced-chat' then charged_tokens.answer_tokens
            when messages.message_id is not null
                then messages.answer_tokens::decimal(38, 0)
        end as answer_tokens,
        messages.latency_seconds,
        coalesce(
            likes.likes,
            case when messages.message_id is null then unopened.likes end,
            0
        ) as likes,
        messages.absent_since
    from staging.stg_message_rows as messages
    join apps on messages.app_id = apps.app_id
    left join talks as unopened
        on
            messages.message_id is null
            and messages.conversation_id = unopened.conversation_id
    left join charged_tokens on messages.message_id = charged_tokens.message_id
    left join likes on messages.message_id = likes.message_id
),

summed as (
    select
        app_id,
        message_date,
        conversation_id,
        end_user_id,
        is_absent,
        counted_as,
        bool_or(is_console) as is_console,
        count(*) as messages,
        coalesce(sum(tokens), 0)::decimal(38, 0) as tokens,
        coalesce(sum(answer_tokens), 0)::decimal(38, 0) as answer_tokens,
        coalesce(fsum(latency_seconds), 0)::double as latency_seconds,
        sum(likes)::bigint as likes,
        sum(greatest(likes, 1))::bigint as joined_rows,
        count(*) filter (where tokens is null) as untold_tokens,
        count(*) filter (where latency_seconds is null) as untold_latencies,
        max(absent_since) as absent_at
    from asked
    group by app_id, message_date, conversation_id, end_user_id, is_absent, counted_as
),

figures as (
    select
        app_id,
        statistic_date,
        max(value) filter (where metric = 'daily_messages') as messages,
        max(value) filter (where metric = 'daily_conversations') as conversations,
        max(value) filter (where metric = 'token_count') as tokens,
        max(value) filter (where metric = 'daily_end_users') as end_users,
        -- By the version that made the figure; of days without one by that of today.
        coalesce(
            try_cast(split_part(max_by(server_version, read_at), '.', 1) as integer) * 1000
            + try_cast(split_part(max_by(server_version, read_at), '.', 2) as integer)
            >= 1009,
            (select leaves_out_debugging from source)
        ) as leaves_out_debugging
    from staging.stg_daily_statistics
    where account_timezone = (select timezone from source)
    group by app_id, statistic_date
),

parts as (
    select
        summed.app_id,
        apps.app_mode,
        summed.message_date,
        summed.conversation_id,
        summed.end_user_id,
        summed.is_absent,
        summed.counted_as,
        coalesce(
            figures.leaves_out_debugging, (select leaves_out_debugging from source)
        ) as leaves_out_debugging,
        -- As far as Dify's database or the version tells.
        not summed.is_absent
        and not (
            coalesce(
                figures.leaves_out_debugging, (select leaves_out_debugging from source)
            )
            and coalesce(summed.counted_as <> 'counted', false)
        ) as may_be_counted,
        summed.is_console,
        talks.conversation_id is not null as is_listed,
        summed.messages,
        summed.tokens,
        summed.answer_tokens,
        summed.latency_seconds,
        summed.likes,
        summed.joined_rows,
        summed.untold_tokens,
        summed.untold_latencies,
        summed.absent_at
    from summed
    join apps on summed.app_id = apps.app_id
    left join figures
        on summed.app_id = figures.app_id and summed.message_date = figures.statistic_date
    left join talks on summed.conversation_id = talks.conversation_id
),

figure_days as (
    select app_id, slice_date
    from ops.slices
    where feed = 'daily_statistics' and slice_date is not null and state = 'proven'
),

days as (
    select
        parts.app_id,
        parts.message_date,
        count(distinct parts.conversation_id) as conversations,
        count(distinct parts.end_user_id) as end_users,
        sum(parts.messages)::bigint as messages,
        sum(parts.tokens)::decimal(38, 0) as tokens,
        sum(parts.untold_tokens) as untold_tokens,
        bool_or(parts.leaves_out_debugging) as leaves_out_debugging
    from parts
    join figure_days
        on parts.app_id = figure_days.app_id and parts.message_date = figure_days.slice_date
    where parts.may_be_counted and parts.app_mode <> 'advanced-chat'
    group by parts.app_id, parts.message_date
),

-- What Dify's figures lack of what is held.
compared as (
    select
        days.*,
        coalesce(figures.conversations, 0) as told_conversations,
        coalesce(figures.messages, 0) as told_messages,
        coalesce(figures.tokens, 0) as told_tokens,
        coalesce(figures.end_users, 0) as told_end_users,
        days.untold_tokens > 0
        or figures.tokens is null and figures.messages is not null as is_without_tokens
    from days
    left join figures
        on days.app_id = figures.app_id and days.message_date = figures.statistic_date
),

lacks as (
    select
        app_id,
        message_date,
        (conversations - told_conversations)::bigint as conversations,
        (messages - told_messages)::bigint as messages,
        (end_users - told_end_users)::bigint as end_users,
        if(is_without_tokens, 0, tokens - told_tokens)::decimal(38, 0) as tokens,
        is_without_tokens
    from compared
    where conversations > told_conversations and leaves_out_debugging
),

user_days as (
    select
        parts.app_id,
        parts.message_date,
        parts.end_user_id,
        count(distinct parts.conversation_id) as conversations
    from parts
    join lacks on parts.app_id = lacks.app_id and parts.message_date = lacks.message_date
    where parts.may_be_counted and parts.end_user_id is not null
    group by parts.app_id, parts.message_date, parts.end_user_id
),

candidates as (
    select
        parts.app_id,
        parts.message_date,
        bool_or(parts.is_console) as is_console,
        parts.conversation_id,
        max(parts.end_user_id) as end_user_id,
        max(user_days.conversations) as user_conversations,
        sum(parts.messages)::bigint as messages,
        sum(if(lacks.is_without_tokens, 0, parts.tokens))::decimal(38, 0) as tokens
    from parts
    join lacks on parts.app_id = lacks.app_id and parts.message_date = lacks.message_date
    left join user_days
        on parts.app_id = user_days.app_id
        and parts.message_date = user_days.message_date
        and parts.end_user_id = user_days.end_user_id
    where
        parts.may_be_counted
        and parts.is_listed
        and (parts.is_console or parts.app_mode <> 'agent')
    group by parts.app_id, parts.message_date, parts.conversation_id
    -- A conversation of which one message is told to be counted is counted that day.
    having bool_and(parts.counted_as is null)
),

numbered as (
    select
        *,
        row_number() over (
            partition by app_id, message_date, is_console order by conversation_id
        ) as place
    from candidates
),

sizes as (
    select
        lacks.app_id,
        lacks.message_date,
        kinds.is_console,
        count(numbered.place) as members,
        count(distinct numbered.end_user_id) as end_users,
        coalesce(sum(numbered.messages), 0)::bigint as messages,
        coalesce(sum(numbered.tokens), 0)::decimal(38, 0) as tokens
    from lacks
    cross join (select unnest([true, false]) as is_console) as kinds
    left join numbered
        on lacks.app_id = numbered.app_id
        and lacks.message_date = numbered.message_date
        and kinds.is_console = numbered.is_console
    group by lacks.app_id, lacks.message_date, kinds.is_console
),

-- A set is a number. Of a few its binary digits say who is in it; of many it is 2^42, two places
-- (0: nobody) of 20 digits each, and before these a digit that says whether it is all but the two.
-- Of others than accounts no more than are lacking are left out.
masks as (
    select
        sizes.app_id,
        sizes.message_date,
        sizes.is_console,
        all_masks.mask
    from sizes
    join lacks on sizes.app_id = lacks.app_id and sizes.message_date = lacks.message_date
    join (select unnest(range(1024)) as mask) as all_masks
        on all_masks.mask < 1 << least(sizes.members, 10)
    where
        sizes.members <= 10
        and (sizes.is_console or bit_count(all_masks.mask) <= lacks.conversations)
),

-- An end user goes with a set in which all conversations of the day are.
users_of_few as (
    select app_id, message_date, is_console, mask, count(*) as end_users
    from (
        select
            masks.app_id,
            masks.message_date,
            masks.is_console,
            masks.mask,
            numbered.end_user_id
        from masks
        join numbered
            on masks.app_id = numbered.app_id
            and masks.message_date = numbered.message_date
            and masks.is_console = numbered.is_console
            and (masks.mask >> (numbered.place - 1)) & 1 = 1
        group by
            masks.app_id,
            masks.message_date,
            masks.is_console,
            masks.mask,
            numbered.end_user_id
        having count(*) = max(numbered.user_conversations)
    ) as users_of_sets
    group by app_id, message_date, is_console, mask
),

few as (
    select
        masks.app_id,
        masks.message_date,
        masks.is_console,
        masks.mask as set_number,
        count(numbered.place) as conversations,
        coalesce(sum(numbered.messages), 0)::bigint as messages,
        coalesce(sum(numbered.tokens), 0)::decimal(38, 0) as tokens,
        coalesce(any_value(users_of_few.end_users), 0) as end_users
    from masks
    left join users_of_few
        on masks.app_id = users_of_few.app_id
        and masks.message_date = users_of_few.message_date
        and masks.is_console = users_of_few.is_console
        and masks.mask = users_of_few.mask
    left join numbered
        on masks.app_id = numbered.app_id
        and masks.message_date = numbered.message_date
        and masks.is_console = numbered.is_console
        and (masks.mask >> (numbered.place - 1)) & 1 = 1
    group by masks.app_id, masks.message_date, masks.is_console, masks.mask
),

-- Of many: none, one, two, and all but these.
members_of_many as (
    select
        numbered.app_id,
        numbered.message_date,
        numbered.is_console,
        numbered.place,
        numbered.messages,
        numbered.tokens,
        numbered.end_user_id,
        numbered.user_conversations,
        sizes.members
    from numbered
    join sizes
        on numbered.app_id = sizes.app_id
        and numbered.message_date = sizes.message_date
        and numbered.is_console = sizes.is_console
    where sizes.members > 10 and numbered.place < 1048576
    union all
    select
        app_id,
        message_date,
        is_console,
        0 as place,
        0 as messages,
        0 as tokens,
        null as end_user_id,
        null as user_conversations,
        members
    from sizes
    where members > 10
),

-- Of more than a hundred only nobody stands first: told before the join, since the pairs of a day
-- of thousands are millions.
firsts as (
    select * from members_of_many where members <= 100 or place = 0
),

pairs as (
    select
        one.app_id,
        one.message_date,
        one.is_console,
        one.place as first_place,
        two.place as second_place,
        if(one.place > 0, 1, 0) + if(two.place > 0, 1, 0) as conversations,
        one.messages + two.messages as messages,
        one.tokens + two.tokens as tokens,
        case
            when one.end_user_id = two.end_user_id then if(one.user_conversations = 2, 1, 0)
            else
                if(one.user_conversations = 1, 1, 0)
                + if(two.user_conversations = 1, 1, 0)
        end as end_users,
        case
            when one.end_user_id = two.end_user_id then 1
            else if(one.end_user_id is null, 0, 1) + if(two.end_user_id is null, 0, 1)
        end as end_users_met,
        sizes.members,
        sizes.messages as all_messages,
        sizes.tokens as all_tokens,
        sizes.end_users as all_end_users
    from firsts as one
    join members_of_many as two
        on one.app_id = two.app_id
        and one.message_date = two.message_date
        and one.is_console = two.is_console
        and (one.place < two.place or one.place = 0 and two.place = 0)
    join sizes
        on one.app_id = sizes.app_id
        and one.message_date = sizes.message_date
        and one.is_console = sizes.is_console
),

sets_of_many as (
    select
        app_id,
        message_date,
        is_console,
        (1::bigint << 42) + (first_place << 20) + second_place as set_number,
        conversations,
        messages,
        tokens,
        end_users
    from pairs
    union all
    select
        app_id,
        message_date,
        is_console,
        (3::bigint << 41) + (first_place << 20) + second_place as set_number,
        members - conversations as conversations,
        all_messages - messages as messages,
        all_tokens - tokens as tokens,
        all_end_users - end_users_met as end_users
    from pairs
),

-- Sets that leave out the same are one here: their smallest number, and how many they are. Apart
-- they are too many to be tried together, where conversations are much alike.
sets as (
    select
        app_id,
        message_date,
        is_console,
        conversations,
        messages,
        tokens,
        end_users,
        min(set_number) as set_number,
        count(*) as equal_sets
    from (
        select * from few
        union all
        select sets_of_many.*
        from sets_of_many
        join lacks
            on sets_of_many.app_id = lacks.app_id
            and sets_of_many.message_date = lacks.message_date
        where sets_of_many.is_console or sets_of_many.conversations <= lacks.conversations
    ) as all_sets
    group by app_id, message_date, is_console, conversations, messages, tokens, end_users
),

fitting as (
    select
        lacks.app_id,
        lacks.message_date,
        of_accounts.set_number,
        others.set_number as other_set_number,
        sum(of_accounts.equal_sets * others.equal_sets) over (
            partition by
                lacks.app_id, lacks.message_date, others.end_users = lacks.end_users
        ) = 1 as is_certain
    from lacks
    join sets as of_accounts
        on lacks.app_id = of_accounts.app_id
        and lacks.message_date = of_accounts.message_date
        and of_accounts.is_console
    join sets as others
        on lacks.app_id = others.app_id
        and lacks.message_date = others.message_date
        and not others.is_console
        and lacks.conversations - of_accounts.conversations = others.conversations
        and lacks.messages - of_accounts.messages = others.messages
        and lacks.tokens - of_accounts.tokens = others.tokens
    qualify row_number() over (
        partition by lacks.app_id, lacks.message_date
        order by
            if(others.end_users = lacks.end_users, 0, 1),
            others.conversations,
            of_accounts.set_number,
            others.set_number
    ) = 1
),

unresolved as (
    select
        lacks.app_id,
        lacks.message_date
    from lacks
    join sizes
        on lacks.app_id = sizes.app_id and lacks.message_date = sizes.message_date
    where
        lacks.conversations > 2
        and not exists (
            select 1
            from fitting
            where fitting.app_id = lacks.app_id and fitting.message_date = lacks.message_date
        )
    group by lacks.app_id, lacks.message_date
    having max(sizes.members) > 10
),

nearest as (
    select
        lacks.app_id,
        lacks.message_date,
        sets.set_number
    from lacks
    join sets
        on lacks.app_id = sets.app_id
        and lacks.message_date = sets.message_date
        and sets.is_console
    where
        not exists (
            select 1
            from fitting
            where fitting.app_id = lacks.app_id and fitting.message_date = lacks.message_date
        )
        and not exists (
            select 1
            from unresolved
            where
                unresolved.app_id = lacks.app_id
                and unresolved.message_date = lacks.message_date
        )
    qualify row_number() over (
        partition by lacks.app_id, lacks.message_date
        order by
            if(sets.conversations = lacks.conversations, 1, 0)
            + if(sets.messages = lacks.messages, 1, 0)
            + if(sets.tokens = lacks.tokens, 1, 0) desc,
            abs(sets.messages - lacks.messages),
            sets.conversations,
            sets.set_number
    ) = 1
),

chosen as (
    select
        app_id,
        message_date,
        true as is_console,
        set_number,
        is_certain
    from fitting
    union all
    select
        app_id,
        message_date,
        false as is_console,
        other_set_number as set_number,
        is_certain
    from fitting
    union all
    select
        app_id,
        message_date,
        true as is_console,
        set_number,
        true as is_certain
    from nearest
),

left_out as (
    select
        numbered.app_id,
        numbered.message_date,
        numbered.conversation_id,
        if(numbered.is_console, 'debugging', 'no invoke_from') as left_out_reason
    from numbered
    join chosen
        on numbered.app_id = chosen.app_id
        and numbered.message_date = chosen.message_date
        and numbered.is_console = chosen.is_console
    where
        case
            when chosen.set_number < 1024
                then (chosen.set_number >> least(numbered.place - 1, 10)) & 1 = 1
            else
                (
                    numbered.place = (chosen.set_number >> 20) & 1048575
                    or numbered.place = chosen.set_number & 1048575
                )
                <> ((chosen.set_number >> 41) & 1 = 1)
        end
),

certainties as (
    select app_id, message_date, is_certain from fitting
    union all
    select app_id, message_date, false as is_certain from unresolved
)

select
    (select max(source.workspace_id) from ops.source as source) as workspace_id,
    parts.app_id,
    parts.app_mode,
    parts.message_date,
    parts.conversation_id,
    parts.end_user_id,
    parts.is_absent,
    parts.counted_as,
    parts.is_console,
    parts.is_listed,
    parts.messages,
    parts.tokens,
    parts.answer_tokens,
    parts.latency_seconds,
    parts.likes,
    parts.joined_rows,
    parts.untold_tokens,
    parts.untold_latencies,
    parts.absent_at,
    not parts.is_absent
    and case
        when parts.counted_as is null then left_out.conversation_id is null
        else parts.counted_as = 'counted' or not parts.leaves_out_debugging
    end as is_counted,
    case
        when parts.is_absent then null
        when parts.counted_as is null then left_out.left_out_reason
        when parts.leaves_out_debugging then nullif(parts.counted_as, 'counted')
    end as left_out_reason,
    coalesce(certainties.is_certain, true) as is_certain
from parts
left join left_out
    on parts.app_id = left_out.app_id
    and parts.message_date = left_out.message_date
    and parts.conversation_id = left_out.conversation_id
left join certainties
    on parts.app_id = certainties.app_id and parts.message_date = certainties.message_date
