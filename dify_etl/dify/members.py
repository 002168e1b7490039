"""Members of the workspace: listed, invited, moved to another role, removed."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

from pydantic import SecretStr

from dify_etl.dify import routes
from dify_etl.dify.errors import NotSent, UnexpectedAnswer
from dify_etl.dify.http.session import Session
from dify_etl.dify.http.writes import Written, unanswered
from dify_etl.dify.json_text import JsonText
from dify_etl.dify.lists import batch_of
from dify_etl.dify.record import Batch, Id, Instant, Record, aliased, optional

INVITE = f"{routes.MEMBERS}/invite-email"
ROLES_TO_GIVE = ("admin", "editor", "normal", "dataset_operator")

INVITED, ALREADY_MEMBER, FAILED = "success", "already_member", "failed"
NOT_PROCESSED = "not_processed"

# What mail servers accept in practice: no quotes, no comments, a domain with a dot.
_EMAIL = re.compile(
    r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
    r"@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z0-9-]{2,63}"
)
_LONGEST_EMAIL, _LONGEST_LOCAL_PART = 254, 64


class Member(Record):
    """An account in the workspace (GET /workspaces/current/members)."""

    needs = frozenset({"account_id"})

    account_id: Id = aliased("id", description="id of the account")
    name: str = aliased("name", description="name that others see", is_person=True)
    email: str = aliased(
        "email", description="e-mail address; Dify does not validate it", is_person=True
    )
    avatar: str | None = optional(description="file id or address of the picture", is_person=True)
    avatar_url: str | None = optional(
        description="signed address of the picture; the signature is an old one",
        is_volatile=True,
        is_signed=True,
        is_person=True,
    )
    role: str | None = optional(description="owner, admin, editor, normal, dataset_operator")
    roles: JsonText | None = optional(description="roles, JSON list (newest servers)")
    status: str | None = optional(description="pending, uninitialized, active, banned, closed")
    last_login_at: Instant | None = optional(description="last login", is_volatile=True)
    last_active_at: Instant | None = optional(
        description="last call, to 10 minutes", is_volatile=True
    )
    created_at: Instant | None = optional(description="when the account was made")


@dataclass(frozen=True)
class Invitation:
    """What became of one e-mail address.

    `status`: success, already_member, failed, or not_processed (1.0 stops at the first who is a
    member already; invite these once more). `activation_url` opens the new account to whoever has
    it; None when there is nothing to activate.
    """

    email: str
    status: str
    message: str | None = None
    activation_url: SecretStr | None = None


class Members:
    """`dify.members`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def list(self) -> Batch[Member]:
        """GET /workspaces/current/members: everybody, invited ones included."""
        answer = self._session.get(routes.MEMBERS)
        return batch_of(Member, answer, endpoint=f"GET {routes.MEMBERS}", key="accounts")

    def invite(
        self, emails: Sequence[str], role: str, language: str | None = None
    ) -> Written[tuple[Invitation, ...]]:
        """POST members/invite-email: 201 whatever becomes of each; one result per address.

        Takes an admin or owner: for others every result is `failed`. Inviting again sends another
        activation link and leaves the role as it is: use `set_role`. Dify takes any text for an
        address, so addresses that are none are refused here (NotSent), as is a role other than
        admin, editor, normal and dataset_operator. `language` as en-US.
        """
        _check(emails, role)
        told = {"language": language} if language else {}
        body = {"emails": [*emails], "role": role, **told}
        written = self._session.write("POST", INVITE, body=body)
        results = written.value.get("invitation_results") if _is_object(written.value) else None
        if not isinstance(results, list) or not all(map(_is_object, results)):
            error = UnexpectedAnswer(
                "the answer holds no results",
                where=f"POST {INVITE}",
                hint="Report the server version and the endpoint.",
            )
            raise unanswered(error, status=written.status)
        return written.holding(_in_order(emails, [_invitation(row) for row in results]))

    def set_role(self, member_id: str, role: str) -> Written[None]:
        """PUT members/{id}/update-role; owners only (400 for others).

        Refused (400) for ourselves and for a role that the member has already. The role owner is
        refused here (NotSent): it would hand the workspace over.
        """
        _check_role(role, where=f"PUT {routes.MEMBERS}/{{member_id}}/update-role")
        route = f"{routes.MEMBERS}/{{member_id}}/update-role"
        written = self._session.write("PUT", route, body={"role": role}, member_id=member_id)
        return written.holding(None)

    def remove(self, member_id: str) -> Written[None]:
        """DELETE members/{id}; owners only. The account itself stays.

        Raises NotFound when it is no member (any more), Refused (400) for ourselves.
        """
        route = f"{routes.MEMBERS}/{{member_id}}"
        return self._session.write("DELETE", route, member_id=member_id).holding(None)


def is_email(text: str) -> bool:
    """Whether a text looks like an e-mail address; Dify itself does not ask."""
    is_short = len(text) <= _LONGEST_EMAIL and text.find("@") <= _LONGEST_LOCAL_PART
    return is_short and _EMAIL.fullmatch(text) is not None


def _check(emails: Sequence[str], role: str) -> None:
    where = f"POST {INVITE}"
    wrong = [email for email in emails if not is_email(email)]
    if wrong:
        raise NotSent(
            f"no e-mail address: {', '.join(wrong[:5])}",
            where=where,
            hint="Correct it: Dify would make an account for any text.",
        )
    _check_role(role, where=where)


def _check_role(role: str, *, where: str) -> None:
    if role not in ROLES_TO_GIVE:
        raise NotSent(
            f"no role to give: {role!r}",
            where=where,
            hint=f"Choose one of {', '.join(ROLES_TO_GIVE)}; hand a workspace over in the console.",
        )


def _invitation(row: dict[str, Any]) -> Invitation:
    """Servers up to 1.14 tell a member by a link to the sign-in page."""
    url, status = row.get("url"), str(row.get("status"))
    has_token = isinstance(url, str) and "token" in parse_qs(urlsplit(url).query)
    if status == INVITED and isinstance(url, str) and not has_token:
        status = ALREADY_MEMBER
    message = row.get("message")
    return Invitation(
        email=str(row.get("email")),
        status=status,
        message=message if isinstance(message, str) else None,
        activation_url=SecretStr(url) if isinstance(url, str) and has_token else None,
    )


def _in_order(emails: Sequence[str], results: list[Invitation]) -> tuple[Invitation, ...]:
    """One result per address, as it was given; Dify writes addresses in lower case."""
    by_email = {result.email.lower(): result for result in results}
    missing = Invitation("", NOT_PROCESSED, "Dify stopped before this address")
    found = [(email, by_email.get(email.lower(), missing)) for email in emails]
    return tuple(
        Invitation(email, result.status, result.message, result.activation_url)
        for email, result in found
    )


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)
