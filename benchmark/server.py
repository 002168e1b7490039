"""The server that is read: one process, one loop, answers that are only looked up.

Run as `python -m benchmark.server '<ServedWorld as JSON>'`; prints its port when it listens. Paths
under `/-/` steer it: pace, what was asked, the true ids, and changes of the world.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from benchmark.copied import CopiedDify
from benchmark.pace import Pace, Pacer
from benchmark.rendered import RenderedDify
from benchmark.worlds import hard_world

INSTANT = Pace("0 ms", 0.0)
TOO_MANY = b"HTTP/1.1 429 TOO MANY REQUESTS\r\nContent-Length: 2\r\n\r\n{}"


@dataclass(frozen=True)
class ServedWorld:
    """What to serve: a world's size, how many copies of it, the Dify version, runs or no runs."""

    days: int
    conversations_per_day: int
    version: str = "1.12.1"
    copies: int = 1
    has_runs: bool = False

    def as_json(self) -> str:
        """The command line argument of the server."""
        return json.dumps(asdict(self))


class Desk:
    """Answers requests, remembers what was asked, and does what `/-/` says."""

    def __init__(self, dify: RenderedDify) -> None:
        self.dify = dify
        self.pacer = Pacer(INSTANT)
        self.asked: list[bytes] = []
        self.touch_every = 0
        self._orders: dict[str, Callable[[dict[str, Any]], Any]] = {
            "pace": self._set_pace,
            "asked": self._tell_asked,
            "flow": lambda order: self.pacer.flow,
            "ids": lambda order: list(dify.ids()),
            "account": self._tell_account,
            "advance": lambda order: dify.advance(order["seconds"]),
            "touch": lambda order: dify.touch_share(order["share"]),
            "touch-every": self._set_touch_every,
        }

    def read(self, target: bytes) -> bytes:
        """Answer a GET; in a world that goes on, every so many reads change it first."""
        self.asked.append(target)
        if self.pacer.is_refusing:
            return TOO_MANY
        if self.touch_every and len(self.asked) % self.touch_every == 0:
            self.dify.touch_one()
        return self.dify.read(target)

    def steer(self, target: bytes, body: bytes) -> bytes:
        """Do what `/-/<order>` says, with a JSON object as its details; the answer is JSON."""
        order = target.decode().removeprefix("/-/")
        told = json.dumps(self._orders[order](json.loads(body or b"{}"))).encode()
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(told), told)

    def _set_pace(self, order: dict[str, Any]) -> None:
        self.pacer.set(Pace(**order))

    def _set_touch_every(self, order: dict[str, Any]) -> None:
        self.touch_every = order["reads"]

    def _tell_asked(self, order: dict[str, Any]) -> list[str]:
        """The targets of all reads since the last time this was asked."""
        asked, self.asked = self.asked, []
        return [target.decode("latin-1") for target in asked]

    def _tell_account(self, order: dict[str, Any]) -> dict[str, Any]:
        account = self.dify.world.account
        return {"email": account.email, "password": account.password}


class Connection(asyncio.Protocol):
    """One client's connection, kept alive; requests come one after another."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where answers go."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer as soon as a request is whole."""
        self._received += data
        head, end, rest = self._received.partition(b"\r\n\r\n")
        if not end:
            return
        method, target, _ = head.split(b"\r\n", 1)[0].split(b" ")
        if method == b"GET":
            self._received = rest
            answer = self._desk.read(target)
            work = self._desk.pacer.pace.work(target, answer)
            self._desk.pacer.take(lambda: self._transport.write(answer), work)
            return
        headers = _headers(head)
        length = int(headers.get("content-length", "0"))
        if len(rest) >= length:
            self._received = rest[length:]
            self._write(method.decode(), target, headers, rest[:length])

    def _write(self, method: str, target: bytes, headers: dict[str, str], body: bytes) -> None:
        if target.startswith(b"/-/"):
            self._transport.write(self._desk.steer(target, body))
            return
        answer = self._desk.dify.send(method, target, headers.items(), body)
        self._desk.pacer.take(lambda: self._transport.write(answer), self._desk.pacer.pace.seconds)


def _headers(head: bytes) -> dict[str, str]:
    """Header names in lower case."""
    pairs = (line.split(": ", 1) for line in head.decode("latin-1").split("\r\n")[1:])
    return {name.lower(): value for name, value in pairs}


async def _serve(desk: Desk) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(desk), "127.0.0.1", 0, backlog=256)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def open_desk(served: ServedWorld) -> Desk:
    """Build the world and render what will be asked most."""
    world = hard_world(days=served.days, conversations_per_day=served.conversations_per_day)
    if served.copies > 1:
        return Desk(CopiedDify(world, served.version, copies=served.copies))
    dify = RenderedDify(world, served.version)
    dify.render_ahead(runs=served.has_runs)
    return Desk(dify)


def main() -> None:
    """Serve until this process is ended."""
    desk = open_desk(ServedWorld(**json.loads(sys.argv[1])))
    gc.freeze()  # the world stays: collecting it again and again would slow the answers
    asyncio.run(_serve(desk))


if __name__ == "__main__":
    main()
