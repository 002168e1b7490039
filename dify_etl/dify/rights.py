"""Which roles Dify shows what to: what a 403 to a read means, and whom to ask.

A table of the strictest server known for each route: when any server refuses, these roles are shown
it. Where rights are set app by app (newest servers), `permission` is the key that an app's row has
in `permission_keys`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

OWNER = ("owner",)
ADMINS = ("admin", "owner")
EDITORS = ("editor", *ADMINS)
MEMBERS = ("normal", "dataset_operator", *EDITORS)
LOGS, MONITOR = "app.acl.log_and_annotation", "app.acl.monitor"


@dataclass(frozen=True)
class Right:
    """What a route shows, the roles that are shown it, and the permission key of one app."""

    what: str
    roles: tuple[str, ...]
    permission: str | None = None

    @property
    def sentence(self) -> str:
        """Whom it is shown to, for hints and reasons."""
        if self.roles == MEMBERS:
            return f"{self.what} are shown to every member, unless rights are set app by app"
        names = " or ".join(", ".join(self.roles).rsplit(", ", 1))
        return f"{self.what} are shown to the role {names}"

    def advice_for(self, role: str | None) -> str:
        """What to ask an owner for; `role` is the account's own, None when it is not known."""
        if role is None or role not in self.roles:
            return f"Ask an owner for the role {self.roles[0]}."
        asked = f" ({self.permission})" if self.permission else ""
        return (
            f"The role {role} is enough as a rule: ask an owner for the right to this one{asked}."
        )


_APP, _DATASET = "/apps/{app_id}", "/datasets/{dataset_id}"
_CONVERSATIONS = Right("conversations", EDITORS, LOGS)
_RUNS = Right("workflow runs", MEMBERS, MONITOR)
_VERSIONS = Right("versions of workflows", EDITORS)
_PRIVATE = Right("private datasets of others", OWNER)

READS: Mapping[str, Right] = {
    "/apps": Right("apps", MEMBERS),
    _APP: Right("apps", MEMBERS),
    f"{_APP}/api-keys": Right("keys of apps", EDITORS),
    f"{_APP}/export": Right("exports of apps", EDITORS),
    f"{_APP}/workflows": _VERSIONS,
    f"{_APP}/workflows/publish": _VERSIONS,
    f"{_APP}/workflows/draft": _VERSIONS,
    f"{_APP}/chat-conversations": _CONVERSATIONS,
    f"{_APP}/chat-conversations/{{conversation_id}}": _CONVERSATIONS,
    f"{_APP}/completion-conversations": _CONVERSATIONS,
    f"{_APP}/completion-conversations/{{conversation_id}}": _CONVERSATIONS,
    f"{_APP}/chat-messages": Right("messages", EDITORS, LOGS),
    f"{_APP}/messages/{{message_id}}": Right("messages", MEMBERS, LOGS),
    f"{_APP}/annotations": Right("annotations", EDITORS, LOGS),
    f"{_APP}/feedbacks/export": Right("feedbacks", MEMBERS, MONITOR),
    f"{_APP}/workflow-app-logs": _RUNS,
    f"{_APP}/workflow-runs": _RUNS,
    f"{_APP}/workflow-runs/count": _RUNS,
    f"{_APP}/workflow-runs/{{run_id}}": _RUNS,
    f"{_APP}/workflow-runs/{{run_id}}/node-executions": _RUNS,
    f"{_APP}/advanced-chat/workflow-runs": _RUNS,
    "/datasets": Right("datasets", MEMBERS),
    "/datasets/api-keys": Right("keys of the datasets", ADMINS),
    _DATASET: _PRIVATE,
    f"{_DATASET}/documents": _PRIVATE,
    f"{_DATASET}/documents/{{document_id}}/segments": _PRIVATE,
    f"{_DATASET}/indexing-status": _PRIVATE,
    f"{_DATASET}/documents/{{document_id}}/indexing-status": _PRIVATE,
    f"{_DATASET}/error-docs": _PRIVATE,
    "/workspaces/current/members": Right("members", MEMBERS),
}
STATISTICS = Right("statistics", MEMBERS, MONITOR)
AGENTS = Right("agents and their logs", MEMBERS, MONITOR)
UNKNOWN = Right("answers of this endpoint", OWNER)

# The role that a write takes, by method and the end of its route; the first that fits counts.
_WRITES: tuple[tuple[str, str, str], ...] = (
    ("DELETE", "/api-keys/{api_key_id}", "admin or owner"),
    ("POST", "/datasets/api-keys", "admin or owner"),
    ("POST", "/api-enable", "admin or owner"),
    ("PUT", "/update-role", "owner (admin as well on the newest servers)"),
    ("DELETE", "/members/{member_id}", "owner (admin as well on the newest servers)"),
    ("POST", "/invite-email", "admin or owner"),
)


def right_to(route: str) -> Right:
    """The right to read a route, as the client writes it: `/apps/{app_id}/api-keys`."""
    if "statistics/" in route:
        return STATISTICS
    if route.startswith("/agent"):
        return AGENTS
    return READS.get(route, UNKNOWN)


def role_for_write(method: str, route: str) -> str:
    """The role that a write takes."""
    for known, end, role in _WRITES:
        if method == known and route.endswith(end):
            return role
    return "editor, admin or owner"
