"""The books of schema ops: what was read, what is due, what failed, what was published.

Slices and reads are upserted in the same transaction as the rows that they speak of.
"""

from dify_etl.warehouse.database import TABLE_CHANGES
from dify_etl.warehouse.tables import Column, Table

SLICES = Table(
    "ops",
    "slices",
    "One row per feed, app and local day; app_id is null for feeds without apps, "
    "slice_date for feeds without days.",
    ("feed", "app_id", "slice_date"),
    (
        Column("feed", "VARCHAR", "The feed, which is also its raw table."),
        Column("app_id", "VARCHAR", "The app; null for feeds of the whole workspace."),
        Column("slice_date", "DATE", "The local day (account time zone); null for full lists."),
        Column(
            "state",
            "VARCHAR",
            "proven: all that Dify has; unproven: no proof exists, or the account is not shown it; "
            "incomplete: rows are known to be missing; failed: not read.",
        ),
        Column("rows", "BIGINT", "Rows of this slice that the read received."),
        Column("expected", "BIGINT", "Rows that Dify says it has, where it says so for the slice."),
        Column("requests", "BIGINT", "Requests of the read that covered this slice."),
        Column("reason", "VARCHAR", "Why it is not proven, with both figures; null when it is."),
        Column(
            "in_quarantine",
            "VARCHAR",
            "What of it, or of what it hangs on, waits in quarantine; part of the reason.",
        ),
        Column("tries", "BIGINT", "Reads in a row that ended failed or incomplete."),
        Column("bad_since", "TIMESTAMPTZ", "When the first of these reads was, UTC; null if none."),
        Column("is_settled", "BOOLEAN", "Read at least 24 h after the day's end, nothing open."),
        Column("run_id", "VARCHAR", "The run that read it last."),
        Column("read_at", "TIMESTAMPTZ", "When it was read last, UTC."),
        Column(
            "deep_read_at",
            "TIMESTAMPTZ",
            "When its lists were read whole last, UTC: ratings, deletions and hits, which change "
            "without a sign, are as they were then.",
            keeps_last=True,
        ),
    ),
    keeps_history=False,
)

ACCEPTED_SLICES = Table(
    "ops",
    "accepted_slices",
    "One row per slice whose hole somebody accepted: it counts in no verdict, until it changes.",
    ("feed", "app_id", "slice_date"),
    (
        Column("feed", "VARCHAR", "The feed."),
        Column("app_id", "VARCHAR", "The app; null for feeds of the whole workspace."),
        Column("slice_date", "DATE", "The local day; null for full lists."),
        Column("why", "VARCHAR", "Why it was accepted, in the words of whoever did."),
        Column("until_date", "DATE", "The last day on which it counts; null: as long as it is so."),
        Column("accepted_at", "TIMESTAMPTZ", "When it was accepted, UTC."),
        Column("accepted_by", "VARCHAR", "The user of the machine."),
        Column("state", "VARCHAR", "The slice's state then: another one ends the acceptance."),
        Column("reason", "VARCHAR", "Its reason then, likewise."),
        Column("rows", "BIGINT", "Its rows then, likewise."),
        Column("expected", "BIGINT", "Its expected rows then, likewise."),
        Column("ended_at", "TIMESTAMPTZ", "When the slice was found changed, UTC; null: not yet."),
    ),
    keeps_history=False,
)

CONVERSATION_READS = Table(
    "ops",
    "conversation_reads",
    "One row per conversation whose messages were read: the list row as it was then.",
    ("conversation_id",),
    (
        Column("conversation_id", "VARCHAR", "The conversation."),
        Column("app_id", "VARCHAR", "Its app."),
        Column("message_count", "BIGINT", "Messages that its list row told."),
        Column("updated_at", "TIMESTAMPTZ", "updated_at of its list row, UTC."),
        Column("user_like_count", "BIGINT", "Likes by end users of its list row."),
        Column("user_dislike_count", "BIGINT", "Dislikes by end users of its list row."),
        Column("admin_like_count", "BIGINT", "Likes by admins of its list row."),
        Column("admin_dislike_count", "BIGINT", "Dislikes by admins of its list row."),
        Column("success_count", "BIGINT", "Runs that succeeded, by its list row (advanced-chat)."),
        Column("failed_count", "BIGINT", "Runs that failed, by its list row."),
        Column("partial_success_count", "BIGINT", "Runs that succeeded in part, by its list row."),
        Column("paused_count", "BIGINT", "Runs that waited, by its list row (since 1.13)."),
        Column("held_count", "BIGINT", "Messages that the read found."),
        Column("is_settled", "BOOLEAN", "Whether no message of it can change by itself any more."),
        Column(
            "state",
            "VARCHAR",
            "proven, incomplete, failed, unproven when this account is not shown its messages, "
            "or absent when Dify has it no more.",
        ),
        Column("reason", "VARCHAR", "Why it is not proven; null when it is."),
        Column("tries", "BIGINT", "Reads in a row that ended failed or incomplete."),
        Column("read_at", "TIMESTAMPTZ", "When its messages were read last, UTC."),
    ),
    keeps_history=False,
)

