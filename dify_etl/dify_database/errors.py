"""What can go wrong with Dify's database; no message holds the address, which has a password."""

import re
from typing import Any

from dify_etl.errors import ActionableError

SETTING = "DIFY_DATABASE_URL"
_WORDS = {
    "permission denied": "42501",
    "statement timeout": "57014",
    "lock timeout": "55P03",
    "idle-in-transaction": "25P03",
    "conflict with recovery": "57014",
}
_LOST = ("connect", "server closed", "authentication", "does not exist", "SSL")
_REFUSED, _TOO_LONG, _NO_TABLE = "42501", ("57014", "55P03", "25P03"), "42P01"


class DatabaseError(ActionableError):
    """Dify's database could not be read; what was loaded before stays."""


class DatabaseUnreachable(DatabaseError):
    """No connection: no server, another password, no such database."""


class DatabaseRefused(DatabaseError):
    """The role may not read a table or column that is needed."""


class DatabaseTooSlow(DatabaseError):
    """A statement took longer than it may, or waited for a lock."""


class DatabaseOdd(DatabaseError):
    """A statement failed otherwise."""


class DatabaseWrong(DatabaseError):
    """It is not the database of the Dify that answers."""


def translated(error: Any, password: str | None) -> DatabaseError:
    """An error of the driver (it has `sqlstate`) as one of ours, without the password."""
    told = _shown(str(error), password)
    state = getattr(error, "sqlstate", None) or _state_of(told)
    if state == _REFUSED:
        return DatabaseRefused(
            f"the role of {SETTING} may not read what is needed: {told}",
            where=SETTING,
            hint="Grant it, as docs/database.md shows, or unset the setting to read by the API.",
        )
    if state in _TOO_LONG:
        return DatabaseTooSlow(
            f"Dify's database took too long: {told}",
            where=SETTING,
            hint="Run again when it is less busy, or read a replica; what was loaded stays.",
        )
    if state == _NO_TABLE:  # nothing is asked of tables that a version of Dify may lack
        return DatabaseWrong(
            "this is not Dify's database, or its tables are in another schema, or in one that the "
            f"role may not look into: {told}",
            where=SETTING,
            hint="Look at the name at the end of the URL: Dify's own is `dify`, beside "
            "`dify_plugin`. docs/database.md has the GRANTs.",
        )
    if state is None:
        return DatabaseUnreachable(
            f"Dify's database cannot be reached: {told}",
            where=SETTING,
            hint="Check host, port, name of the database, role and password; `dify-etl doctor` "
            "tries it.",
        )
    return DatabaseOdd(
        f"Dify's database answered an error: {told}",
        where=SETTING,
        hint="Run again; unset the setting to read by the API, and report it with Dify's version.",
    )


def _state_of(told: str) -> str | None:
    """The state by the server's words, where the driver hands no more on; None: no connection."""
    for words, state in _WORDS.items():
        if words in told:
            return state
    return None if any(words in told for words in _LOST) else "XX000"


def _shown(text: str, password: str | None) -> str:
    """The server's own words in one line: what it says of an error, not the statement."""
    found = re.search(r"(?:ERROR|FATAL):\s+([^\n]+)", text)
    line = found[1] if found else " ".join(text.split())
    if password is not None:
        line = line.replace(password, "***")
    # Cut last: half a password is not found any more. The server may repeat a whole value.
    return re.sub(r"postgres(?:ql)?://\S+", "postgresql://***", line)[:300]
