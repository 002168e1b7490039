"""How values of the simulated world look in the warehouse; nothing here knows the client."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from dify_simulated import World
from dify_simulated.versions import ServerVersion
from dify_simulated.world.rows import Message

Row = dict[str, Any]
Version = tuple[int, ...]


def version_of(text: str) -> Version:
    """`1.12.1` as (1, 12, 1); a tree by its place in the order of releases."""
    return ServerVersion(text).number


def second(at: datetime | None) -> datetime | None:
    """Dify tells epoch seconds, the fraction cut off."""
    return None if at is None else at.replace(microsecond=0)


def money(text: Any) -> Decimal | None:
    """A price with the ten decimals that the warehouse keeps."""
    return None if text is None else Decimal(str(text)).quantize(Decimal("1e-10"))


@dataclass(frozen=True)
class Told:
    """A world as a server of one version tells it to the account that reads."""

    world: World
    version: Version
    completion_detail: bool = False
    segments: bool = True

    def since(self, *version: int) -> bool:
        """Whether the server is of this version or later."""
        return self.version >= version

    def rows(self, make: Callable[["Told"], Iterator[Row]]) -> list[Row]:
        """All rows of one table."""
        return list(make(self))

    def mode(self, app_id: str) -> str:
        """The mode of an app."""
        return self.world.apps[app_id].mode

    def is_listed(self, conversation_id: str) -> bool:
        """Whether a list shows the conversation: all but those of debugging a chatflow."""
        row = self.world.conversations[conversation_id]
        return row.mode != "advanced-chat" or row.invoke_from not in (None, "debugger")

    def is_opened(self, message: Message) -> bool:
        """Whether the message may be read in full: its log is read already, or all are opened."""
        row = self.world.conversations[message.conversation_id]
        return row.mode != "completion" or row.read_at is not None or self.completion_detail

    def messages(self) -> list[Message]:
        """The messages of all listed conversations, but for those that nothing shows."""
        rows = self.world.messages.values()
        return [
            row
            for row in rows
            if self.is_listed(row.conversation_id) and not self.is_hidden(row.conversation_id)
        ]

    def is_hidden(self, conversation_id: str) -> bool:
        """Whether it is the debugging talk of another account with an agent."""
        row = self.world.conversations[conversation_id]
        is_others = row.from_account_id != self.world.account_id
        return row.mode == "agent" and row.invoke_from == "debugger" and is_others

    def account_name(self, account_id: str | None) -> str | None:
        """Null once the account is gone."""
        row = self.world.accounts.get(account_id or "")
        return None if row is None else row.name

    def creator(self, role: str, created_by: str) -> Row:
        """The columns that say who started a run or node; null once the creator is gone."""
        account = self.world.accounts.get(created_by) if role == "account" else None
        user = self.world.end_users.get(created_by) if role == "end_user" else None
        return {
            "created_by_role": role,
            "created_by_account_id": account and account.id,
            "created_by_account_name": account and account.name,
            "created_by_account_email": account and account.email,
            "created_by_end_user_id": user and user.id,
            "created_by_end_user_type": user and user.type,
            "created_by_end_user_is_anonymous": user.is_anonymous if user else None,
            "created_by_end_user_session_id": user and user.session_id,
        }
