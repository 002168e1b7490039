"""Which Dify we talk to: its address, and what its answers tell about version and time."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import httpx

from dify_etl.dify.errors import NotDify
from dify_etl.dify.http.clock import Clock
from dify_etl.dify.http.echoes import repeats

Version = tuple[int, int, int]

API_PATH = "/console/api"
NEWEST: Version = (9999, 0, 0)
TESTED: Version = (1, 16, 1)  # the newest release whose recorded answers the tests play
# Betas of 2.0.0 of September 2025, before 1.9.2; later ones count as other pre-releases do.
_BETA_OF_2025, OF_BETA_OF_2025 = re.compile(r"2\.0\.0-beta\.[12](?!\d)"), (1, 9, 0)
UNREADABLE = "unreadable"  # in place of a version that is none, or repeats what was sent
_VERSION_TEXT = re.compile(r"[\w.+/ -]{1,60}", re.ASCII)
_VERSION = re.compile(r"(\d{1,6})\.(\d{1,6})(?:\.(\d{1,6}))?(?!\d)", re.ASCII)


def parse_version(text: str) -> Version:
    """`1.10.1-fix.1` to (1, 10, 1), a pre-release to its release. A text that is no number (a
    branch build) counts as newest. `2.0.0-beta.1` and `.2` are of September 2025, before 1.9.2.
    """
    plain = text.strip().removeprefix("v")
    if _BETA_OF_2025.match(plain):
        return OF_BETA_OF_2025
    found = _VERSION.match(plain)
    return (int(found[1]), int(found[2]), int(found[3] or 0)) if found else NEWEST


def newer_than_tested(text: str, *, is_later: bool = False) -> str | None:
    """What to say of a server that may be newer than any that was tested, None for the others.

    `is_later`: it has a route that came after TESTED, whatever version it tells.
    """
    tested = ".".join(map(str, TESTED))
    version = parse_version(text)
    if version == NEWEST:
        return f"Dify {text!r} tells no release: it may be newer than tested ({tested})"
    if version > TESTED:
        return f"Dify {text} is newer than tested ({tested})"
    if is_later:
        return f"Dify says {text}, but has routes that came later: newer than tested ({tested})"
    return None


def api_url(base_url: str) -> httpx.URL:
    """The console API behind any way to write the address; raises NotDify when it is no URL.

    Understood with or without `/console/api`, with a trailing slash, with a path prefix.
    """
    try:
        url = httpx.URL(base_url.strip())
        _ = urlsplit(base_url.strip()).port  # httpx takes 99999
    except (httpx.InvalidURL, ValueError) as error:
        raise _bad_address() from error
    if url.userinfo:
        raise NotDify(
            "the address of Dify holds a user name or a password, which is never sent",
            where="base URL",
            hint="Write it without them, as https://dify.example.com. A proxy that asks for a "
            "login of its own must let dify-etl pass.",
        )
    if url.scheme not in ("http", "https") or not url.host:
        raise _bad_address()
    path = url.path.rstrip("/").removesuffix(API_PATH).rstrip("/")
    return httpx.URL(
        scheme=url.scheme, host=url.host, port=url.port, path=path + API_PATH, query=None
    )


def url_below(address: httpx.URL, target: str) -> httpx.URL:
    """The URL of an escaped path, with its query, below an address that may have a path itself."""
    base = address.raw_path.partition(b"?")[0].rstrip(b"/")
    return address.copy_with(raw_path=base + target.encode("ascii"))


def _bad_address() -> NotDify:
    return NotDify(
        "the address of Dify is no http or https URL",
        where="base URL",
        hint="Write it as https://dify.example.com, without user name and password.",
    )


class Server:
    """Address, version and clock of one Dify; learns from the headers of every answer."""

    def __init__(self, base_url: str, clock: Clock) -> None:
        self.api = api_url(base_url)
        self._clock = clock
        self._version_text: str | None = None
        self._ahead: timedelta | None = None
        self._told: datetime | None = None
        self._change_time = 0.0  # by the clock that does not jump

    @property
    def origin(self) -> str:
        """Scheme, host, port and path prefix, such as `https://dify.example.com`."""
        return str(self.api).removesuffix(API_PATH)

    @property
    def version_text(self) -> str | None:
        """The last `X-Version` seen, None before the first answer."""
        return self._version_text

    @property
    def version(self) -> Version:
        """The version for comparisons; the newest before the first answer."""
        return parse_version(self._version_text or "")

    @property
    def time(self) -> datetime:
        """The server's time, aware UTC, from its last `Date`; our clock when it sends none.

        What has passed since then is counted by a clock that nobody sets: ours may jump meanwhile.
        """
        if self._told is None:
            return self._clock.now()
        return self._told + timedelta(seconds=self._clock.monotonic() - self._change_time)

    @property
    def ahead(self) -> timedelta:
        """How far the server's clock is ahead of ours; negative: behind. None is none told."""
        return self._ahead or timedelta(0)

    def observe(self, headers: Mapping[str, str], request: httpx.Request | None = None) -> None:
        """Learn version and time from the headers of an answer to a request."""
        if version := headers.get("x-version"):
            # It is told in errors and kept in tables.
            is_version = _VERSION_TEXT.fullmatch(version) is not None
            if request is not None and (not is_version or repeats(version, request)):
                version = UNREADABLE
            self._version_text = version
        if date := headers.get("date"):
            self._learn_time(date)

    def url(self, path: str) -> httpx.URL:
        """The full URL of a path of the console API."""
        return url_below(self.api, path)

    def _within_second(self, told: datetime) -> datetime:
        """The time at which a `Date` was told. It has whole seconds: where ours lies within that
        second it goes on, since what is read later in a run must not seem to be read earlier.
        """
        if self._told is not None and told <= self.time < told + timedelta(seconds=1):
            return self.time
        return told

    def _learn_time(self, date: str) -> None:
        try:
            told = parsedate_to_datetime(date)
            told = told.replace(tzinfo=told.tzinfo or UTC).astimezone(UTC)
            told = self._within_second(told)
            ahead = told - self._clock.now()
            _ = self._clock.now() + 2 * ahead  # a time at the end of the calendar is none
        except (ValueError, OverflowError):
            return  # a proxy's odd date: our own clock will do
        self._ahead, self._told, self._change_time = ahead, told, self._clock.monotonic()
