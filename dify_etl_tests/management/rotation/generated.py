"""Random histories of rotations: what goes wrong, and what people do meanwhile."""

from dataclasses import dataclass
from typing import Literal, get_args

from hypothesis import strategies as st

# What may go wrong once in a night, at the n-th place where it can.
Trouble = Literal[
    "crash before request",
    "crash after request",
    "lost answer",
    "time-out, nothing done",
    "time-out after success",
    "500 instead",
    "500 after success",
    "cut answer",
    "crash before sink",
    "crash after sink",
    "sink fails",
    "crash before ledger",
    "crash after ledger",
    "crash before audit",
    "second run",
    "human deletes new key",
    "human deletes old key",
    "human makes a key",
]
TROUBLES: tuple[Trouble, ...] = get_args(Trouble)
Act = Literal[
    "human makes a key",
    "human deletes new key",
    "human deletes old key",
    "old key is used",
    "rollback",
    "leak",
]
ACTS: tuple[Act, ...] = get_args(Act)


@dataclass(frozen=True)
class Night:
    """What people do before it, hours until it, and the trouble in it: which, and where.

    `place`: how far into the night, 0 to 99.
    """

    hours: float
    act: Act | None
    trouble: Trouble | None
    place: int


@dataclass(frozen=True)
class Server:
    """The Dify of a history."""

    version: str
    is_masked: bool
    deleted_key_lives: float
    shows_uses: bool


@dataclass(frozen=True)
class History:
    """A server, the consumers of its app, and some nights."""

    server: Server
    consumers: tuple[str, ...]
    has_datasets: bool
    nights: tuple[Night, ...]


OLD = ("1.0.0", "1.7.2", "1.12.1")
SERVERS = (
    *(Server(version, is_masked=False, deleted_key_lives=0, shows_uses=True) for version in OLD),
    *(
        Server("1.14.2", is_masked=is_masked, deleted_key_lives=lives, shows_uses=shows_uses)
        for is_masked in (False, True)
        for lives in (0, 300)
        for shows_uses in (False, True)
    ),
)


def nights() -> st.SearchStrategy[Night]:
    return st.builds(
        Night,
        hours=st.sampled_from([1.0, 13.0, 26.0, 26.0]),
        act=st.one_of(st.none(), st.none(), st.sampled_from(ACTS)),
        trouble=st.one_of(st.none(), *[st.sampled_from(TROUBLES)] * 3),
        place=st.integers(0, 99),
    )


def histories() -> st.SearchStrategy[History]:
    return st.builds(
        History,
        server=st.sampled_from(SERVERS),
        consumers=st.sampled_from([("web",), ("web",), ("web", "batch")]),
        has_datasets=st.sampled_from([False, False, True]),
        nights=st.lists(nights(), min_size=1, max_size=5).map(tuple),
    )
