"""Run a program as a child and measure it: CPU seconds and peak memory by the kernel's count."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


class ChildFailed(Exception):
    """A measured program ended with an error; holds the end of what it wrote."""


@dataclass(frozen=True)
class Measured:
    """What a child cost: `seconds` of reading as it told itself, the rest by the kernel.

    CPU seconds and peak memory (bytes) hold for the whole process, the start of Python included.
    """

    seconds: float
    cpu_seconds: float
    peak_bytes: int
    told: Mapping[str, Any]


def measure(python: str, module: str, task: Mapping[str, Any]) -> Measured:
    """Run `python -m module '<task as JSON>'`; its last line is JSON with at least `seconds`.

    Raises ChildFailed when it ends with an error.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        # A child starts with its parent's peak memory in the kernel's count, and this process is
        # large: a small one in between starts it and counts.
        command = [sys.executable, "-m", "benchmark.children", python, "-m", module]
        child = subprocess.run([*command, json.dumps(task)], stdout=out, stderr=err, check=False)
        if child.returncode != 0:
            err.seek(0)
            told = err.read().decode(errors="replace")[-2000:]
            raise ChildFailed(f"{module} ended with {child.returncode}: {told}")
        out.seek(0)
        *_, result, usage = (json.loads(line) for line in out.read().splitlines()[-2:])
    return Measured(result["seconds"], usage["cpu_seconds"], usage["peak_bytes"], result)


def main() -> int:
    """Run the command of our command line; its cost is one more line of JSON after its output."""
    child = subprocess.Popen(sys.argv[1:])
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    unit = 1 if sys.platform == "darwin" else 1024
    cost = {"cpu_seconds": usage.ru_utime + usage.ru_stime, "peak_bytes": usage.ru_maxrss * unit}
    print(json.dumps(cost))
    return 0 if child.returncode == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
