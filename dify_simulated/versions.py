"""What differs between releases of Dify, asked by name of the difference."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

# What can be simulated, and its place in the order of releases. A tree that tells an older version
# than it is stands where it belongs: main of August 2026 tells 1.16.1 and is 1.17 in effect. That
# of September has an endpoint less; it was not recorded.
_NUMBERS = {
    "1.0.0": (1, 0, 0),
    "1.6.0": (1, 6, 0),
    "1.7.2": (1, 7, 2),
    "1.9.1": (1, 9, 1),
    "1.9.2": (1, 9, 2),
    "1.10.1": (1, 10, 1),
    "1.11.0": (1, 11, 0),
    "1.12.1": (1, 12, 1),
    "1.13.0": (1, 13, 0),
    "1.14.2": (1, 14, 2),
    "1.15.0": (1, 15, 0),
    "1.16.1": (1, 16, 1),
    "main-2026-08": (1, 17, 0),
    "main-2026-09": (1, 17, 1),
}
KNOWN_VERSIONS = tuple(_NUMBERS)


class SessionStyle(Enum):
    """How a person logs in and how a request shows who asks."""

    BEARER = "bearer"  # tokens in the body of the answer, Authorization on each request
    COOKIE_PLAIN = "cookie-plain"  # three cookies and a CSRF header, password as it is
    COOKIE_BASE64 = "cookie-base64"  # the same, password in Base64


class ErrorFamily(Enum):
    """The shape of the answer to a parameter that does not fit."""

    PARAMS = "params"  # flask-restful: code, message, params
    ERRORS = "errors"  # flask-restx: errors by field, no code
    PYDANTIC = "pydantic"  # code, the whole text of pydantic, status


@dataclass(frozen=True)
class ServerVersion:
    """A release or tree, by its name here. Raises ValueError for one that is not simulated."""

    name: str

    def __post_init__(self) -> None:
        if self.name not in KNOWN_VERSIONS:
            raise ValueError(
                f"Dify {self.name} is not simulated; choose one of {', '.join(KNOWN_VERSIONS)}"
            )

    @property
    def text(self) -> str:
        """What the server tells in X-Version."""
        return "1.16.1" if self.name.startswith("main-") else self.name

    @property
    def number(self) -> tuple[int, ...]:
        """The release as numbers, for comparisons."""
        return _NUMBERS[self.name]

    def since(self, *number: int) -> bool:
        """True for this release and later ones."""
        return self.number >= number

    @property
    def session_style(self) -> SessionStyle:
        """1.9.2 brought the cookies, 1.11.2 the Base64 password.

        The style between them (cookies, plain password) was not seen on a running server: it is
        inferred from the sources and from issues that name the two releases.
        """
        if not self.since(1, 9, 2):
            return SessionStyle.BEARER
        return SessionStyle.COOKIE_BASE64 if self.since(1, 11, 2) else SessionStyle.COOKIE_PLAIN

    @property
    def error_family(self) -> ErrorFamily:
        """flask-restful before 1.7, flask-restx to 1.10, pydantic from 1.11."""
        if self.since(1, 11):
            return ErrorFamily.PYDANTIC
        return ErrorFamily.ERRORS if self.since(1, 7) else ErrorFamily.PARAMS

    @property
    def checks_time_range_itself(self) -> bool:
        """From 1.10 `start` and `end` may be empty, and start after end is refused with 400."""
        return self.since(1, 10)

    @property
    def reading_moves_updated_at(self) -> bool:
        """1.10 to 1.12: the detail of a conversation moves updated_at when it sets read_at."""
        return self.since(1, 10) and not self.since(1, 13)

    @property
    def logs_runs_at_start(self) -> bool:
        """From 1.9 the line in workflow-app-logs exists while the run is going on."""
        return self.since(1, 9)

    @property
    def lists_app_runs(self) -> bool:
        """From 1.9.2 workflow-runs takes triggered_from and status, and has /count."""
        return self.since(1, 9, 2)

    @property
    def exports_feedbacks(self) -> bool:
        """From 1.10.1 /feedbacks/export exists."""
        return self.since(1, 10, 1)

    @property
    def signs_in_by_any_case(self) -> bool:
        """From 1.11.3 e-mail addresses are compared in lower case."""
        return self.since(1, 11, 3)

    @property
    def caches_keys(self) -> bool:
        """From 1.13 the service API keeps keys in a cache and writes their use down later."""
        return self.since(1, 13)

    @property
    def blocks_admin_key(self) -> bool:
        """From 1.9.2 to 1.10 the CSRF check also stops the admin key."""
        return self.since(1, 9, 2) and not self.since(1, 11)

    @property
    def has_agents(self) -> bool:
        """From 1.15 apps of mode `agent` exist, with endpoints of their own."""
        return self.since(1, 15)

    @property
    def has_human_input(self) -> bool:
        """From 1.13 a workflow may wait for a person who fills a form in."""
        return self.since(1, 13)

    @property
    def stops_resumed_runs(self) -> bool:
        """Until 1.16.1 a run that was called in blocking mode ends `stopped` when it goes on.

        Seen each time that the form was answered at once.
        """
        return self.has_human_input and not self.since(1, 17)

    @property
    def summarises_workspace(self) -> bool:
        """After 1.16.1 /workspaces/current is gone; /workspaces/current/summary tells the role."""
        return self.since(1, 17)

    @property
    def tells_permissions(self) -> bool:
        """From 1.16 apps and datasets tell what the caller may do with them."""
        return self.since(1, 16)

    @property
    def answers_by_models(self) -> bool:
        """From 1.16 answers are built by models: null stays null, one row that fails fails all."""
        return self.since(1, 16)

    @property
    def keeps_datasets_private(self) -> bool:
        """After 1.16.1 the state of indexing and retries ask for permission on the dataset too."""
        return self.since(1, 17)

    @property
    def answers_unprocessable(self) -> bool:
        """After 1.16.1 most parameters that do not fit are answered with 422."""
        return self.since(1, 17)
