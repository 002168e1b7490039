"""Random histories of rotations: what goes wrong, and what people do meanwhile."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from random import Random
from typing import Literal, get_args

# Uniform chance, and no hypothesis: its examples repeat themselves, and half of the troubles would
# hardly come up in a thousand of them.

# What may go wrong once, at the n-th place where it can.
Trouble = Literal[
    "crash before request",
    "crash after request",
    "lost answer",
    "lost answer, and a human makes a key",
    "time-out, nothing done",
    "time-out after success",
    "500 instead",
    "500 instead, and a human makes a key later",
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
    "human deletes every key",
    "human makes a key",
    "human makes a key that looks alike",
    "human takes all slots",
    "sink is denied",
    "sink takes no writes",
    "clock jumps ahead",
    "clock jumps back",
]
TROUBLES: tuple[Trouble, ...] = get_args(Trouble)
Act = Literal[
    "human makes a key",
    "human makes a key that looks alike",
    "human takes all slots",
    "human deletes new key",
    "human deletes old key",
    "human deletes every key",
    "old key is used",
    "rollback",
    "leak",
    "sink is denied",
    "sink takes no writes",
    "clock jumps ahead",
    "clock jumps back",
    # What the policy says from here on. Who moves an entry copies what it holds.
    "target added",
    "target added that shares a key",
    "target removed",
    "target put back",
    "entry moved",
    "entry moved, its key named",
    "sink moved",
    "sink removed",
    "no grace",
    "ten days of grace",
    "keys may become older",
    "keys must be younger",
]
ACTS: tuple[Act, ...] = get_args(Act)
# late: the plan was shown before people did something, and is applied after it.
Way = Literal["command line", "command line, late", "schedule"]
WAYS: tuple[Way, ...] = get_args(Way)


@dataclass(frozen=True)
class Night:
    """Hours until it, what people do before it, and the trouble in it: which, and where.

    `place`: the how manieth opportunity, from 0; it may come in a later night. `jump_days`: how far
    the clock of this machine jumps, if it does; `denied_hours`: how long a sink is denied.
    """

    hours: float
    act: Act | None
    trouble: Trouble | None
    place: int
    way: Way = "command line"
    jump_days: float = 1.1
    denied_hours: float = 1.0


@dataclass(frozen=True)
class Server:
    """The Dify of a history."""

    version: str
    is_masked: bool | str  # stars: another shape of masks
    deleted_key_lives: float
    shows_uses: bool


@dataclass(frozen=True)
class History:
    """A server, the consumers of its app, and some nights. `names_keys`: the policy says which keys
    the consumers use today; else those are never revoked.
    """

    server: Server
    consumers: tuple[str, ...]
    has_datasets: bool
    nights: tuple[Night, ...]
    names_keys: bool = True


OLD = ("1.0.0", "1.7.2", "1.12.1")
SERVERS = (
    *(Server(version, is_masked=False, deleted_key_lives=0, shows_uses=True) for version in OLD),
    *(
        Server("1.14.2", is_masked=is_masked, deleted_key_lives=lives, shows_uses=shows_uses)
        for is_masked in (False, True, "stars")
        for lives in (0, 300)
        for shows_uses in (False, True)
    ),
)


# How many opportunities a whole rotation has. Requests that fail are those that write: others the
# client asks again.
WRITES = 3
PLACES: dict[Trouble, int] = {
    "crash before sink": 3,
    "crash after sink": 3,
    "sink fails": 16,
    "crash before ledger": 12,
    "crash after ledger": 12,
    "crash before audit": 16,
    "second run": 60,
    "human deletes new key": 40,
    "human deletes old key": 60,
    "human deletes every key": 60,
    "human makes a key": 40,
    "human makes a key that looks alike": 40,
    "human takes all slots": 40,
    "sink is denied": 16,
    "sink takes no writes": 3,
    "clock jumps ahead": 200,
    "clock jumps back": 200,
}


def history(chance: Random) -> History:
    """Any server, one or two consumers, up to three nights, mostly with a trouble."""
    return History(
        server=chance.choice(SERVERS),
        consumers=chance.choice((("web",), ("web",), ("web",), ("web", "batch"))),
        has_datasets=chance.random() < 0.2,
        nights=tuple(_night(chance) for _ in range(chance.choice((1, 1, 2, 2, 3)))),
        names_keys=chance.random() < 0.85,
    )


def _night(chance: Random) -> Night:
    trouble = chance.choice((*TROUBLES, None))
    return Night(
        hours=chance.choice((1.0, 13.0, 26.0, 26.0)),
        act=chance.choice(ACTS) if chance.random() < 0.5 else None,
        trouble=trouble,
        place=chance.randrange(PLACES.get(trouble, WRITES)) if trouble else 0,
        way=chance.choice(WAYS),
        jump_days=chance.choice((0.1, 1.1, 9.0, 400.0, 3650.0)),
        denied_hours=chance.choice((0.2, 30.0, 100.0)),
    )


def smallest(failing: History, fails: Callable[[History], bool]) -> History:
    """The same failure with less around it."""
    for smaller in _smaller(failing):
        if fails(smaller):
            return smallest(smaller, fails)
    return failing


def _smaller(large: History) -> Iterator[History]:
    for at, night in enumerate(large.nights):
        rest = large.nights[:at], large.nights[at + 1 :]
        yield replace(large, nights=(*rest[0], *rest[1]))
        for less in (
            replace(night, act=None),
            replace(night, trouble=None),
            replace(night, way="command line"),
        ):
            if less != night:
                yield replace(large, nights=(*rest[0], less, *rest[1]))
    if len(large.consumers) > 1:
        yield replace(large, consumers=large.consumers[:1])
    if large.has_datasets:
        yield replace(large, has_datasets=False)
    if not large.names_keys:
        yield replace(large, names_keys=True)
