"""What a deployment asks of the rotation of keys: which consumers of an app wait for their first
key, and to make it. No key comes this way: it goes from Dify into the sink.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class DeployedApp:
    """An app as it is, or will be: `app_id` None before it is made."""

    app_id: str | None
    name: str
    tags: frozenset[str]


@dataclass(frozen=True)
class WaitingConsumer:
    """A consumer whose entry of a sink is empty, and the place of that entry, for people."""

    consumer: str
    place: str


class FirstKeys(Protocol):
    """First keys of apps, by the policy of rotations."""

    def waiting(self, app: DeployedApp) -> Sequence[WaitingConsumer]:
        """The consumers of the app that have no key yet. SinkFailed."""
        ...

    def make(self, app: DeployedApp, consumer: str) -> str:
        """Make the key, try it, and hand it over; answers what is to be said of it.

        What Dify, the sink or the policy refuses is raised; so is a key that is not handed over
        yet, which another call goes on with.
        """
        ...
