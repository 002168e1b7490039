"""Which workspace of which Dify alerts are about: every message begins with it."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from dify_etl.alerts.incidents import name_of, plain_words

NO_SERVER = "no server yet"


@dataclass(frozen=True)
class Source:
    """What tells a home from others that send to the same place; "" where nothing does.

    `workspace` is the name in workspaces.toml, `name` what the workspace is called in Dify,
    `server` its host, and `home` the name of the folder, for a home that was never synced.
    """

    workspace: str = ""
    name: str = ""
    server: str = ""
    home: str = ""

    def __str__(self) -> str:
        """For headings: "sales at dify.example.com"."""
        home = f"home {name_of(self.home)}" if self.home else ""
        which = self.workspace or (name_of(self.name) if self.name else home)
        server = plain_words(self.server) or NO_SERVER
        return f"{which} at {server}" if which else server


def host_of(address: str | None) -> str:
    """Host and port of an address, as the address spells them; "" without one."""
    return urlsplit(address or "").netloc.rpartition("@")[2]
