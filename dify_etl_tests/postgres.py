"""A PostgreSQL of our own on loopback, with a database per test and roles as operators make them.

Its programs are taken from the PATH or Debian's folder.
"""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2

from dify_etl_tests.defs.running_dagster import free_port

DEBIAN = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
SEARCHED = os.pathsep.join([os.environ["PATH"], *map(str, DEBIAN)])
OWNER, READER = "owner", "dify_etl"


@dataclass(frozen=True)
class Postgres:
    """A running server; `log` is what it writes of every statement."""

    port: int
    log: Path

    def url(self, database: str = "postgres", role: str = OWNER) -> str:
        """Where a database is."""
        return f"postgresql://{role}@127.0.0.1:{self.port}/{database}"

    def execute(self, sql: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Run statements as the owner; what the last one answers."""
        with self.connected(database) as cursor:
            cursor.execute(sql)
            return cursor.fetchall() if cursor.description else []

    @contextmanager
    def connected(self, database: str) -> Iterator[Any]:
        """A cursor of the owner whose every statement is committed."""
        connection = psycopg2.connect(self.url(database))
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                yield cursor
        finally:
            connection.close()

    def statements(self, since: int = 0) -> list[str]:
        """What was asked, statement after statement, from this byte of the log on; by READER."""
        found: list[str] = []
        with self.log.open("rb") as file:
            file.seek(since)
            lines = file.read().decode().splitlines()
        for line in lines:
            user, is_statement, text = line.partition("LOG:  ")
            if is_statement:
                found.append(text if user.startswith(f"{READER} ") else "")
            elif line.startswith("\t") and found and found[-1]:
                found[-1] += "\n" + line.strip()
        kinds = ("statement: ", "execute ")
        return [one.partition(": ")[2] for one in found if one.startswith(kinds)]


@contextmanager
def serving_postgres(*, log_statement: str = "all") -> Iterator[Postgres]:
    """Serve until the block ends. It does not run as root."""
    programs = {name: shutil.which(name, path=SEARCHED) for name in ("initdb", "postgres")}
    if not all(programs.values()):
        raise RuntimeError("it needs a PostgreSQL: apt-get install postgresql")
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        user: dict[str, Any] = {}
        if os.geteuid() == 0:
            user = {"user": "postgres", "group": "postgres", "extra_groups": []}
            shutil.chown(folder, "postgres")
        data, log = f"{folder}/data", Path(folder) / "log"
        init = [str(programs["initdb"]), "-D", data, "-A", "trust", "-U", OWNER, "-E", "UTF8"]
        subprocess.run(
            [*init, "--no-locale", "-N"], check=True, capture_output=True, cwd="/", **user
        )
        settings = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "fsync": "off",
            "full_page_writes": "off",
            "autovacuum": "off",
            # To compile a query takes longer than to ask tables of a few rows.
            "jit": "off",
            "log_statement": log_statement,
            "log_line_prefix": "%u ",
            "timezone": "UTC",
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        command = [str(programs["postgres"]), "-D", data, "-p", str(port), *options]
        with log.open("w") as written:
            server = subprocess.Popen(command, cwd="/", stderr=written, **user)
        try:
            found = Postgres(port, log)
            _wait(found, server)
            yield found
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(timeout=30)


def _wait(found: Postgres, server: "subprocess.Popen[bytes]") -> None:
    while server.poll() is None:
        try:
            found.execute("SELECT 1")
            return
        except psycopg2.OperationalError:
            continue
    raise RuntimeError(f"PostgreSQL did not start: {found.log.read_text()}")
