"""Random histories of rotations: what goes wrong, and what people do meanwhile."""

from dataclasses import dataclass
from typing import Literal

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
TROUBLES: tuple[Trouble, ...] = Trouble.__args__  # type: ignore[attr-defined]
Act = Literal[
    "human makes a key", "human deletes new key", "human deletes old key", "old key is used",
    "rollback", "leak",
]  # fmt: skip
ACTS: tuple[Act, ...] = Act.__args__  # type: ignore[attr-defined]


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


def servers() -> st.SearchStrategy[Server]:
    old = st.builds(Server, st.sampled_from(["1.0.0", "1.7.2", "1.12.1"]), st.just(False), st.just(0.0), st.just(True))  # fmt: skip
    new = st.builds(Server, st.just("1.14.2"), st.booleans(), st.sampled_from([0.0, 300.0]), st.booleans())  # fmt: skip
    return st.one_of(old, new)


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
        server=servers(),
        consumers=st.sampled_from([("web",), ("web",), ("web", "batch")]),
        has_datasets=st.sampled_from([False, False, True]),
        nights=st.lists(nights(), min_size=1, max_size=5).map(tuple),
    )