RUN_READS = Table(
    "ops",
    "run_reads",
    "One row per workflow run whose detail or nodes were read.",
    ("workflow_run_id",),
    (
        Column("workflow_run_id", "VARCHAR", "The run."),
        Column("app_id", "VARCHAR", "Its app."),
        Column("status", "VARCHAR", "Its status at the last read of its detail."),
        Column("is_detail_settled", "BOOLEAN", "Whether its detail needs no further read."),
        Column(
            "detail_reason", "VARCHAR", "What is special: zombie, gone, failed; null otherwise."
        ),
        Column("detail_tries", "BIGINT", "Reads of the detail in a row that failed."),
        Column("detail_read_at", "TIMESTAMPTZ", "When its detail was read last, UTC."),
        Column("is_nodes_settled", "BOOLEAN", "Whether its nodes need no further read."),
        Column("nodes_reason", "VARCHAR", "What is special about its nodes; null otherwise."),
        Column("nodes_tries", "BIGINT", "Reads of the nodes in a row that failed."),
        Column("nodes_read_at", "TIMESTAMPTZ", "When its nodes were read last, UTC."),
    ),
    keeps_history=False,
)

QUARANTINE = Table(
    "ops",
    "quarantine",
    "One row per JSON object of Dify that is no valid record.",
    ("quarantine_id",),
    (
        Column("quarantine_id", "VARCHAR", "Digest of feed, app, record and error."),
        Column("feed", "VARCHAR", "The feed that asked for it."),
        Column("app_id", "VARCHAR", "The app, where there is one."),
        Column("record_id", "VARCHAR", "Dify's id of the object, when it has a readable one."),
        Column(
            "parent_id", "VARCHAR", "The conversation, run or message that lists it; else null."
        ),
        Column("slice_date", "DATE", "The local day of its slice; null: none, or not readable."),
        Column("last_date", "DATE", "The last local day on which it was alive, if it tells."),
        Column(
            "odd_fields",
            "VARCHAR",
            "The row is loaded, without these columns; null: the object was set aside.",
        ),
        Column("odd_figures", "BIGINT", "Of these, how many are money, tokens, time or status."),
        Column("endpoint", "VARCHAR", "The Dify endpoint that answered it."),
        Column("position", "BIGINT", "Its position in the answer, from 0."),
        Column("error_path", "VARCHAR", "The field that is wrong."),
        Column("message", "VARCHAR", "What is wrong with it."),
        Column(
            "raw_json", "VARCHAR", "The object as received; null for API keys and published copies."
        ),
        Column("record_class", "VARCHAR", "The record that it should be."),
        Column("context", "JSON", "Ids that the endpoint told beside the object."),
        Column("run_id", "VARCHAR", "The run that met it last."),
        Column("seen_at", "TIMESTAMPTZ", "When it was met last, UTC."),
        Column("resolved_at", "TIMESTAMPTZ", "When the object was read without error, UTC."),
    ),
    keeps_history=False,
)

SCHEMA_DRIFT = Table(
    "ops",
    "schema_drift",
    "One row per field that Dify sends and no record names; its values are in column extra.",
    ("feed", "field"),
    (
        Column("feed", "VARCHAR", "The feed."),
        Column("field", "VARCHAR", "The name of the field in Dify's JSON."),
        Column("server_version", "VARCHAR", "The server version that sent it last."),
        Column("seen_at", "TIMESTAMPTZ", "When it was seen last, UTC."),
    ),
    keeps_history=False,
)

UNFORESEEN_ERRORS = Table(
    "ops",
    "unforeseen_errors",
    "One row per place in the code at which a read met an error that nobody foresaw: a bug.",
    ("error_id",),
    (
        Column("error_id", "VARCHAR", "The feed, and a digest of kind and trace."),
        Column("feed", "VARCHAR", "The feed that was read."),
        Column("kind", "VARCHAR", "The error's class."),
        Column("trace", "VARCHAR", "Where in the code, innermost last; it holds no value."),
        Column("run_id", "VARCHAR", "The run that met it last."),
        Column("seen_at", "TIMESTAMPTZ", "When it was met last, UTC."),
    ),
    keeps_history=False,
)

