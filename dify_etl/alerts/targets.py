"""Where alerts go: the URLs of DIFY_ETL_NOTIFY, by Apprise, which is loaded only when one is set.

URLs hold tokens and passwords in every part, so nothing of one is ever shown but its scheme.
"""

import hashlib
import hmac
import logging
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dify_etl.alerts.messages import Message
from dify_etl.extras import how_to_install
from dify_etl.settings import SettingWrong

if TYPE_CHECKING:
    from apprise import Apprise

SERVICES = "https://appriseit.com/services/"
# At INFO and below they log whole addresses, at WARNING what servers answered.
_LOGGERS = ("apprise", "urllib3", "requests", "requests_oauthlib", "oauthlib")
_STATUS = re.compile(r"\berror=(\d{3})\b")
_UNREACHED = re.compile(r"Connection error|connection error|Connection|timed? ?out|refused")


@dataclass(frozen=True)
class Target:
    """One URL: its place in the setting, from 1, its scheme, and what the ledger knows it by."""

    position: int
    scheme: str
    fingerprint: str
    _service: "Apprise" = field(repr=False)

    @property
    def name(self) -> str:
        """For people."""
        return f"target {self.position} ({self.scheme})"

    def send(self, message: Message) -> str | None:
        """Send it; answers why it was not delivered, in words of ours, None when it was."""
        from apprise import NotifyFormat, NotifyType

        with _overheard() as heard:
            try:
                is_sent = self._service.notify(
                    title=message.title,
                    body=message.body,
                    notify_type=NotifyType.SUCCESS if message.is_good_news else NotifyType.WARNING,
                    body_format=NotifyFormat.TEXT,
                )
            except Exception as error:  # a service's own bug: the night goes on
                return f"{type(error).__name__} in the service"
        return None if is_sent else _reason(heard)


def open_targets(urls: Sequence[str], *, key: bytes) -> tuple[Target, ...]:
    """The targets. SettingWrong when Apprise is missing, or does not understand one of the URLs.

    `key` is the home's; a fingerprint is the HMAC-SHA256 of a URL with it.
    """
    try:
        from apprise import Apprise, AppriseAsset
    except ImportError:
        raise notify_not_installed() from None
    asset = AppriseAsset(app_id="dify-etl", app_desc="dify-etl", async_mode=False)
    opened = []
    for position, url in enumerate(urls, start=1):
        service = Apprise(asset=asset)
        with _overheard():
            is_known = service.add(url)
        target = Target(position, scheme_of(url), _fingerprint(key, url), service)
        if not is_known:
            raise SettingWrong(
                f"DIFY_ETL_NOTIFY is wrong: Apprise does not understand {target.name}",
                where="environment and .env",
                hint=f"{SERVICES} tells how the URL of each service is written.",
            )
        opened.append(target)
    return tuple({one.fingerprint: one for one in opened}.values())


def notify_not_installed() -> SettingWrong:
    """What is said where the extra is missing."""
    return SettingWrong(
        "DIFY_ETL_NOTIFY is set, but the package apprise is missing",
        where="environment and .env",
        hint=how_to_install("notify"),
    )


def scheme_of(url: str) -> str:
    """The scheme, and nothing else: of most services the rest is a token."""
    scheme = url.partition("://")[0].lower()
    return scheme if re.fullmatch(r"[a-z][a-z0-9+.-]{0,20}", scheme) else "no scheme"


def _fingerprint(key: bytes, url: str) -> str:
    return hmac.new(key, url.encode(), hashlib.sha256).hexdigest()


@contextmanager
def _overheard() -> Iterator[list[str]]:
    """Keep what the libraries log to ourselves: it may hold addresses, and answers of servers."""
    heard: list[str] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            heard.append(record.getMessage())

    listener = Listener(logging.WARNING)
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    before = [(one.propagate, one.level, one.handlers) for one in loggers]
    for one in loggers:
        one.propagate, one.handlers = False, [listener]
        one.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what a hundred services import
            yield heard
    finally:
        for one, (propagate, level, handlers) in zip(loggers, before, strict=True):
            one.propagate, one.handlers = propagate, handlers
            one.setLevel(level)


def _reason(heard: Sequence[str]) -> str:
    """Why it was not delivered, without a word of what was heard but a status."""
    said = "\n".join(heard)
    if status := _STATUS.search(said):
        return f"the service answered {status[1]}"
    return "no connection" if _UNREACHED.search(said) else "the service did not take it"
