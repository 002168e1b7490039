"""An S3 at a distance: moto's, whose answers take their time; it counts what it is asked."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import boto3
import duckdb
from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.serving import make_server

from dify_etl.shared_warehouse.engines import load_extension
from dify_etl.warehouse.tables import quoted

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

BUCKET = "lake"
CREDENTIALS = {
    "aws_access_key_id": "id",
    "aws_secret_access_key": "of the benchmark",
    "region_name": "us-east-1",
}
# As from a machine in the same region: what Amazon tells of small objects.
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/optimizing-performance.html
FIRST_BYTE_SECONDS = 0.1


@dataclass
class ObjectStore:
    """Where it listens, and the requests by method since it was last asked; from any thread."""

    endpoint: str
    _asked: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, method: str) -> None:
        """One more request."""
        with self._lock:
            self._asked[method] += 1

    def asked(self) -> str:
        """`3 GET, 12 PUT`, and count anew."""
        with self._lock:
            found, self._asked = self._asked, Counter()
        return ", ".join(f"{count:,} {method}" for method, count in sorted(found.items()))


@contextmanager
def serving_s3(seconds: float = FIRST_BYTE_SECONDS) -> Iterator[ObjectStore]:
    """A store with an empty bucket, whose answers take so many seconds."""
    moto = DomainDispatcherApplication(create_backend_app)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a line for each request otherwise

    def answer(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        store.note(environ["REQUEST_METHOD"])
        time.sleep(seconds)
        return moto(environ, start)

    server = make_server("127.0.0.1", 0, answer, threaded=True, request_handler=MotoRequestHandler)
    store = ObjectStore(f"127.0.0.1:{server.server_port}")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        boto3.client(
            "s3",
            endpoint_url=f"http://{store.endpoint}",
            **CREDENTIALS,
        ).create_bucket(Bucket=BUCKET)
        yield store
    finally:
        server.shutdown()


def keep_secret(endpoint: str) -> None:
    """What DuckDB reads from the user's home whenever it meets an address of S3."""
    told = (
        f"{name} {quoted(value)}"
        for name, value in zip(("KEY_ID", "SECRET", "REGION"), CREDENTIALS.values(), strict=True)
    )
    with duckdb.connect() as connection:
        load_extension(connection, "httpfs")
        connection.execute(
            f"""CREATE PERSISTENT SECRET lake (TYPE s3, {", ".join(told)},
            ENDPOINT {quoted(endpoint)}, URL_STYLE 'path', USE_SSL false)"""
        )
