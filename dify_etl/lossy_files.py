"""A file that takes no more after a failure, and tells of it when it is asked.

For what would otherwise write again while it is closed or collected, and fail where nobody hears.
"""

import io
from collections.abc import Callable
from pathlib import Path
from select import select
from typing import Any


class LossyFile(io.FileIO):
    """Unbuffered and for writing: what comes after the first failure is dropped. `failure` is that;
    `fails_with` one that the first write meets in any case.
    """

    def __init__(
        self,
        file: Path | int,
        *,
        fails_with: OSError | None = None,
        on_failure: Callable[[OSError], None] = lambda _: None,
    ) -> None:
        super().__init__(file, "w", closefd=not isinstance(file, int))
        self.failure: OSError | None = None
        self._fails_with = fails_with
        self._on_failure = on_failure

    def write(self, data: Any) -> int:  # bytes or a buffer
        """All of it: the system takes a part where a disk or a pipe has little room."""
        if self.failure is not None:
            return len(data)
        try:
            if self._fails_with is not None:
                raise self._fails_with
            rest = memoryview(data).cast("B")
            while rest:
                taken = super().write(rest)
                if taken is None:  # a pipe that does not wait by itself
                    select([], [self], [])
                    continue
                rest = rest[taken:]
            return len(data)
        except OSError as error:
            self.failure = error
            self._on_failure(error)
            return len(data)
