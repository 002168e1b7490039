"""What was asked of `dify-etl sync`, refused before anything large is loaded when it is wrong."""

from dataclasses import dataclass
from datetime import date

from dify_etl.feeds.names import FEED_NAMES, READ_WITH
from dify_etl.suggestions import did_you_mean
from dify_etl.sync.errors import WindowWrong
from dify_etl.sync.windows import check_order

READERS_SECONDS = 5.0  # whoever reads the live file has it for a moment: it is waited for


@dataclass(frozen=True)
class SyncRequest:
    """What was asked for on the command line; no dates means a night.

    WindowWrong when days or feeds cannot be read whatever Dify holds.
    """

    first: date | None = None
    last: date | None = None
    apps: tuple[str, ...] = ()
    feeds: tuple[str, ...] = ()
    is_full: bool = False
    wait_seconds: float = 60.0
    is_debug: bool = False
    is_json: bool = False

    def __post_init__(self) -> None:
        if self.is_full and not self.is_night:
            raise WindowWrong(
                "--full reads all days, --from and --to only some",
                where="--full and --from or --to",
                hint="Leave one of them out.",
            )
        if self.first is not None and self.last is not None:
            check_order(self.first, self.last)
        feeds = tuple(dict.fromkeys(map(feed_of, self.feeds)))
        object.__setattr__(self, "feeds", feeds)

    @property
    def is_night(self) -> bool:
        """Whether no days were asked for, so that the run catches up what was missed."""
        return self.first is None and self.last is None

    def check_start(self, start_date: date) -> None:
        """WindowWrong when it asks for days before the start date of the settings."""
        if self.first is not None and self.first < start_date:
            raise WindowWrong(
                f"{self.first} is before the start date {start_date}",
                where="--from",
                hint=f"Set DIFY_ETL_START_DATE={self.first} to load earlier days.",
            )


def feed_of(name: str) -> str:
    """The feed that reads a raw table: of the same name, or the one whose rows bring it as a part.

    WindowWrong when there is no such table.
    """
    feed = READ_WITH.get(name, name)
    if feed not in FEED_NAMES:
        raise WindowWrong(
            f"there is no feed {name!r}",
            where="--feed",
            hint=f"{did_you_mean(name, (*FEED_NAMES, *READ_WITH))}Feeds: {', '.join(FEED_NAMES)}; "
            f"with messages come {', '.join(READ_WITH)}.",
        )
    return feed
