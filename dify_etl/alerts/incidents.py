"""What an incident is, of which kinds there are, and how texts of strangers come into one."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from dify_etl.time_zones import local_date

NAME_LENGTH, REASON_LENGTH = 60, 160
# What no chat, mail or terminal takes for more than text; `@` calls people, `<` begins HTML.
_LIVE = re.compile(r"[^\w\s.,:;()/&+'%#=?!-]")
_ADDRESS = re.compile(r"(?<=\w):(?=//)|(?<=www)\.", re.IGNORECASE)


@dataclass(frozen=True)
class Kind:
    """A kind of incident: its name in ops.incidents, headings of its messages, the next step.

    `grows`: a message is sent again when an open incident counts more than the last one told.
    """

    name: str
    began: str
    over: str
    todo: str
    grows: bool = False


@dataclass(frozen=True)
class Incident:
    """One thing that is wrong now. `key` is the same as long as it is the same thing; incidents of
    one kind with the same text share a line of a message, which begins with their subjects.
    """

    kind: str
    key: str
    subject: str
    text: str
    count: int = 1


@dataclass(frozen=True)
class NightsDue:
    """When nights are due by DIFY_ETL_SCHEDULE: the last time, and the one before; UTC."""

    last: datetime
    before: datetime

    @property
    def period(self) -> timedelta:
        """Between two nights, a day at the least: nobody waits for one that runs every hour."""
        return max(self.last - self.before, timedelta(days=1))


@dataclass(frozen=True)
class Moment:
    """When an evaluation looks, UTC; whose local days, and when nights are due."""

    now: datetime
    zone: ZoneInfo
    due: NightsDue

    @property
    def today(self) -> date:
        """The local day."""
        return local_date(self.now, self.zone)


_TRY = "Mend what the reason names, then run `dify-etl sync`, or wait for the next night."
KINDS: dict[str, Kind] = {
    one.name: one
    for one in (
        Kind(
            "night_failed",
            "The nightly sync failed",
            "A nightly sync went through again",
            "Run `dify-etl doctor`, mend what it names, then run `dify-etl sync`.",
        ),
        Kind(
            "night_missing",
            "The nightly sync did not happen",
            "A nightly sync happened again",
            "See whether cron, or the daemon of `dify-etl serve`, runs; then run `dify-etl sync`.",
        ),
        Kind("not_whole", "Not read whole", "Read whole again", _TRY),
        Kind(
            "model_broken",
            "A model cannot be built and keeps its last table",
            "The model is built again",
            "Mend its SQL file, then run `dify-etl sync`.",
        ),
        Kind(
            "shared_behind",
            "The shared warehouse lacks what was published",
            "The shared warehouse has what was published again",
            "Mend what it names, then run `dify-etl warehouse publish`, or let the next night do "
            "it; `dify-etl doctor` looks at the address.",
        ),
        Kind("stale", "Data are not fresh", "Data are fresh again", _TRY),
        Kind(
            "quarantine",
            "Objects wait in quarantine",
            "Nothing waits in quarantine any more",
            "`dify-etl quarantine list` shows what is wrong, `dify-etl quarantine retry` loads "
            "them after an update.",
            grows=True,
        ),
        Kind(
            "figures_differ",
            "Figures differ from Dify's",
            "The figures agree with Dify's again",
            '`dify-etl query "select * from marts.statistics_reconciliation where verdict = '
            "'differs'\"` shows both figures and what reads the app again.",
            grows=True,
        ),
        Kind(
            "cost",
            "The cost of a day is far above its usual",
            "The cost is as usual again",
            '`dify-etl query "select * from marts.costs order by usage_date desc, total_price '
            'desc limit 20"` shows models and people; a stolen API key is replaced by '
            "`dify-etl keys rotate --compromised`.",
        ),
        Kind(
            "failure_rate",
            "Workflows fail more often than usual",
            "Workflows fail no more often than usual",
            '`dify-etl query "select * from marts.errors order by 1 limit 20"` shows what fails.',
        ),
        Kind(
            "documents_stuck",
            "Documents are stuck in indexing",
            "The documents are no longer stuck",
            "`dify-etl indexing list` shows them, `dify-etl indexing retry` retries them.",
        ),
        Kind(
            "key_over_age",
            "API keys are older than the policy allows",
            "The API keys are young again, or gone",
            "`dify-etl keys plan` shows what would be rotated.",
        ),
        Kind(
            "rotation_stuck",
            "Rotations of API keys are stuck",
            "The rotations are no longer stuck",
            "`dify-etl keys status` tells what they wait for.",
        ),
        Kind(
            "retention",
            "Dify is about to delete what was not read",
            "What was about to be deleted is read, or gone",
            "Run `dify-etl sync` now; have Dify keep its logs for longer until it is read.",
        ),
        Kind(
            "server_newer",
            "Dify is newer than this version was tested with",
            "Dify is no newer than tested any more",
            "It is read all the same. Look for a newer dify-etl, and run `dify-etl doctor`.",
        ),
    )
}


def plain_words(text: str, longest: int = REASON_LENGTH) -> str:
    """A text of strangers for a message: on one line, no markup, no address that becomes a link,
    nobody called; personal details and keys as what they were; cut to so many characters.
    """
    from dify_etl.raw.masks import masked  # numbering plans of all countries

    plain = " ".join(_LIVE.sub(" ", masked(text)).split())
    plain = _ADDRESS.sub(" ", plain)
    return plain if len(plain) <= longest else f"{plain[: longest - 1].rstrip()}…"


def name_of(text: str) -> str:
    """The same for the name of an app, a dataset, a consumer; one that is empty is told as such."""
    return plain_words(text, NAME_LENGTH) or "(no name)"


Found = Iterator[Incident]
