"""Pages of a walk as frames: a record takes ten times the memory of its row."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import polars as pl

from dify_etl.dify.record import Page, Record, Rejected
from dify_etl.raw.frames import unknown_fields
from dify_etl.sync.walks import known_by

R = TypeVar("R", bound=Record)


@dataclass
class FramedRows(Generic[R]):
    """Takes the pages of one walk: `frame` makes a frame of a page, `row_id` tells a row's id.

    `requests` are the pages asked; `unknown` are fields that no known version sends.
    """

    frame: Callable[[Sequence[R]], pl.DataFrame]
    row_id: Callable[[R], str]
    ids: set[str] = field(default_factory=set)
    rejected: dict[tuple[str, str], Rejected] = field(default_factory=dict)
    unknown: set[str] = field(default_factory=set)
    requests: int = 0
    _frames: list[pl.DataFrame] = field(default_factory=list)

    def add(self, page: Page[R]) -> None:
        """Take a page in."""
        self.requests += 1
        self.ids.update(self.row_id(record) for record in page.records)
        self.rejected.update((known_by(one), one) for one in page.rejected)
        self.unknown |= unknown_fields(page.records)
        self._frames.append(self.frame(page.records))

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def held_bytes(self) -> int:
        """Bytes of its frames, about."""
        return sum(int(frame.estimated_size()) for frame in self._frames)

    @property
    def rows(self) -> pl.DataFrame:
        """All pages in one frame; a row that came twice stands there twice, the newer one last."""
        return pl.concat(self._frames or [self.frame(())])
