"""A headless Chromium, told what to do over its DevTools protocol."""

import json
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
from websockets.sync.client import ClientConnection, connect

PATIENCE_SECONDS = 600.0  # a busy machine takes minutes for what else takes seconds


CONSOLE = ("Runtime.consoleAPICalled", "Log.entryAdded")


def wait_for(what: str, holds: Callable[[], Any], seconds: float = PATIENCE_SECONDS) -> Any:
    """The first answer that is true; TimeoutError names what did not come."""
    deadline = time.monotonic() + seconds
    while not (found := holds()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not come within {seconds:g} s")
        time.sleep(0.3)
    return found


class Tab:
    """A page of the browser."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection, self._number = connection, 0
        self.seen: Counter[str] = Counter()  # events by name
        self.complaints: list[str] = []  # what went wrong in the page, as its console tells it
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **given: Any) -> Any:
        """Send a command and wait for its answer; events on the way are counted."""
        self._number += 1
        self._connection.send(json.dumps({"id": self._number, "method": method, "params": given}))
        while True:
            told = json.loads(self._connection.recv(timeout=PATIENCE_SECONDS))
            if told.get("id") == self._number:
                assert "error" not in told, told
                return told["result"]
            self._note(told)

    def _note(self, event: Any) -> None:
        name, given = event.get("method", ""), event.get("params", {})
        self.seen[name] += 1
        is_error = given.get("type") == "error" or given.get("entry", {}).get("level") == "error"
        if name == "Runtime.exceptionThrown" or (is_error and name in CONSOLE):
            self.complaints.append(json.dumps(given))

    def run(self, script: str) -> Any:
        """The value of an expression in the page; promises are awaited."""
        told = self.call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in told, told["exceptionDetails"]
        return told["result"].get("value")

    def open(self, url: str) -> None:
        """Go to an address and wait until its document has come."""
        self.call("Page.navigate", url=url)
        wait_for(f"the page {url}", lambda: self.run("document.readyState === 'complete'"))

    def text(self) -> str:
        """What the page shows."""
        return str(self.run("document.body ? document.body.innerText : ''"))

    def click(self, label: str) -> None:
        """Click the button or link with this text, as soon as it can be clicked."""
        wanted = json.dumps(label)
        script = f"""(() => {{
            const found = [...document.querySelectorAll('button, a')]
                .filter(one => one.innerText.trim() === {wanted} && !one.disabled);
            if (found.length) found[0].click();
            return found.length;
        }})()"""
        wait_for(f"the button {label}", lambda: self.run(script))

    def frames(self) -> list[str]:
        """The addresses that frames of the page show; an error page has one of Chromium's own."""
        tree = self.call("Page.getFrameTree")["frameTree"]
        return [one["frame"]["url"] for one in tree.get("childFrames", [])]


@contextmanager
def chromium(folder: Path, names: str) -> Iterator[Callable[[], Tab]]:
    """A browser with a profile in this folder, for which `names` (with a pattern) are 127.0.0.1.

    Yields what opens a tab. FileNotFoundError when there is no Chromium.
    """
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        raise FileNotFoundError("there is no chromium; apt-get install chromium brings it")
    browser = subprocess.Popen(
        [
            program,
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-site-isolation-trials",  # so that the page knows its frames
            "--disable-features=IsolateOrigins,site-per-process",
            "--no-first-run",
            "--window-size=1600,1000",
            f"--user-data-dir={folder}",
            f"--host-resolver-rules=MAP {names} 127.0.0.1",
            "--remote-debugging-port=0",
            "--remote-allow-origins=*",
            "about:blank",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    connections = ExitStack()
    try:
        told = folder / "DevToolsActivePort"
        port = wait_for("Chromium", lambda: told.exists() and told.read_text().split()[:1])[0]

        def tab() -> Tab:
            made = httpx.put(f"http://127.0.0.1:{port}/json/new?about:blank", timeout=60).json()
            connection = connect(
                made["webSocketDebuggerUrl"], max_size=None, open_timeout=60, ping_interval=None
            )
            return Tab(connections.enter_context(connection))

        yield tab
    finally:
        connections.close()
        browser.terminate()
        try:
            browser.wait(20)
        except subprocess.TimeoutExpired:
            browser.kill()
            browser.wait()
