"""Who we are: the account, its time zone, and its workspaces."""

import threading
from collections.abc import Callable
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from dify_etl.dify import routes
from dify_etl.dify.errors import (
    DifyError,
    LoginRefused,
    NoSuchEndpoint,
    NotAllowed,
    NotFound,
    Refused,
    UnexpectedAnswer,
)
from dify_etl.dify.http.session import Session
from dify_etl.dify.json_text import JsonText
from dify_etl.dify.record import Id, Instant, Record, aliased, optional, parse_one
from dify_etl.time_zones import zone_of

POST_WORKSPACE_SINCE = (1, 9, 2)  # GET /workspaces/current before, POST later
CURRENT, SUMMARY, LIST = "/workspaces/current", "/workspaces/current/summary", "/workspaces"


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
    """A workspace (Dify's tenant) of the account.

    GET /workspaces, /workspaces/current or /workspaces/current/summary, which tell different parts.
    """

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
    trial_credits_exhausted_at: int | None = optional(description="when none was left (cloud)")
    next_credit_reset_date: int | None = optional(description="when they begin anew (cloud)")
    credits: JsonText | None = optional(description="credits of the plan, JSON (cloud, newest)")
    is_admin_extended: bool | None = optional("admin_extend", description="extended by an admin")
    is_tenant_extended: bool | None = optional("tenant_extend", description="extended by itself")
    last_opened_at: Instant | None = optional(description="when the account opened it last")
    created_at: Instant | None = optional(description="when the workspace was made")


Ask = Callable[[], Workspace]


class Account:
    """`dify.account`: reads about ourselves.

    No route tells the current workspace on every server. Those that do are asked in turn until one
    answers; that one is remembered, and asked from then on.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._lock = threading.Lock()
        self._timezone: str | None = None
        self._told_by: Ask | None = None

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
        endpoint = f"GET {LIST}"
        answer = self._session.get(LIST)
        return [
            parse_one(Workspace, row, endpoint=endpoint) for row in answer.get("workspaces", [])
        ]

    def current_workspace(self) -> Workspace:
        """The workspace that every session of this account works in.

        Told by /workspaces/current (GET on old servers, a POST that only reads up to 1.16.1), later
        by GET /workspaces/current/summary, and by GET /workspaces on all, without the role. Raises
        LoginRefused when the account is in no workspace; NoSuchEndpoint when no route tells one.
        """
        return self._first_workspace().model_copy(update={"is_current": True})

    def role(self) -> str:
        """Our role in the current workspace: owner, admin, editor, normal, dataset_operator.

        As the workspace tells it, else the list of members (GET /workspaces/current/members). Asked
        each time, since an owner may change it. Raises UnexpectedAnswer when Dify tells none.
        """
        return self.role_in(self.current_workspace())

    def role_in(self, workspace: Workspace) -> str:
        """Our role in the current workspace, which was just asked; as `role`."""
        role = workspace.role or self._role_of_members()
        if role is None:
            raise UnexpectedAnswer(
                "the answer tells no role",
                where=f"GET {routes.MEMBERS}",
                hint="Report the server version and the endpoint.",
            )
        return role

    @property
    def is_summarised(self) -> bool:
        """Whether the server has told the workspace by the route that came after 1.16.1."""
        return self._told_by == self._by_summary

    def _first_workspace(self) -> Workspace:
        """What the remembered route answers; else, or when it is gone, the first that answers."""
        missing: DifyError | None = None
        if self._told_by is not None:
            try:
                return self._told_by()
            except (NotFound, NoSuchEndpoint):
                self._told_by = None  # the server was upgraded while we ran
        for ask in (*self._by_method(), self._by_summary, self._by_list):
            try:
                workspace = ask()
            except (NotFound, NoSuchEndpoint, NotAllowed, Refused, UnexpectedAnswer) as error:
                missing = missing or error
            else:
                self._told_by = ask
                return workspace
        assert missing is not None
        raise missing

    def _by_method(self) -> tuple[Ask, Ask]:
        """Both ways to ask /workspaces/current, that of the server's version first."""
        is_old = self._session.version < POST_WORKSPACE_SINCE
        return (self._by_get, self._by_post) if is_old else (self._by_post, self._by_get)

    def _by_post(self) -> Workspace:
        answer = self._session.read_by_post(CURRENT)
        return parse_one(Workspace, answer, endpoint=f"POST {CURRENT}")

    def _by_get(self) -> Workspace:
        return parse_one(Workspace, self._session.get(CURRENT), endpoint=f"GET {CURRENT}")

    def _by_summary(self) -> Workspace:
        return parse_one(Workspace, self._session.get(SUMMARY), endpoint=f"GET {SUMMARY}")

    def _by_list(self) -> Workspace:
        found = [one for one in self.workspaces() if one.is_current]
        if len(found) != 1:
            raise LoginRefused(
                "the account works in no workspace: it was removed from it, or the workspace is "
                "archived",
                where=f"GET {LIST}",
                hint="Open the workspace again, or let an owner invite the account.",
            )
        return found[0]

    def _role_of_members(self) -> str | None:
        account_id = self.profile().account_id
        accounts = self._session.get(routes.MEMBERS).get("accounts", [])
        return next((one.get("role") for one in accounts if one.get("id") == account_id), None)


def _zone_of(timezone: str) -> ZoneInfo:
    try:
        return zone_of(timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise UnexpectedAnswer(
            f"the account has no usable time zone ({timezone!r})",
            where="GET /account/profile",
            hint="Set one in the account's language settings in the console; UTC is the safest.",
        ) from error
