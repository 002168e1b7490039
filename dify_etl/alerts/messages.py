"""Messages out of incidents: one per kind and phase, with the first lines and a count."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dify_etl.alerts.incidents import KINDS, Kind
from dify_etl.alerts.ledger import Due, KeptIncident, Phase
from dify_etl.alerts.source import Source
from dify_etl.sync.causes import some_of

SHOWN_LINES = 8  # the shortest service takes 2,000 characters
PHASES: tuple[Phase, ...] = ("began", "grew", "reminder", "over")


@dataclass(frozen=True)
class Message:
    """What is sent, as plain text; `due` is what it tells of."""

    title: str
    body: str
    is_good_news: bool
    due: tuple[Due, ...] = ()


def messages_of(due: Sequence[Due], source: Source) -> Iterator[Message]:
    """What began first, what is over last; headings and texts name the `source`, since services
    show the one or the other.
    """
    for phase in PHASES:
        for kind in KINDS.values():
            told = [one for one in due if one.phase == phase and one.incident.kind == kind.name]
            if told:
                yield _message(kind, phase, told, source)


def trial_message(source: Source) -> Message:
    """What `dify-etl notify --test` sends."""
    body = (
        f"This is a test of dify-etl's alerts of {source}. Nothing is wrong; this is where you "
        "will hear."
    )
    return Message(f"dify-etl, {source}: test", body, is_good_news=True)


def _message(kind: Kind, phase: Phase, told: Sequence[Due], source: Source) -> Message:
    incidents = [one.incident for one in told]
    headings = {"grew": f"{kind.began}: more", "reminder": f"{kind.began}, still"}
    heading = kind.over if phase == "over" else headings.get(phase, kind.began)
    number = f" ({len(told)})" if len(told) > 1 else ""
    lines = list(_lines(incidents))
    more = len(lines) - SHOWN_LINES
    body = [_since(incidents, phase, source), *(f"- {line}" for line in lines[:SHOWN_LINES])]
    if more > 0:
        body.append(f"- and {more} more in ops.incidents")
    if phase != "over":
        where = f" (add --workspace {source.workspace} to commands)" if source.workspace else ""
        body.append(f"What to do{where}: {kind.todo}")
    title = f"dify-etl, {source}: {heading}{number}"
    return Message(title, "\n".join(body), phase == "over", tuple(told))


def _lines(incidents: Sequence[KeptIncident]) -> Iterator[str]:
    """A line per text, which begins with what it is about; those of most incidents first. A count
    at its beginning is that of each.
    """
    by_text: dict[str, list[str]] = {}
    for one in incidents:
        by_text.setdefault(one.text, []).append(one.subject)
    for text, subjects in sorted(by_text.items(), key=lambda item: -len(item[1])):
        each = " (each)" if len(subjects) > 1 and text[:1].isdigit() else ""
        yield f"{some_of(subjects)}{each}: {text}"


def _since(incidents: Sequence[KeptIncident], phase: Phase, source: Source) -> str:
    began = min(one.began_at for one in incidents)
    ended = max((one.ended_at for one in incidents if one.ended_at), default=None)
    if phase == "over" and ended:
        over = f"over since {ended:%Y-%m-%d %H:%M} UTC"
        return f"In {source}: began {began:%Y-%m-%d %H:%M} UTC, {over}. It was:"
    return f"In {source}: found first {began:%Y-%m-%d %H:%M} UTC."