SOURCE = Table(
    "ops",
    "source",
    "One row: the workspace that this warehouse belongs to, pinned by the first load.",
    ("server_origin",),
    (
        Column("server_origin", "VARCHAR", "Scheme, host and port of the Dify server."),
        Column("workspace_id", "VARCHAR", "The workspace (tenant) that is read."),
        Column("workspace_name", "VARCHAR", "Its name at the last check."),
        Column("account_id", "VARCHAR", "The account that reads."),
        Column("role", "VARCHAR", "Its role in the workspace at the last check."),
        Column("timezone", "VARCHAR", "The account's time zone: the zone of all local days."),
        Column("zone_rules", "VARCHAR", "SHA-256 of its rules by which the local days were made."),
        Column("server_version", "VARCHAR", "The server's version at the last check."),
        Column("pinned_at", "TIMESTAMPTZ", "When it was pinned, UTC."),
    ),
    keeps_history=False,
)

LOCAL_DAYS = Table(
    "ops",
    "local_days",
    "One row per local day from the start date to the end of this year, for calendars.",
    ("local_date",),
    (
        Column("local_date", "DATE", "The day, in the account's time zone."),
        Column("starts_at", "TIMESTAMPTZ", "Its first instant, UTC; of two midnights the first."),
        Column("ends_at", "TIMESTAMPTZ", "Begin of the next day, UTC; not part of this one."),
        Column("offset_changes", "BIGINT", "How often the clocks change in it; 0 on most days."),
    ),
    keeps_history=False,
)

RUNS = Table(
    "ops",
    "runs",
    "One row per sync run and feed.",
    ("run_id", "feed"),
    (
        Column("run_id", "VARCHAR", "The run."),
        Column("feed", "VARCHAR", "The feed."),
        Column("started_at", "TIMESTAMPTZ", "When the feed's read began, UTC."),
        Column("ended_at", "TIMESTAMPTZ", "When it ended, UTC."),
        Column("rows_new", "BIGINT", "Rows inserted."),
        Column("rows_changed", "BIGINT", "Rows updated."),
        Column("rows_unchanged", "BIGINT", "Rows received that were held already."),
        Column("rows_absent", "BIGINT", "Rows newly marked absent."),
        Column("rows_quarantined", "BIGINT", "Objects that were no valid record."),
        Column("requests", "BIGINT", "Requests sent to Dify."),
        Column("retries", "BIGINT", "Requests that were sent again."),
        Column("received_bytes", "BIGINT", "Bytes of the answers' bodies."),
        Column("seconds", "DOUBLE", "Wall time of the feed's read, seconds."),
        Column("slices_proven", "BIGINT", "Slices that ended proven."),
        Column("slices_unproven", "BIGINT", "Slices that ended unproven."),
        Column("slices_incomplete", "BIGINT", "Slices that ended incomplete."),
        Column("slices_failed", "BIGINT", "Slices that failed."),
    ),
    keeps_history=False,
)

MIGRATIONS = Table(
    "ops",
    "migrations",
    "One row per step that brought this file to what a newer version of dify-etl keeps.",
    ("number",),
    (
        Column("number", "BIGINT", "The step, from 1; steps run in this order."),
        Column("step", "VARCHAR", "What it does."),
        Column("rows", "BIGINT", "Rows that it changed; null: the file was made without need."),
        Column("applied_at", "TIMESTAMPTZ", "When it was done, UTC."),
        Column(
            "written_anew_at",
            "TIMESTAMPTZ",
            "When the file was written anew, so that what the step took out is nowhere in it, UTC; "
            "null where nothing had to be.",
        ),
    ),
    keeps_history=False,
)

MODELS = Table(
    "ops",
    "models",
    "One row per model of sql/: how its last build ended.",
    ("model",),
    (
        Column("model", "VARCHAR", "The view or table, such as marts.app_daily_usage."),
        Column("state", "VARCHAR", "built, or failed: then the table of its last build stays."),
        Column("reason", "VARCHAR", "Why it failed; null when it did not."),
        Column("hint", "VARCHAR", "What to do about it; null when it did not."),
        Column("built_at", "TIMESTAMPTZ", "When it was built last, UTC; null: never."),
        Column("failed_since", "TIMESTAMPTZ", "Since when it fails, UTC; null: it does not."),
        Column("run_id", "VARCHAR", "The run that tried it last."),
        Column("fingerprint", "VARCHAR", "Of its SQL and of what it read; null: it failed."),
    ),
    keeps_history=False,
)

