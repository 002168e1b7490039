"""What can go wrong between us and Dify.

DifyError                what happened, where, what to do
├── LoginRefused         wrong e-mail or password, banned, no workspace: never tried again
│   └── AccountLocked    too many wrong passwords; Dify keeps the account shut for a day
├── SessionLost          the session is not accepted and cannot be renewed
├── NotAllowed           403: the account's role may not do this
│   └── NotShown         403 `forbidden` to a read: the account is not shown this; `right` says whom
├── NoSuchEndpoint       404 in HTML, or 405: this server's version has no such route
├── NotFound             404: no such object
│   └── AppGone          404 app_not_found: deleted, elsewhere, or another app mode
├── Refused              another 4xx; `code` is Dify's own word for it
│   └── RowNotBuilt      400: one row that Dify cannot show takes the whole answer with it
├── RateLimited          429 after all retries
├── NotSent              we did not send it: Dify would break, strand or hand over something
├── KeyRefused           the service API does not know the key
├── ServiceApiOff        the service API does not serve the app: switched off, or the app is gone
├── DifyUnavailable      no connection, time-out, certificate, 5xx after all retries
│   └── WriteUnanswered  a write was sent and its outcome is unknown: read back, never repeat
├── NotDify              something answers there, but it is not Dify
├── UnexpectedAnswer     Dify answered what no known version answers
│   └── AnswerOutOfBounds  it is longer, or takes longer, than the settings allow
├── IncompleteWalk       a list could not be proven complete (only when asked to be strict)
├── Unforeseen           a bug that an answer brought to light: it costs what asked for it
└── TokenStoreFailed     the place that keeps the session cannot be read or written
"""

import re

from dify_etl.dify.rights import UNKNOWN, Right
from dify_etl.errors import ActionableError

_POSITION = re.compile(r"[a-z_]+\.(\d{1,5})\.")


class DifyError(ActionableError):
    """Anything that went wrong while talking to Dify."""


class LoginRefused(DifyError):
    """Dify did not accept the account; the client does not try a second time."""


class AccountLocked(LoginRefused):
    """Too many wrong passwords: Dify refuses even the right one until the lock expires."""


class SessionLost(DifyError):
    """Dify rejects the session, and neither refresh nor one login brought a good one."""


class _Answered(DifyError):
    """An error that Dify itself reported, with the HTTP status and Dify's code when it gave one."""

    def __init__(
        self, what: str, *, where: str, hint: str, status: int = 0, code: str | None = None
    ) -> None:
        super().__init__(what, where=where, hint=hint)
        self.status = status
        self.code = code


class NotAllowed(_Answered):
    """403: the role of the account is too low for this endpoint."""


class NotShown(NotAllowed):
    """403 `forbidden` to a read: Dify shows this to other roles, or to others for this app only.

    `right` says what it is and to whom it is shown; `route` is the endpoint without its ids.
    """

    def __init__(
        self,
        what: str,
        *,
        where: str,
        hint: str,
        status: int = 403,
        code: str | None = "forbidden",
        route: str = "",
        right: Right = UNKNOWN,
    ) -> None:
        super().__init__(what, where=where, hint=hint, status=status, code=code)
        self.route = route
        self.right = right


class NotFound(_Answered):
    """404: the object does not exist in this workspace."""


class NoSuchEndpoint(_Answered):
    """404 in HTML, or 405: this server has no such route, or an id in it is no UUID.

    It is no NotFound: a route that is missing says nothing of the objects behind it.
    """


class AppGone(NotFound):
    """404 `app_not_found`: the app is deleted, in another workspace, or of another mode."""


class Refused(_Answered):
    """A 4xx that is none of the others; look at `code` (may be None on old servers).

    `choices` are the values that Dify says it takes instead of the one sent; empty: it names none.
    """

    def __init__(
        self,
        what: str,
        *,
        where: str,
        hint: str,
        status: int = 0,
        code: str | None = None,
        choices: tuple[str, ...] = (),
    ) -> None:
        super().__init__(what, where=where, hint=hint, status=status, code=code)
        self.choices = choices


class RowNotBuilt(Refused):
    """400: Dify found the rows, and cannot show one of them; the whole answer fails (>= 1.16.1).

    `path` is Dify's name of the field, `position` the row's place in the page, from 0; None where
    Dify does not tell it.
    """

    def __init__(
        self,
        what: str,
        *,
        where: str,
        hint: str,
        status: int = 0,
        code: str | None = None,
        path: str = "",
    ) -> None:
        super().__init__(what, where=where, hint=hint, status=status, code=code)
        self.path = path

    @property
    def position(self) -> int | None:
        """The row's place in the page, from 0; None where Dify does not tell it."""
        found = _POSITION.match(self.path)
        return int(found[1]) if found else None


class RateLimited(_Answered):
    """429: still too many requests after all retries."""


class NotSent(DifyError):
    """The client refuses what Dify would answer with 500 or with harm; nothing was sent."""


class KeyRefused(_Answered):
    """401 of the service API: the key is deleted, wrong, or of the other kind (app, dataset)."""


class ServiceApiOff(_Answered):
    """403 of the service API: the key is good, but its app is switched off, archived or gone."""


class DifyUnavailable(DifyError):
    """Dify cannot be reached, or only answers with server errors; worth trying later.

    `status` is None when no answer came.
    """

    def __init__(self, what: str, *, where: str, hint: str, status: int | None = None) -> None:
        super().__init__(what, where=where, hint=hint)
        self.status = status


class WriteUnanswered(DifyUnavailable):
    """A write was sent once and nobody knows whether it was done: time-out or broken connection
    after sending, 5xx, or a success whose answer cannot be read.

    Read back what is there before writing again. Dify also answers 500 where it refuses (the
    eleventh key on some versions).
    """


class NotDify(DifyError):
    """Something answers at the address, but it does not look like Dify."""


class UnexpectedAnswer(DifyError):
    """Dify answered, but not in a shape that this client knows; names endpoint, record, field."""


class AnswerOutOfBounds(UnexpectedAnswer):
    """An answer is longer, or takes longer, than the settings allow: so may be the next one."""


class IncompleteWalk(DifyError):
    """A list was read to its end, but could not be proven complete."""


class Unforeseen(DifyError):
    """A bug that an answer or a row brought to light.

    `kind` is the class of the error that it was, `trace` where in the code, without its words:
    they may quote what Dify sent.
    """

    def __init__(
        self, what: str, *, where: str, hint: str, kind: str = "", trace: str = ""
    ) -> None:
        super().__init__(what, where=where, hint=hint)
        self.kind = kind
        self.trace = trace


class TokenStoreFailed(DifyError):
    """The file or Redis that keeps the session cannot be used."""
