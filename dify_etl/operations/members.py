"""Invite members, change roles, remove members: one person per call, judged by the member list.

Dify answers 201 to every invitation, tells failures inside, and leaves the role of those who are
members already. Activation links are secrets: they go to the file that the user names, or nowhere.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, Field, SecretStr, model_validator

from dify_etl.dify.http.writes import Written
from dify_etl.dify.members import ROLES_TO_GIVE, Invitation, Member
from dify_etl.operations.applying import Action, Answer, Found, Operation, Operator
from dify_etl.operations.errors import InputWrong, TargetUnknown
from dify_etl.operations.invitees import Invitee, checked_role, invitees
from dify_etl.operations.plan import Step, Target
from dify_etl.operations.redaction import State
from dify_etl.operations.request import (
    Argument,
    OperationContext,
    Option,
    OptionalFile,
    PlannedRequest,
)
from dify_etl.private_files import PRIVATE_FILE, private_file

INVITE, SET_ROLE, REMOVE = "members.invite", "members.set_role", "members.remove"


@dataclass(frozen=True)
class LinkFile:
    """Where activation links go: one line `e-mail<tab>link` each, mode 0600."""

    path: Path

    def check(self) -> None:
        """InputWrong when it cannot be written, before anybody is invited."""
        try:
            self._append("")
        except OSError as error:
            raise InputWrong(
                f"the file for activation links cannot be written: {error.strerror}",
                where=str(self.path),
                hint="Name a file in a folder that you may write.",
            ) from None

    def keep(self, email: str, link: SecretStr) -> None:
        """Add one link."""
        self._append(f"{email}\t{link.get_secret_value()}\n")

    def _append(self, line: str) -> None:
        with private_file(self.path, "ab") as file:
            os.fchmod(file.fileno(), PRIVATE_FILE)
            file.write(line.encode())


Who = Annotated[list[str], Argument("WHO"), Field(description="E-mails or ids of members.")]
Role = Annotated[
    str, AfterValidator(checked_role), Field(description=f"One of {', '.join(ROLES_TO_GIVE)}.")
]


class InviteMembers(PlannedRequest):
    """Invite people, each judged by itself; who is a member already is left as it is."""

    emails: Annotated[list[str], Argument("EMAIL")] = Field(
        default=[], description="E-mails to invite."
    )
    csv: OptionalFile = Field(
        default=None, description="CSV with the columns email and role (may be left out)."
    )
    role: Role = "normal"
    language: str | None = Field(default=None, description="Language of the invitation, as en-US.")
    links_file: Annotated[OptionalFile, Option("--links")] = Field(
        default=None,
        description="Private file for the activation links; they are shown nowhere else.",
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        """A bad address or line is told before Dify is asked."""
        _ = self.people
        return self

    @cached_property
    def people(self) -> tuple[Invitee, ...]:
        """Everybody to invite."""
        return invitees(self.emails, role=self.role, csv_path=self.csv)

    def plan(self, context: OperationContext) -> Operation:
        """A step per person who is no member yet."""
        links = LinkFile(self.links_file) if self.links_file else None
        language = self.language or None
        return invite_operation(context.operator, self.people, language=language, links=links)


class SetMemberRole(PlannedRequest):
    """Give members another role; only an owner may."""

    members: Who
    role: Role

    def plan(self, context: OperationContext) -> Operation:
        """A step per member whose role is another one."""
        return set_role_operation(context.operator, self.members, self.role)


class RemoveMembers(PlannedRequest):
    """Remove members from the workspace; their accounts stay in Dify."""

    members: Who

    def plan(self, context: OperationContext) -> Operation:
        """A step per member."""
        return remove_operation(context.operator, self.members)


def invite_operation(
    operator: Operator,
    people: Sequence[Invitee],
    *,
    language: str | None = None,
    links: LinkFile | None = None,
) -> Operation:
    """A step per person who is no member yet; notes name those who are."""
    held = {member.email.lower(): member for member in operator.dify.members.list()}
    actions, notes = [], []
    for person in people:
        member = held.get(person.email)
        if member is None:
            actions.append(_invitation(operator, person, language, links))
            continue
        notes.append(_note_on(member, person))
    if links is not None:
        links.check()
    return operator.operation(INVITE, actions, notes)


def _note_on(member: Member, person: Invitee) -> str:
    """Why nobody is invited again: it would send another link and leave the role."""
    is_waited_for = member.status == "pending"
    state = "was invited before and has not come yet" if is_waited_for else "is a member already"
    other = f"; to make it {person.role}, use members set-role"
    return f"{person.email}: {state}, as {member.role}" + (
        other if member.role != person.role else ""
    )


def _invitation(
    operator: Operator, person: Invitee, language: str | None, links: LinkFile | None
) -> Action:
    messages: list[str] = []

    def write() -> Answer:
        written = operator.dify.members.invite([person.email], person.role, language)
        messages.extend(_invitation_messages(written, person, links))
        return written

    def read_back(answer: Answer) -> Found:
        member = _member_of_email(operator, person.email)
        lost = ["its activation link is lost with the answer"] if answer is None and member else []
        message = "; ".join([*messages, *lost])
        return Found(_state(member), member.account_id if member else None, message)

    step = Step(
        INVITE,
        Target("member", None, person.email),
        None,
        {"email": person.email, "role": person.role},
        note="Dify sends an e-mail if it is set up to",
    )
    return Action(
        step,
        write=write,
        read_back=read_back,
        look=lambda: _state(_member_of_email(operator, person.email)),
    )


def _invitation_messages(
    written: Written[tuple[Invitation, ...]], person: Invitee, links: LinkFile | None
) -> list[str]:
    """What Dify says of the invitation, without its link; the link goes to the file."""
    told = []
    for invitation in written.value:
        if invitation.status == "failed":
            told.append(invitation.message or "Dify refused it without a reason")
        if invitation.activation_url is not None and links is not None:
            links.keep(person.email, invitation.activation_url)
            told.append(f"activation link in {links.path}")
    return told


def set_role_operation(operator: Operator, who: Sequence[str], role: str) -> Operation:
    """A step per member whose role is another one. Only an owner may do it. InputWrong for
    ourselves.
    """
    actions = []
    for member in _others(operator, who):
        before = _state(member)
        after = None if before is None else {**before, "role": role}
        actions.append(
            _action_on(
                operator,
                member,
                Step(SET_ROLE, _target(member), before, after),
                partial(operator.dify.members.set_role, member.account_id, role),
            )
        )
    return operator.operation(SET_ROLE, actions, ())


def remove_operation(operator: Operator, who: Sequence[str]) -> Operation:
    """A step per member. They keep their account in Dify and lose the workspace. InputWrong for
    ourselves.
    """
    actions = [
        _action_on(
            operator,
            member,
            Step(REMOVE, _target(member), _state(member), None, is_irreversible=True),
            partial(operator.dify.members.remove, member.account_id),
        )
        for member in _others(operator, who)
    ]
    return operator.operation(REMOVE, actions, ())


def _action_on(
    operator: Operator, member: Member, step: Step, write: Callable[[], Answer]
) -> Action:
    def look() -> State | None:
        return _state(_member_of_id(operator, member.account_id))

    return Action(
        step,
        write=write,
        read_back=lambda answer: Found(look(), member.account_id),
        look=look,
    )


def _chosen(operator: Operator, who: Sequence[str]) -> list[Member]:
    """The members with these e-mails or ids. TargetUnknown names the first who is none."""
    held = {key: one for one in operator.dify.members.list() for key in _keys(one)}
    for text in who:
        if text.lower() not in held:
            raise TargetUnknown(
                f"nobody with the e-mail or id {text!r} is a member",
                where="GET /workspaces/current/members",
                hint="`dify-etl members list` shows everybody.",
            )
    return list({held[text.lower()].account_id: held[text.lower()] for text in who}.values())


def _others(operator: Operator, who: Sequence[str]) -> list[Member]:
    """The chosen ones. InputWrong when one is the account that operates: Dify refuses that."""
    chosen, own = _chosen(operator, who), operator.dify.account.profile().account_id
    for member in chosen:
        if member.account_id == own:
            raise InputWrong(
                f"{member.email} is the account with which dify-etl is logged in",
                where="GET /account/profile",
                hint="Nobody changes or removes himself in Dify. Leave it out, or let another "
                "owner do it.",
            )
    return chosen


def _keys(member: Member) -> tuple[str, str]:
    return member.email.lower(), member.account_id


def _target(member: Member) -> Target:
    return Target("member", member.account_id, member.email)


def _member_of_email(operator: Operator, email: str) -> Member | None:
    members = operator.dify.members.list()
    return next((one for one in members if one.email.lower() == email), None)


def _member_of_id(operator: Operator, account_id: str) -> Member | None:
    members = operator.dify.members.list()
    return next((one for one in members if one.account_id == account_id), None)


def _state(member: Member | None) -> State | None:
    return None if member is None else {"email": member.email.lower(), "role": member.role}
