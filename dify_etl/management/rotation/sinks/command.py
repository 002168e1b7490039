"""Your own program as a sink: keys go to its standard input and come from its standard output.

    <command> stage    <entry> <key id>     the key is on standard input
    <command> promote  <entry> <key id>
    <command> restore  <entry>
    <command> discard  <entry>
    <command> read     <entry> current|pending|previous     prints the key, or nothing

Exit code 0 means that it is done. What the program prints is never shown: it may be a key.
"""

import os
import subprocess
from collections.abc import Sequence

from pydantic import SecretStr

from dify_etl.management.rotation.errors import SinkFailed
from dify_etl.management.rotation.sinks.protocol import Stage

# Secrets of ours that the program has no business with.
KEPT_BACK = ("DIFY_PASSWORD", "DIFY_ADMIN_API_KEY", "DIFY_TOKEN_STORE", "REDIS_URL")


def shown_environment() -> dict[str, str]:
    """The environment for programs of the user, without our own secrets."""
    return {name: value for name, value in os.environ.items() if name not in KEPT_BACK}


class CommandSink:
    """A sink that asks a program, giving it `timeout_seconds` for each call."""

    def __init__(self, command: Sequence[str], *, timeout_seconds: float = 60.0) -> None:
        self._command = tuple(command)
        self._timeout = timeout_seconds

    def read(self, entry: str, stage: Stage) -> SecretStr | None:
        """What the program prints, without the line's end."""
        held = self._run("read", entry, stage).strip()
        return SecretStr(held) if held else None

    def stage(self, entry: str, key_id: str, token: SecretStr) -> None:
        """`stage`, with the token on standard input."""
        self._run("stage", entry, key_id, given=token.get_secret_value())

    def promote(self, entry: str, key_id: str) -> None:
        """`promote`."""
        self._run("promote", entry, key_id)

    def restore(self, entry: str) -> None:
        """`restore`."""
        self._run("restore", entry)

    def discard(self, entry: str) -> None:
        """`discard`."""
        self._run("discard", entry)

    def _run(self, operation: str, entry: str, *more: str, given: str = "") -> str:
        try:
            done = subprocess.run(
                [*self._command, operation, entry, *more],
                input=given.encode(),
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                timeout=self._timeout,
                env=shown_environment(),
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise self._failed(operation, entry, f"no end after {self._timeout:g} s") from None
        except OSError as error:
            raise self._failed(operation, entry, f"it does not start: {error.strerror}") from None
        if done.returncode != 0:
            raise self._failed(operation, entry, f"exit code {done.returncode}")
        try:
            return done.stdout.decode()
        except UnicodeDecodeError:
            raise self._failed(operation, entry, "it prints no UTF-8") from None

    def _failed(self, operation: str, entry: str, what: str) -> SinkFailed:
        return SinkFailed(
            f"the sink's command failed: {what}",
            where=f"{self._command[0]} {operation}, entry {entry}",
            hint="Run it by hand with the same arguments; what it printed is not shown here, since "
            "it may hold a key.",
        )
