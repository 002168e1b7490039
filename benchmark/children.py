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
        command = [python, "-m", module, json.dumps(task)]
        child = subprocess.Popen(command, stdout=out, stderr=err)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode != 0:
            err.seek(0)
            told = err.read().decode(errors="replace")[-2000:]
            raise ChildFailed(f"{module} ended with {child.returncode}: {told}")
        out.seek(0)
        result = json.loads(out.read().splitlines()[-1])
    peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return Measured(result["seconds"], usage.ru_utime + usage.ru_stime, peak, result)
