"""What a run costs can be told per feed and endpoint, across threads."""

import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from dify_etl.dify import DifyClient
from dify_etl.dify.errors import DifyUnavailable
from dify_etl.dify.http.clock import Clock
from dify_etl.dify.http.session import RetryPolicy
from dify_etl.dify.http.usage import RequestDone, Usage
from dify_etl_tests.dify.pretend_server import PretendServer
from dify_etl_tests.dify.recordings import client


def test_requests_are_counted_by_label() -> None:
    """Each thread's requests count under its own label; routes are templates, not ids."""
    heard: list[RequestDone] = []
    server = PretendServer(answer=lambda request: httpx.Response(200, json={"data": []}))
    dify = client(server, on_request=heard.append)
    dify.api_keys.of_datasets()  # logs in
    heard.clear()

    def read(label: str) -> None:
        with dify.labelled(label):
            dify.api_keys.of_app(f"app-of-{label}")

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(read, ["keys", "keys", "other"]))

    assert dify.usage.spent("keys").requests == 2
    assert dify.usage.spent("other").requests == 1
    assert {done.route for done in heard} == {"/apps/{app_id}/api-keys"}


def test_bytes_are_those_of_the_answer() -> None:
    """The size of the answers is summed up."""
    dify = client(PretendServer(answer=lambda request: httpx.Response(200, json={"data": []})))

    dify.api_keys.of_datasets()
    with dify.usage.measure() as measure:
        dify.api_keys.of_datasets()

    assert measure.total.bytes == len('{"data":[]}')


def test_retries_and_failures_are_counted() -> None:
    """A request without an answer is a request too."""

    def broken(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("down")

    dify = client(broken, retry=RetryPolicy(attempts=3), clock=Clock(sleep=lambda seconds: None))
    with pytest.raises(DifyUnavailable):
        dify.account.profile()

    spent = dify.usage.spent(None)
    assert (spent.requests, spent.retries) == (3, 2)


def test_block_is_measured_across_threads() -> None:
    """What other threads do meanwhile counts; what came before and after does not."""
    dify = client(PretendServer())
    dify.account.profile()

    with dify.usage.measure() as measure:
        thread = threading.Thread(target=dify.account.profile)
        thread.start()
        thread.join()
    dify.account.profile()

    assert measure.total.requests == 1


def test_block_can_be_measured_for_one_label() -> None:
    """Only the requests with the label count."""
    dify = client(PretendServer())

    with dify.usage.measure("members") as measure:
        labelled_profile(dify, "members")
        labelled_profile(dify, "other")

    assert measure.total.requests == 3


def labelled_profile(dify: DifyClient, label: str) -> None:
    with dify.labelled(label):
        dify.account.profile()


def test_label_ends_with_its_block() -> None:
    """After the block the label of before counts again."""
    usage = Usage()

    with usage.labelled("outer"):
        with usage.labelled("inner"):
            assert usage.label == "inner"
        assert usage.label == "outer"
    assert usage.label == ""


def test_listener_hears_of_every_request() -> None:
    """A listener of the client is told method, route, status and time, and no id or secret."""
    heard: list[RequestDone] = []
    dify = client(PretendServer(), on_request=heard.append)

    dify.account.profile()

    assert [(done.method, done.route, done.status) for done in heard] == [
        ("GET", "/ping", 200),
        ("POST", "/login", 200),
        ("GET", "/account/profile", 200),
    ]
