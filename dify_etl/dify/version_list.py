"""The list of a workflow's versions, which tells no total: how it is read without losing one."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

from dify_etl.dify.paging import MOST_STALE_PAGES, PageWalk, WalkProof, bound_pages, ids_of
from dify_etl.dify.record import Page
from dify_etl.dify.workflow_records import WorkflowVersion

# Small pages: every version comes with its whole graph.
VERSIONS_PER_PAGE = (20, 18)


@dataclass
class VersionWalk(PageWalk[WorkflowVersion]):
    """Walk the published versions, newest first, and back again where they are several pages.

    What is deleted meanwhile moves the rest towards the newer pages, what is published towards the
    older ones: what one way misses, the other finds. Proven: both ways brought the same versions.
    """

    page_sizes: tuple[int, ...] = VERSIONS_PER_PAGE

    def __iter__(self) -> Iterator[Page[WorkflowVersion]]:
        self.proof = WalkProof()
        for tries, size in enumerate(self.page_sizes, start=1):
            there: set[str] = set()
            stale = 0
            for number in count(1):
                bound_pages(number, self.most_pages)
                page = self.ask(number, size)
                yield page
                ids = ids_of(page, self.key)
                stale = 0 if ids - there else stale + 1
                there |= ids
                if not page.has_more:
                    break
                if stale >= MOST_STALE_PAGES:
                    reason = f"{stale} pages in a row brought no new version, and promised more"
                    self.proof = WalkProof(rows=len(there), tries=tries, reason=reason)
                    return
            back = ids  # of the last page, at which the walk turns
            for earlier in range(number - 1, 0, -1):
                page = self.ask(earlier, size)
                yield page
                back = back | ids_of(page, self.key)
            is_proven = back == there
            reason = f"{len(there)} versions on the way to the oldest, {len(back)} on the way back"
            self.proof = WalkProof(
                rows=len(there),
                tries=tries,
                is_proven=is_proven,
                reason="" if is_proven else reason,
            )
            if is_proven:
                return
