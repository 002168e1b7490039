"""The ledger of syncs, in schema ops: what was read, what is due, and what failed.

Slices and reads are upserted in the same transaction as the rows that they speak of.
"""

from dify_etl.warehouse.database import TABLE_CHANGES
from dify_etl.warehouse.migrations import MIGRATIONS
from dify_etl.warehouse.model_builds import MODELS
from dify_etl.warehouse.model_settings import CURRENCY_RATES, MODEL_CURRENCIES, MODEL_SETTINGS
from dify_etl.warehouse.partitions import CHANGED_GROUPS, PARTITION_LINKS, PARTITIONS
from dify_etl.warehouse.publish import PUBLISHED
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
        Column("forgotten", "BIGINT", "Rows of forgotten people, deleted ones too: they count."),
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

DOCUMENT_READS = Table(
    "ops",
    "document_reads",
    "One row per document whose segments were read: the list row as it was then. Empty while "
    "DIFY_ETL_SEGMENTS is off.",
    ("document_id",),
    (
        Column("document_id", "VARCHAR", "The document."),
        Column("dataset_id", "VARCHAR", "Its dataset."),
        Column("word_count", "BIGINT", "Characters that its list row told."),
        Column("tokens", "BIGINT", "Tokens of its list row."),
        Column("hit_count", "BIGINT", "Hits of its list row, the sum of those of its segments."),
        Column("indexing_status", "VARCHAR", "How far it was indexed, by its list row."),
        Column("is_enabled", "BOOLEAN", "Whether retrieval used it, by its list row."),
        Column("is_archived", "BOOLEAN", "Whether it was archived, by its list row."),
        Column("dataset_process_rule_id", "VARCHAR", "The rule that cut it, by its list row."),
        Column("held_count", "BIGINT", "Segments that the read found."),
        Column(
            "state",
            "VARCHAR",
            "proven: these were all of its segments at read_at; incomplete, failed; unproven when "
            "this account is not shown them.",
        ),
        Column("reason", "VARCHAR", "Why it is not proven; null when it is."),
        Column("read_at", "TIMESTAMPTZ", "When its segments were read last, UTC."),
    ),
    keeps_history=False,
)

DAY_DIGESTS = Table(
    "ops",
    "day_digests",
    "One row per feed, app and local day that was read from Dify's database: while both digests "
    "are as they were, the day is not read again.",
    ("feed", "app_id", "slice_date"),
    (
        Column("feed", "VARCHAR", "The feed."),
        Column("app_id", "VARCHAR", "The app."),
        Column("slice_date", "DATE", "The local day."),
        Column("digest", "VARCHAR", "Of all that a read shows of the day, and of how it is read."),
        Column("held_digest", "VARCHAR", "Of when each row of the day was written here last."),
    ),
    keeps_history=False,
)

