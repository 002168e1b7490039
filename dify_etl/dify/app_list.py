"""The list of all apps: several lists by mode, whose ids together are what there is.

No single list of GET /apps shows all on every server: from 1.15 the list without a mode leaves
agents out, on 1.0 modes are groups. So the list without a mode is asked, and one per mode that the
server accepts. Distinct ids count, never a sum: lists overlap.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field

from dify_etl.dify.app_records import App
from dify_etl.dify.errors import DifyError, LoginRefused, NotAllowed, Refused, SessionLost
from dify_etl.dify.odd_rows import OddRows
from dify_etl.dify.paging import MOST_PAGES, PageWalk, WalkProof
from dify_etl.dify.record import Page

# Asked where the server does not name its modes; those that it refuses, it does not have.
KNOWN_MODES = ("chat", "agent-chat", "advanced-chat", "completion", "workflow", "agent", "channel")
NO_MODE = "dify-etl-asks-which"  # no server has it: the refusal names those that it has
LISTS_AT_ONCE = 4

# Asks one page of the list of a mode, None for the list without a mode.
log = logging.getLogger(__name__)

AskMode = Callable[[str | None, int, int], Page[App]]


@dataclass(frozen=True)
class Modes:
    """The modes to ask, and whether the server named them itself."""

    names: Sequence[str]
    is_told: bool


def learn_modes(ask: AskMode) -> Modes:
    """The values that this server accepts for `mode`, from its own refusal of an unknown one.

    A server that answers something else to the question names none: the known ones are asked then.
    Raises SessionLost and LoginRefused alone.
    """
    try:
        ask(NO_MODE, 1, 1)
    except (SessionLost, LoginRefused):
        raise
    except Refused as error:
        if error.choices:
            return Modes(error.choices, is_told=True)
    except DifyError as error:
        log.debug("the modes of apps cannot be learned: %s", error)
    return Modes(KNOWN_MODES, is_told=False)


@dataclass(frozen=True)
class _ModeList:
    """One list, read whole; `doubt` says why it may not be all of its mode; `is_broken`: it did not
    come, and not because Dify refused it.
    """

    pages: Sequence[Page[App]] = ()
    doubt: str | None = None
    odd: Sequence[OddRows] = ()
    is_broken: bool = False


@dataclass
class AppsWalk:
    """All apps as a walk over the list without a mode and those of `modes`.

    Proven means: each list was proven. Raises what the list without a mode raises; a list of a mode
    that fails is a doubt, and the apps of the others are there all the same. `is_broken` tells
    whether one failed for another reason than a refusal: it may come tomorrow.
    """

    ask: AskMode
    modes: Callable[[], Modes]
    most_pages: int = MOST_PAGES
    proof: WalkProof = field(default_factory=WalkProof, init=False)
    is_broken: bool = field(default=False, init=False)

    def key(self, app: App) -> str:
        """What tells apps apart."""
        return app.app_id

    def in_order(self, page: Page[App]) -> Sequence[App]:
        """The records of a page in the order of the walk."""
        return page.records

    def __iter__(self) -> Iterator[Page[App]]:
        self.proof = WalkProof()
        with ThreadPoolExecutor(LISTS_AT_ONCE, thread_name_prefix="apps") as pool:
            without = pool.submit(copy_context().run, self._whole, None)
            modes = self.modes()
            lists = [
                pool.submit(copy_context().run, self._of_mode, mode, modes) for mode in modes.names
            ]
            found = [without.result(), *(one.result() for one in lists)]
        ids: set[str] = set()
        for one in found:
            for page in one.pages:
                ids |= {self.key(app) for app in page.records}
                ids |= {row.record_id for row in page.rejected if row.record_id}
                yield page
        self.is_broken = any(one.is_broken for one in found)
        doubts = "; ".join(one.doubt for one in found if one.doubt)
        odd = tuple(row for one in found for row in one.odd)
        self.proof = WalkProof(len(ids), len(ids), len(ids), 1, not doubts, doubts, odd=odd)

    def _whole(self, mode: str | None) -> _ModeList:
        walk = PageWalk(
            lambda page, limit: self.ask(mode, page, limit),
            key=self.key,
            most_pages=self.most_pages,
        )
        pages = tuple(walk)
        name = f"list of mode {mode}" if mode else "list without a mode"
        doubt = None if walk.proof.is_proven else f"{name}: {walk.proof.reason}"
        return _ModeList(pages, doubt, walk.proof.odd)

    def _of_mode(self, mode: str, modes: Modes) -> _ModeList:
        try:
            return self._whole(mode)
        except (LoginRefused, SessionLost):
            raise
        except Refused as error:
            return _ModeList(doubt=_failed(mode, error) if modes.is_told else None)
        except NotAllowed as error:
            return _ModeList(doubt=_failed(mode, error))
        except DifyError as error:
            return _ModeList(doubt=_failed(mode, error), is_broken=True)


def _failed(mode: str, error: DifyError) -> str:
    return f"the list of mode {mode} failed: {error.what}"
