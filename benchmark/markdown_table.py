"""Tables of the reports."""

from collections.abc import Iterable, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; all columns but the first are set to the right when they hold numbers."""
    body = [list(row) for row in rows]
    ruled = ["---" if place == 0 else "---:" for place in range(len(head))]
    lines = [f"| {' | '.join(cells)} |" for cells in (head, ruled, *body)]
    return "\n".join(lines) + "\n"