APP_VERSIONS = Table(
    "ops",
    "app_versions",
    "One row per change of an app's name, publication or configuration that a read found; never "
    "rewritten. The first row of an app is what it was when it was read first.",
    ("app_id", "app_version"),
    (
        Column("app_id", "VARCHAR", "The app."),
        Column("app_version", "BIGINT", "Number of the row among those of its app, from 1."),
        Column(
            "valid_from_at",
            "TIMESTAMPTZ",
            "Since when it is so, UTC: when Dify says that it was configured, published or changed "
            "in other ways, or when it was seen.",
        ),
        Column("valid_from_date", "DATE", "Local day of valid_from_at."),
        Column(
            "valid_from_source",
            "VARCHAR",
            "dify: Dify told the time; seen: it told none that is later than the row before.",
        ),
        Column("seen_at", "TIMESTAMPTZ", "When the read that found it began, UTC."),
        Column(
            "changed",
            "JSON",
            "What is otherwise than in the row before, JSON list of columns of raw.apps; null: "
            "first row of the app.",
        ),
        Column("app_name", "VARCHAR", "Name of the app."),
        Column("workflow_id", "VARCHAR", "The published version; null: none."),
        Column("provider", "VARCHAR", "Provider of the model; null for workflows and chatflows."),
        Column("model", "VARCHAR", "Name of the model, likewise."),
        Column(
            "configuration",
            "JSON",
            "All that is compared, by column of raw.apps; without secrets, and of the model config "
            "without who made it and when.",
        ),
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
        Column(
            *("newer_than_tested", "VARCHAR"),
            "A sentence, when that may be newer than any that was tested; else null.",
        ),
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

# All that a sync makes; the copies of what operations keep in files come when they are filled.
PRIVACY = Table(
    "ops",
    "privacy",
    "One row per change of what is kept of texts and people.",
    ("since_at",),
    (
        Column("since_at", "TIMESTAMPTZ", "Since when rows are loaded by these rules, UTC."),
        Column("text_rule", "VARCHAR", "DIFY_ETL_TEXT: keep, mask or drop."),
        Column("people_rule", "VARCHAR", "DIFY_ETL_PEOPLE: keep or hash."),
        Column("salt_check", "VARCHAR", "Moves with the salt of the pseudonyms; null: keep."),
        Column(
            "rewritten_at",
            "TIMESTAMPTZ",
            "When older rows became so, too, UTC; null: they are as they were loaded.",
        ),
    ),
    keeps_history=False,
)

FORGOTTEN_PEOPLE = Table(
    "ops",
    "forgotten_people",
    "One row per person who was forgotten: of their rows nothing is kept but numbers and ids.",
    ("person",),
    (
        Column("person", "VARCHAR", "What stands for their names now; made by chance."),
        Column("kind", "VARCHAR", "end_user, account, or both: `account, end_user`."),
        Column("salt_check", "VARCHAR", "Moves with the salt of the pseudonyms."),
        Column("forgotten_at", "TIMESTAMPTZ", "When they were forgotten, UTC."),
        Column("forgotten_by", "VARCHAR", "The user of the machine."),
        Column(
            *("rewritten_at", "TIMESTAMPTZ"),
            "When no file of the home held them any more, UTC; null: say it once more.",
        ),
    ),
    keeps_history=False,
)

FORGOTTEN_NAMES = Table(
    "ops",
    "forgotten_names",
    "One row per id or name by which a forgotten person is known again.",
    ("known_by", "kind"),
    (
        Column("known_by", "VARCHAR", "Id of an end user or account, or pseudonym of a name."),
        Column(
            "kind",
            "VARCHAR",
            "end_user or account, where it is an id; session_id or account_name: a name that means "
            "the person in such columns; name: in both.",
        ),
        Column("word_length", "BIGINT", "Of a name that is looked for in texts; null: it is not."),
        Column(
            "word_shape",
            "VARCHAR",
            "Of one that is no plain word how long its parts are (a: letters and digits of ASCII, "
            "u: other letters), and what stands between them; null: not looked for so.",
        ),
        Column("person", "VARCHAR", "The person."),
    ),
    keeps_history=False,
)

FORGOTTEN_ROWS = Table(
    "ops",
    "forgotten_rows",
    "One row per raw row of a forgotten person: its texts were dropped.",
    ("table_name", "row_id"),
    (
        Column("table_name", "VARCHAR", "The raw table, such as messages."),
        Column("row_id", "VARCHAR", "Its key there, parts joined by /."),
        Column("person", "VARCHAR", "The person."),
        Column("app_id", "VARCHAR", "The app; null for members."),
        Column("slice_date", "DATE", "The local day to which it belongs; null where it has none."),
        Column("forgotten_at", "TIMESTAMPTZ", "When it was forgotten, UTC."),
    ),
    keeps_history=False,
)

LEDGER = (
    SLICES,
    ACCEPTED_SLICES,
    CONVERSATION_READS,
    RUN_READS,
    DOCUMENT_READS,
    DAY_DIGESTS,
    APP_VERSIONS,
    QUARANTINE,
    SCHEMA_DRIFT,
    UNFORESEEN_ERRORS,
    SOURCE,
    PRIVACY,
    FORGOTTEN_PEOPLE,
    FORGOTTEN_NAMES,
    FORGOTTEN_ROWS,
    LOCAL_DAYS,
    RUNS,
    MIGRATIONS,
    MODELS,
    PARTITIONS,
    PARTITION_LINKS,
    CHANGED_GROUPS,
    MODEL_SETTINGS,
    MODEL_CURRENCIES,
    CURRENCY_RATES,
    TABLE_CHANGES,
    PUBLISHED,
)
