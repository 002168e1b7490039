"""Each kind of incident: found, received once, ended once."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from unittest.mock import patch

import pytest

from dify_etl.alerts.finding import FINDERS
from dify_etl.alerts.incidents import KINDS
from dify_etl.alerts.ledger import Night, Outcome, open_ledger
from dify_etl.operations.keys.ledger import RotationLedger
from dify_etl.operations.keys.states import Rotation, State
from dify_etl.sync.shared_note import forget_shared, noted_publication
from dify_etl_tests.alerts.conftest import NOW, WatchedHome
from dify_etl_tests.alerts.receivers import Received

TODAY = NOW.date()
Change = Callable[[WatchedHome], None]


@dataclass(frozen=True)
class Case:
    """What goes wrong, how it ends, and words of the message."""

    begins: Change
    ends: Change
    says: str


def sql(text: str) -> Change:
    return lambda home: home.execute(text)


def night(outcome: Outcome, what: str = "") -> Change:
    """A night of now that ended so."""

    def note(home: WatchedHome) -> None:
        with open_ledger(home.path) as ledger:
            ended = Night(f"{home.now}", home.now, home.now, outcome, what)
            ledger.end_night(ended)

    return note


def days_pass(days: int) -> Change:
    def wait(home: WatchedHome) -> None:
        home.now += timedelta(days=days)

    return wait


def failed_slice(home: WatchedHome) -> None:
    home.add("raw.apps", app_id="app", name="Support", mode="chat")
    home.add(
        "ops.slices",
        feed="messages",
        app_id="app",
        slice_date=TODAY,
        state="failed",
        reason="Dify answers 500",
        read_at=NOW,
        bad_since=NOW,
    )


def broken_model(home: WatchedHome) -> None:
    home.add(
        "ops.models",
        model="marts.mine",
        state="failed",
        reason="no such column",
        hint="Mend it.",
        failed_since=NOW,
    )


def old_read(home: WatchedHome) -> None:
    home.add("ops.slices", feed="apps", state="proven", read_at=NOW)
    home.add("ops.runs", run_id="old", feed="apps", ended_at=NOW - timedelta(days=4))
    states = ("proven", "unproven", "incomplete", "failed")
    counted = ", ".join(f"slices_{one} = {int(one == 'proven')}" for one in states)
    home.execute(f"UPDATE ops.runs SET {counted}")


def unshared(home: WatchedHome) -> None:
    with (
        patch("dify_etl.sync.shared_note.utc_now", lambda: NOW),
        suppress(ZeroDivisionError),
        noted_publication(home.path),
    ):
        raise ZeroDivisionError("a secret")


def quarantined(home: WatchedHome) -> None:
    home.add("ops.quarantine", quarantine_id="1", feed="messages", seen_at=NOW, raw_json="a secret")


def differing(home: WatchedHome) -> None:
    home.add(
        "marts.statistics_reconciliation",
        app_id="app",
        app_name="Support",
        statistic_date=TODAY,
        metric="daily_messages",
        verdict="differs",
        dify_figure=Decimal(3),
        our_figure=Decimal(2),
        reason="",
        command="",
    )


def spend(home: WatchedHome, day: date, price: float) -> None:
    home.add(
        "marts.app_daily_cost",
        app_id="app",
        app_name="Support",
        usage_date=day,
        currency="USD",
        total_price=Decimal(str(price)),
        other_price=Decimal(0),
    )


def dear_day(home: WatchedHome) -> None:
    for days in range(2, 30):
        spend(home, TODAY - timedelta(days=days), 2 + days % 3)
    spend(home, TODAY - timedelta(days=1), 30)


def run_workflows(home: WatchedHome, day: date, failed: int) -> None:
    home.add(
        "marts.workflow_reliability",
        app_id="app",
        app_name="Support",
        run_date=day,
        runs=20,
        unfinished_runs=0,
        failed_runs=failed,
    )


def failing_day(home: WatchedHome) -> None:
    for days in range(2, 30):
        run_workflows(home, TODAY - timedelta(days=days), days % 3)
    run_workflows(home, TODAY - timedelta(days=1), 12)


def stuck_document(home: WatchedHome) -> None:
    home.add(
        "marts.document_health",
        dataset_id="manuals",
        dataset_name="Manuals",
        stuck_documents=2,
        failed_documents=1,
    )


def old_key(home: WatchedHome) -> None:
    home.add(
        "marts.api_key_posture",
        api_key_id="key-1",
        app_name="Support",
        max_age_days=90,
        is_over_age=True,
        is_being_replaced=False,
    )


def rotation(state: State) -> Change:
    def write(home: WatchedHome) -> None:
        RotationLedger(home.path).write(
            Rotation(
                rotation_id="rotation",
                target_id="target",
                consumer="website",
                app_id="app",
                app_name="Support",
                sink="vault",
                entry="key",
                plan_id="plan",
                reason="age",
                state=state,
                grace_seconds=0,
                message="words of a server",
                started_at=NOW - timedelta(days=20),
                updated_at=NOW - timedelta(days=20),
            )
        )

    return write


def unread_before_retention(home: WatchedHome) -> None:
    """Days older than 30 vanish the night after; the day that is 25 days old could not be read."""
    home.add("raw.apps", app_id="app", name="Support", mode="chat")
    for days in range(1, 41):
        gone_at = NOW - timedelta(days=days - 31) if days > 31 else None
        home.add(
            "raw.conversations",
            conversation_id=f"{days}",
            app_id="app",
            created_date=TODAY - timedelta(days=days),
            absent_since=gone_at,
        )
        day = TODAY - timedelta(days=days)
        home.add("ops.local_days", local_date=day)
        state = "incomplete" if days == 25 else "proven"
        home.add("ops.slices", feed="messages", app_id="app", slice_date=day, state=state)
    home.execute("UPDATE ops.slices SET read_at = ?, tries = 1", [NOW])


def newer(home: WatchedHome) -> None:
    home.add(
        "ops.source",
        server_origin="https://dify.example.com",
        newer_than_tested="Dify 2.0.0 is newer than tested (1.16.1)",
    )


CASES = {
    "night_failed": Case(
        night("failed", "LoginRefused: wrong password"), night("published"), "wrong password"
    ),
    "night_missing": Case(days_pass(2), night("published"), "2026-03-12 09:00 UTC"),
    "not_whole": Case(
        failed_slice, sql("UPDATE ops.slices SET state = 'proven'"), "messages of Support: failed"
    ),
    "model_broken": Case(broken_model, sql("DELETE FROM ops.models"), "marts.mine"),
    "shared_behind": Case(
        unshared,
        lambda home: forget_shared(home.path),
        "the shared warehouse: since 2026-03-12",
    ),
    "stale": Case(
        old_read, sql("UPDATE ops.runs SET ended_at = '2026-03-12'"), "apps: last read well on"
    ),
    "quarantine": Case(
        quarantined, sql("UPDATE ops.quarantine SET resolved_at = now()"), "1 object waits"
    ),
    "figures_differ": Case(
        differing,
        sql("UPDATE marts.statistics_reconciliation SET verdict = 'equal'"),
        "Support: 1 figure differs; of 2026-03-12 daily_messages: Dify tells 3, our rows give 2",
    ),
    "cost": Case(dear_day, days_pass(3), "Support: 2026-03-11: 30.00 USD, usually 3.04"),
    "failure_rate": Case(
        failing_day,
        lambda home: run_workflows(home, TODAY, 1),
        "Support: 2026-03-11: 12 of 20 runs failed, usually 5%",
    ),
    "documents_stuck": Case(
        stuck_document,
        sql("UPDATE marts.document_health SET stuck_documents = 0"),
        "Manuals: 2 documents are being indexed for more than a day, 1 failed",
    ),
    "key_over_age": Case(
        old_key,
        sql("UPDATE marts.api_key_posture SET is_being_replaced = true"),
        "key key-1 of Support: older than 90 days",
    ),
    "rotation_stuck": Case(
        rotation("overlap"), rotation("proven"), "Support / website: overlap since 2026-02-20"
    ),
    "retention": Case(
        unread_before_retention,
        sql("UPDATE ops.slices SET state = 'proven'"),
        "messages of Support: 1 day is not read, from 2026-02-15 on; rows vanish when 31 days old",
    ),
    "server_newer": Case(
        newer,
        sql("UPDATE ops.source SET newer_than_tested = NULL"),
        "dify.example.com: Dify 2.0.0 is newer than tested",
    ),
}


def test_rotation_that_fails_each_night_stays_one_incident(
    home: WatchedHome, received: Received
) -> None:
    """Each night begins another rotation of the target, which is no good news until it is over."""
    ledger = RotationLedger(home.path)
    rotation("failed")(home)
    (first,) = ledger.rotations()
    home.evaluate()
    assert len(received.take()) == 1
    for number in range(3):
        for state in ("planned", "created", "withdrawing", "failed"):
            ledger.write(first.having(rotation_id=f"r{number}", state=state, started_at=home.now))
            home.evaluate()
    assert received.take() == []
    ledger.write(first.having(rotation_id="the last", state="overlap", started_at=home.now))
    home.evaluate()
    (over,) = received.take()
    assert KINDS["rotation_stuck"].over in over[0]


def test_failed_rotation_whose_target_is_gone_worries_nobody(
    home: WatchedHome, received: Received
) -> None:
    """Its app was deleted, or the policy has it no more: there is nothing to mend."""
    ledger = RotationLedger(home.path)
    rotation("failed")(home)
    (failed,) = ledger.rotations()
    home.evaluate()
    assert len(received.take()) == 1
    ledger.write(failed.having(is_target_gone=True))
    home.evaluate()
    (over,) = received.take()
    assert KINDS["rotation_stuck"].over in over[0]


def test_every_kind_is_tried() -> None:
    """What is new and not tried is red."""
    assert CASES.keys() == KINDS.keys()
    assert FINDERS.keys() < KINDS.keys()


@pytest.mark.parametrize("kind", CASES)
def test_kind_begins_once_and_ends_once(home: WatchedHome, received: Received, kind: str) -> None:
    """One message when it begins and one when it is over, however often is looked."""
    case = CASES[kind]
    case.begins(home)
    assert home.evaluate().not_looked == ()
    began = [one for one in received.take() if KINDS[kind].began in one[0]]
    home.evaluate()
    assert received.take() == []
    case.ends(home)
    home.evaluate()
    over = [one for one in received.take() if KINDS[kind].over in one[0]]
    home.evaluate()
    assert received.take() == []
    assert [len(began), len(over)] == [1, 1]
    assert case.says in began[0][1]
    assert KINDS[kind].todo in began[0][1]
    assert "a secret" not in began[0][1]
    assert "words of a server" not in began[0][1]
