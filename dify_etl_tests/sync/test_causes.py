"""A thousand slices that failed for one reason are one line."""

import uuid

from dify_etl.sync.causes import by_cause
from dify_etl.sync.verdict import BadSlice


def bad(
    app: str, days: str = "2026-01-03", reason: str = "gone", state: str = "failed"
) -> BadSlice:
    return BadSlice("messages", app, days, state, "2026-02-01", reason)


def test_one_cause_is_one_line() -> None:
    """Apps are named as far as they fit, days from the first to the last."""
    slices = [bad(f"app {number}", f"2026-01-{number:02}..2026-01-09") for number in range(1, 8)]

    (cause,) = by_cause(slices)

    assert cause.apps == "app 1, app 2, app 3 and 4 more"
    assert cause.days == "2026-01-01..2026-01-09"


def test_ids_make_no_cause_of_their_own() -> None:
    """The same refusal for a thousand conversations is one cause; another status is another."""
    refused = [
        bad("support", reason=f"Dify answers 403 [GET /apps/{uuid.uuid4()}/chat-messages]")
        for _ in range(1000)
    ]
    others = [bad("support", reason="Dify answers 404 [GET /apps/1/chat-messages]")]

    causes = by_cause([*others, *refused])

    assert [cause.reason[:16] for cause in causes] == ["Dify answers 403", "Dify answers 404"]


def test_states_and_whole_lists_are_told_apart() -> None:
    """Incomplete is not failed; a list without days says so."""
    causes = by_cause([bad("one", "whole list"), bad("one", "whole list", state="incomplete")])

    assert [(cause.state, cause.days) for cause in causes] == [
        ("failed", "whole list"),
        ("incomplete", "whole list"),
    ]


def test_a_cause_is_a_paragraph() -> None:
    """What, where, since when, how many slices, what to do; a name begins no line of its own."""
    reason = "Dify answers 500 [GET /console/api/apps/1/x at dify:80] Look at the log."
    days = [bad(f"app\n{number}", reason=reason)._replace(slices=40) for number in (1, 2)]
    assert by_cause(days)[0].paragraph() == (
        "failed: messages of app 1, app 2, 2026-01-03; 80 slices, since 2026-02-01\n"
        "  what happened: Dify answers 500\n"
        "  where: GET /console/api/apps/1/x at dify:80\n"
        "  what to do: Look at the log."
    )
    assert by_cause([bad("one", reason="3 of [4] rows")])[0].paragraph().splitlines()[1:] == [
        "  what happened: 3 of [4] rows"
    ]