PUBLISHED = Table(
    "ops",
    "published",
    "One row per published copy.",
    ("published_at",),
    (
        Column("published_at", "TIMESTAMPTZ", "When the copy was made, UTC."),
        Column("run_id", "VARCHAR", "The run that made it."),
        Column("through_date", "DATE", "The last local day that the copy covers."),
    ),
    keeps_history=False,
)

AUDIT = Table(
    "ops",
    "audit",
    "One row per entry of the audit: what was done to Dify, step by step. Filled from audit.jsonl.",
    ("entry_id",),
    (
        Column("entry_id", "VARCHAR", "The entry."),
        Column("plan_id", "VARCHAR", "The plan that was applied."),
        Column("step", "BIGINT", "The step of the plan, from 1."),
        Column("operation", "VARCHAR", "What was done, such as apps.publish."),
        Column("target_kind", "VARCHAR", "To what kind of object: app, member, document, …"),
        Column("target_id", "VARCHAR", "Its id; null while it does not exist."),
        Column("target_name", "VARCHAR", "Its name, or the e-mail of a member."),
        Column("actor", "VARCHAR", "The Dify account, and the user of the machine."),
        Column("before_hash", "VARCHAR", "SHA-256 of the state before; null: there was nothing."),
        Column("before", "JSON", "That state, without secrets, long texts as their hash."),
        Column("after", "JSON", "The state that was wanted, likewise; null: it should be gone."),
        Column("http_status", "BIGINT", "Dify's answer to the write; null: none was received."),
        Column("request_id", "VARCHAR", "The server's id of the request, where it tells one."),
        Column(
            "outcome",
            "VARCHAR",
            "begun: about to be sent; verified: read back and right; done: accepted; failed; "
            "unknown: cannot be told; skipped: not sent.",
        ),
        Column("message", "VARCHAR", "What happened, for people; empty when all went well."),
        Column("recorded_at", "TIMESTAMPTZ", "When the entry was written, UTC."),
    ),
    keeps_history=False,
)

KEY_ROTATIONS = Table(
    "ops",
    "key_rotations",
    "One row per rotation of an API key. Filled from key_rotations.sqlite; holds no key.",
    ("rotation_id",),
    (
        Column("rotation_id", "VARCHAR", "The rotation."),
        Column("target_id", "VARCHAR", "The target: app, consumer, sink and entry."),
        Column("app_id", "VARCHAR", "The app; null for the keys of the datasets."),
        Column("app_name", "VARCHAR", "Its name when the rotation began."),
        Column("consumer", "VARCHAR", "Who uses the key, in the words of the policy."),
        Column("sink", "VARCHAR", "Where the key is kept."),
        Column("entry", "VARCHAR", "Under which name."),
        Column(
            "state",
            "VARCHAR",
            "planned, created, tested, current, overlap, drained, revoked, proven; withdrawing, "
            "failed, rolled_back.",
        ),
        Column("reason", "VARCHAR", "Why it began."),
        Column("plan_id", "VARCHAR", "The plan that took it last; see ops.audit."),
        Column("is_compromised", "BOOLEAN", "Whether the old key leaked."),
        Column("old_key_ids", "JSON", "Keys that it revokes, JSON list of ids."),
        Column("new_key_id", "VARCHAR", "The key that it made."),
        Column("new_fingerprint", "VARCHAR", "HMAC-SHA256 of that key."),
        Column("proof", "VARCHAR", "How it was seen that the old key is dead."),
        Column("needs_person", "BOOLEAN", "Whether it waits for a person."),
        Column("message", "VARCHAR", "What it waits for, or what went wrong."),
        Column("tries", "BIGINT", "Tries in a row that did not come further."),
        Column("started_at", "TIMESTAMPTZ", "When it began, UTC."),
        Column("promoted_at", "TIMESTAMPTZ", "When consumers got the new key, UTC."),
        Column("revoked_at", "TIMESTAMPTZ", "When the old key was deleted, UTC."),
        Column("stood_at", "TIMESTAMPTZ", "When it came to where it stands, UTC."),
    ),
    keeps_history=False,
)

OPS_TABLES = (
    SLICES,
    ACCEPTED_SLICES,
    CONVERSATION_READS,
    RUN_READS,
    QUARANTINE,
    SCHEMA_DRIFT,
    UNFORESEEN_ERRORS,
    SOURCE,
    LOCAL_DAYS,
    RUNS,
    MIGRATIONS,
    MODELS,
    TABLE_CHANGES,
    PUBLISHED,
    AUDIT,
    KEY_ROTATIONS,
)
