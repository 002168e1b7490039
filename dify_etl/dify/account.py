"""Who we are: the account, its time zone, and its workspaces."""

import threading
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from dify_etl.dify.errors import Refused, UnexpectedAnswer
from dify_etl.dify.record import Id, Instant, JsonText, Record, aliased, optional, parse_one
from dify_etl.dify.session import Session

POST_WORKSPACE_SINCE = (1, 9, 2)  # GET /workspaces/current before, POST later


class Profile(Record):
    """The account that we are logged in with (GET /account/profile)."""

    account_id: Id = aliased("id", description="id of the account")
    name: str = aliased("name", description="name that others see")
    email: str = aliased("email", description="e-mail address, the login name")
    avatar: str | None = optional(description="file id or address of the picture")
    avatar_url: str | None = optional(description="signed address of the picture; changes")
    is_password_set: bool | None = optional(description="whether a password login is possible")
    interface_language: str | None = optional(description="language of the console, as en-US")
    interface_theme: str | None = optional(description="light or dark")
    timezone: str | None = optional(description="IANA zone; time parameters and statistics use it")
    last_login_at: Instant | None = optional(description="last login")
    last_login_ip: str | None = optional(description="address of the last login")
    created_at: Instant | None = optional(description="when the account was made")


class Workspace(Record):
    """A workspace (Dify's tenant) of the account (GET /workspaces, /workspaces/current)."""

    workspace_id: Id = aliased("id", description="id of the workspace")
    name: str | None = optional(description="name of the workspace")
    status: str | None = optional(description="normal or archive")
    plan: str | None = optional(description="sandbox, basic, professional, team")
    role: str | None = optional(description="our role; only of the current workspace")
    is_current: bool | None = optional("current", description="whether the account works in it")
    in_trial: bool | None = optional(description="whether a trial runs")
    trial_end_reason: str | None = optional(description="why the trial ended")
    custom_config: JsonText | None = optional(description="own logo and branding, JSON")
    trial_credits: int | None = optional(description="credits of a trial (cloud)")
    trial_credits_used: int | None = optional(description="credits of it used")
    next_credit_reset_date: int | None = optional(description="when they begin anew (cloud)")
    is_admin_extended: bool | None = optional("admin_extend", description="extended by an admin")
    is_tenant_extended: bool | None = optional("tenant_extend", description="extended by itself")
    created_at: Instant | None = optional(description="when the workspace was made")


class Account:
    """`dify.account`: reads about ourselves."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._lock = threading.Lock()
        self._timezone: str | None = None

    def profile(self) -> Profile:
        """GET /account/profile."""
        answer = self._session.get("/account/profile")
        profile = parse_one(Profile, answer, endpoint="GET /account/profile")
        self._timezone = profile.timezone
        return profile

    def zone(self) -> ZoneInfo:
        """The zone of time parameters and statistics, of the last profile; asked when none was.

        Raises UnexpectedAnswer.
        """
        with self._lock:
            return _zone_of(self._timezone or self.profile().timezone or "")

    def workspaces(self) -> list[Workspace]:
        """GET /workspaces: all workspaces that the account is a member of."""
        endpoint = "GET /workspaces"
        answer = self._session.get("/workspaces")
        return [
            parse_one(Workspace, row, endpoint=endpoint) for row in answer.get("workspaces", [])
        ]

    def current_workspace(self) -> Workspace:
        """The workspace that every session of this account works in.

        GET /workspaces/current on old servers, POST (which only reads) on new ones.
        """
        by_post = self._session.version >= POST_WORKSPACE_SINCE
        try:
            answer = self._ask_current(by_post)
        except Refused as error:
            if error.status != 405:
                raise
            answer = self._ask_current(not by_post)
        workspace = parse_one(Workspace, answer, endpoint="/workspaces/current")
        return workspace.model_copy(update={"is_current": True})

    def role(self) -> str:
        """Our role in the current workspace: owner, admin, editor, normal, dataset_operator.

        Asked each time, since an owner may change it. Raises UnexpectedAnswer when Dify tells none.
        """
        role = self.current_workspace().role
        if role is None:
            raise UnexpectedAnswer(
                "the answer tells no role",
                where="/workspaces/current",
                hint="Report the server version and the endpoint.",
            )
        return role

    def _ask_current(self, by_post: bool) -> Any:
        route = "/workspaces/current"
        return self._session.read_by_post(route) if by_post else self._session.get(route)


def _zone_of(timezone: str) -> ZoneInfo:
    try:
        return ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise UnexpectedAnswer(
            f"the account has no usable time zone ({timezone!r})",
            where="GET /account/profile",
            hint="Set one in the account's language settings in the console; UTC is the safest.",
        ) from error
