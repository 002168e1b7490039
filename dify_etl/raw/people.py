"""Where the raw tables tell of people: columns with ids of accounts and end users, and the columns
beside them that name the same person.
"""

from typing import Literal, NamedTuple

PersonKind = Literal["account", "end_user"]


class PersonIn(NamedTuple):
    """One place of a raw table: `id` and `names` are SQL over its row, a column or a part of one.

    `is_doer`: the row is what that person said, ran, rated or answered.
    """

    table: str
    id: str
    kind: PersonKind
    names: tuple[str, ...] = ()
    is_doer: bool = False


# Metadata of a document come as an object, or as a list of names with values.
_UPLOADER = (
    "coalesce(json_extract_string(doc_metadata, '$.uploader'), json_extract_string(list_filter("
    "json_extract(doc_metadata, '$[*]'), "
    "lambda one: json_extract_string(one, '$.name') = 'uploader')[1], '$.value'))"
)
_RUNS = ("workflow_runs", "archived_runs", "node_executions")
# Accounts that are told by their ids alone.
_IDS_ALONE = {
    "apps": ("updated_by", "maintainer_id", "workflow_created_by", "workflow_updated_by"),
    "datasets": ("updated_by", "maintainer_id"),
    "documents": ("disabled_by",),
    "document_segments": ("created_by", "updated_by", "disabled_by"),
    "agent_versions": ("created_by",),
    "messages": ("annotation_account_id", "annotation_hit_account_id"),
}

# Who answered a form is an account or an end user: which of them, other places tell.
OF_FORMS = PersonIn("human_inputs", "answered_by_id", "end_user", ("answered_by",), is_doer=True)

PEOPLE: tuple[PersonIn, ...] = (
    PersonIn(
        *("conversations", "from_end_user_id", "end_user", ("from_end_user_session_id",)),
        is_doer=True,
    ),
    *(
        PersonIn(
            *(one, "created_by_end_user_id", "end_user", ("created_by_end_user_session_id",)),
            is_doer=True,
        )
        for one in _RUNS
    ),
    *(
        PersonIn(one, "from_end_user_id", "end_user", is_doer=True)
        for one in ("messages", "message_feedbacks")
    ),
    OF_FORMS,
    PersonIn("members", "account_id", "account", ("email", "name"), is_doer=True),
    *(
        PersonIn(
            *(one, "created_by_account_id", "account"),
            ("created_by_account_email", "created_by_account_name"),
            is_doer=True,
        )
        for one in _RUNS
    ),
    PersonIn("conversations", "from_account_id", "account", ("from_account_name",), is_doer=True),
    PersonIn(
        *("message_feedbacks", "from_account_id", "account"),
        ("from_account_email", "from_account_name"),
        is_doer=True,
    ),
    PersonIn("messages", "from_account_id", "account", is_doer=True),
    PersonIn(
        *("workflow_versions", "created_by_id", "account"),
        ("created_by_email", "created_by_name"),
    ),
    PersonIn(
        *("workflow_versions", "json_extract_string(updated_by, '$.id')", "account"),
        (
            "json_extract_string(updated_by, '$.email')",
            "json_extract_string(updated_by, '$.name')",
        ),
    ),
    PersonIn("apps", "created_by", "account", ("author_name", "create_user_name")),
    PersonIn("datasets", "created_by", "account", ("author_name",)),
    PersonIn("documents", "created_by", "account", (_UPLOADER,)),
    *(PersonIn(table, one, "account") for table, ids in _IDS_ALONE.items() for one in ids),
)
END_USERS = tuple(one for one in PEOPLE if one.kind == "end_user")
ACCOUNTS = tuple(one for one in PEOPLE if one.kind == "account")
# Ids by which a row is of what somebody said, ran, rated or answered.
DOERS = tuple(dict.fromkeys(one.id for one in PEOPLE if one.is_doer))
