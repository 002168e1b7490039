"""Members of the workspace."""

from dify_etl.dify.lists import batch_of
from dify_etl.dify.record import Batch, Id, Instant, JsonText, Record, aliased, optional
from dify_etl.dify.session import Session

ROUTE = "/workspaces/current/members"


class Member(Record):
    """An account in the workspace (GET /workspaces/current/members)."""

    account_id: Id = aliased("id", description="id of the account")
    name: str = aliased("name", description="name that others see")
    email: str = aliased("email", description="e-mail address; Dify does not validate it")
    avatar: str | None = optional(description="file id or address of the picture")
    avatar_url: str | None = optional(description="signed address of the picture; changes")
    role: str | None = optional(description="owner, admin, editor, normal, dataset_operator")
    roles: JsonText | None = optional(description="roles, JSON list (newest servers)")
    status: str | None = optional(description="pending, uninitialized, active, banned, closed")
    last_login_at: Instant | None = optional(description="last login")
    last_active_at: Instant | None = optional(description="last call, to 10 minutes")
    created_at: Instant | None = optional(description="when the account was made")


class Members:
    """`dify.members`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def list(self) -> Batch[Member]:
        """GET /workspaces/current/members: everybody, invited ones included."""
        answer = self._session.get(ROUTE)
        return batch_of(Member, answer, endpoint=f"GET {ROUTE}", key="accounts")
