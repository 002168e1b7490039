"""What the benchmark ran on: the machine, and the versions of everything that took part."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

OURS = ("dify-etl", "httpx", "pydantic", "polars", "duckdb", "orjson")
PEERS = ("dlt", "dify-user-client", "duckdb", "requests", "orjson")
_TELL = (
    "import json, sys; from importlib.metadata import version; "
    "print(json.dumps({name: version(name) for name in sys.argv[1:]}))"
)


def machine() -> dict[str, str]:
    """Processor, cores, memory and systems, in words."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "memory": f"{pages / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "Python": platform.python_version(),
    }


def versions(peers_python: str) -> dict[str, str]:
    """Versions of ours, and of what is in the peers' environment."""
    told = subprocess.run(
        [peers_python, "-c", _TELL, *PEERS], check=True, capture_output=True, text=True
    )
    peers = json.loads(told.stdout)
    ours = {name: version(name) for name in OURS}
    return ours | {f"{name} (peers)" if name in ours else name: peers[name] for name in PEERS}


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if not info.exists():
        return platform.processor() or platform.machine()
    lines = info.read_text().splitlines()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
