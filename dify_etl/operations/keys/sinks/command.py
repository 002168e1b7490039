"""Your own program as a sink: keys go to its standard input and come from its standard output.

    <command> stage    <entry> <key id>     the key is on standard input
    <command> promote  <entry> <key id>
    <command> restore  <entry>
    <command> discard  <entry>
    <command> read     <entry> current|pending|previous     prints the key, or nothing

Exit code 0 means that it is done. What the program prints is never shown: it may be a key.
"""

import os
import re
import subprocess
from collections.abc import Collection, Sequence

from pydantic import SecretStr

from dify_etl.operations.keys.errors import SinkFailed
from dify_etl.operations.keys.sinks.protocol import Stage

# What any program needs. Secrets of ours, of Vault and of clouds are not among it.
SHOWN = re.compile(
    r"PATH|HOME|USER|LOGNAME|SHELL|LANG|LC_\w+|TZ|TMPDIR|TERM|SYSTEMROOT"
    r"|SSL_CERT_(FILE|DIR)|(HTTPS?|NO|ALL)_PROXY",
    re.IGNORECASE | re.ASCII,
)


def shown_environment(names: Collection[str] = ()) -> dict[str, str]:
    """The environment for programs of the user: what any program needs, and these variables."""
    return {
        name: value for name, value in os.environ.items() if SHOWN.fullmatch(name) or name in names
    }


class CommandSink:
    """A sink that asks a program, giving it `timeout_seconds` for each call.

    The program sees what any program needs of the environment, and the variables that
    `environment` names.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        timeout_seconds: float = 60.0,
        environment: Collection[str] = (),
    ) -> None:
        self._command = tuple(command)
        self._environment = environment
        self._timeout = timeout_seconds

    def place(self, entry: str) -> str:
        """The entry, and the program that knows where it is."""
        return f"{entry} by {self._command[0]}"

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
            done = subprocess.run(  # nosec B603 # a program of the operator's policy, no shell
                [*self._command, operation, entry, *more],
                input=given.encode(),
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                timeout=self._timeout,
                env=shown_environment(self._environment),
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
