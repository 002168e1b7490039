"""Whom to invite: e-mails and roles from arguments or a CSV, checked before Dify sees them.

Dify accepts anything as an e-mail and makes a pending account of it.
"""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dify_etl.dify.members import ROLES_TO_GIVE, is_email
from dify_etl.operations.errors import InputWrong
from dify_etl.operations.files import read_text


@dataclass(frozen=True)
class Invitee:
    """Somebody to invite, the e-mail in lower case as newer Dify keeps it."""

    email: str
    role: str


def invitee(email: str, role: str, *, where: str) -> Invitee:
    """A checked invitee. InputWrong for an address or a role that Dify should not get."""
    cleaned = email.strip().lower()
    if not is_email(cleaned):
        raise InputWrong(
            f"{email!r} is no e-mail address",
            where=where,
            hint="Correct it; nobody was invited. Dify would have made an account of it.",
        )
    return Invitee(cleaned, checked_role(role, where=where))


def checked_role(role: str, *, where: str = "the role given") -> str:
    """The role. InputWrong when nobody can be given it."""
    if role not in ROLES_TO_GIVE:
        raise InputWrong(
            f"{role!r} is no role that can be given",
            where=where,
            hint=f"Roles: {', '.join(ROLES_TO_GIVE)}. An owner hands the workspace over in Dify.",
        )
    return role


def invitees(
    emails: Sequence[str], *, role: str, csv_path: Path | None = None
) -> tuple[Invitee, ...]:
    """Everybody of the arguments and of the CSV, each once. InputWrong names the first bad line."""
    named = [invitee(email, role, where="the e-mail given") for email in emails]
    listed = [] if csv_path is None else _listed(csv_path, role)
    by_email: dict[str, Invitee] = {}
    for one in [*named, *listed]:
        other = by_email.setdefault(one.email, one)
        if other.role != one.role:
            raise InputWrong(
                f"{one.email} is given two roles, {other.role} and {one.role}",
                where=str(csv_path or "the e-mails given"),
                hint="Keep one of them.",
            )
    if not by_email:
        raise InputWrong(
            "nobody is named", where="members invite", hint="Give e-mails, or a file with --csv."
        )
    return tuple(by_email.values())


def _listed(path: Path, role: str) -> list[Invitee]:
    text = read_text(path, hint="Give a CSV in UTF-8.")
    reader = csv.DictReader(io.StringIO(text, newline=""))
    try:
        rows = [(reader.line_num, row) for row in reader]
    except csv.Error as error:
        raise InputWrong(
            f"the file is no CSV: {error}",
            where=f"{path}, line {reader.line_num}",
            hint="Give a CSV in UTF-8.",
        ) from None
    if rows and "email" not in rows[0][1]:
        raise InputWrong(
            "the first line does not name a column email",
            where=str(path),
            hint="Begin the file with the line email,role (role may be left out).",
        )
    return list(_checked(rows, role, path))


def _checked(
    rows: Iterable[tuple[int, dict[str | None, str | None]]], role: str, path: Path
) -> Iterable[Invitee]:
    for number, row in rows:
        email, own_role = (row.get("email") or "").strip(), (row.get("role") or "").strip()
        if email or own_role:
            yield invitee(email, own_role or role, where=f"{path}, line {number}")
