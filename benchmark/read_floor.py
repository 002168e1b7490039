"""The floor: ask the same requests with httpx and throw the answers away; run as a child process.

The requests are known beforehand, so nothing waits for anything, nothing is parsed, nothing kept.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import httpx

from benchmark.rates import median_rate


@dataclass(frozen=True)
class Task:
    """The requests (a file with a JSON list of targets), and how many at a time."""

    base_url: str
    targets: str
    workers: int


def ask(task: Task) -> dict[str, object]:
    """Ask all targets; answers seconds, requests and bytes."""
    targets = iter(json.loads(Path(task.targets).read_text()))
    lock = Lock()
    began = time.monotonic()
    limits = httpx.Limits(max_connections=task.workers)
    with (
        httpx.Client(base_url=task.base_url, limits=limits, timeout=120) as http,
        ThreadPoolExecutor(task.workers) as pool,
    ):
        counts = [pool.submit(_ask_some, http, targets, lock) for _ in range(task.workers)]
        answers = [answer for future in counts for answer in future.result()]
    return {
        "seconds": time.monotonic() - began,
        "requests": len(answers),
        "bytes": sum(size for size, _ in answers),
        "median_rate": median_rate([moment for _, moment in answers]),
    }


def _ask_some(http: httpx.Client, targets: Iterator[str], lock: Lock) -> list[tuple[int, float]]:
    """Take targets until none is left; answers the size of each answer and when it came."""
    answers: list[tuple[int, float]] = []
    while True:
        with lock:
            target = next(targets, None)
        if target is None:
            return answers
        answer = http.get(target)
        # dify-etl asks for apps of a mode that is none: Dify's refusal names those that there are.
        if answer.status_code != httpx.codes.BAD_REQUEST:
            answer.raise_for_status()
        answers.append((len(answer.content), time.monotonic()))


def main() -> None:
    """Do the task of the command line; the last line is the result as JSON."""
    print(json.dumps(ask(Task(**json.loads(sys.argv[1])))))


if __name__ == "__main__":
    main()
