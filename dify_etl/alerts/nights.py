"""Nights that failed, were cut off, or did not happen; a shared warehouse that is behind; rotations
that are stuck: what the files of the home tell while nobody can open the warehouse.
"""

from datetime import timedelta

from dify_etl.alerts.incidents import Found, Incident, Moment, name_of, plain_words
from dify_etl.alerts.ledger import AlertLedger, Night
from dify_etl.operations.keys.judging import stuck_rotations
from dify_etl.operations.keys.states import Rotation
from dify_etl.sync.shared_note import SharedBehind

# A night may begin so much later than it is due: another sync may be waited for.
GRACE = timedelta(hours=6)
# A night that holds no lock yet may be signing in.
BEGINS_WITHIN = timedelta(minutes=10)
KINDS_OF_NIGHTS = ("night_failed", "night_missing", "shared_behind", "rotation_stuck")


def failed_night(nights: list[Night], moment: Moment, *, is_running: bool) -> Found:
    """The last night that a person did not stop, if it failed or was cut off.

    `nights` are those of the ledger, newest first; `is_running`: somebody syncs right now.
    """
    for night in nights:
        if night.outcome is None and _may_run(night, moment, is_running):
            continue
        if night.outcome in ("skipped", "interrupted"):
            continue
        if night.outcome == "failed":
            yield Incident("night_failed", "night", "What happened", night.what)
        elif night.outcome is None:
            told = f"the sync of {night.began_at:%Y-%m-%d %H:%M} UTC was cut off: killed, or the "
            yield Incident("night_failed", "night", "What happened", f"{told}machine went down")
        return


def _may_run(night: Night, moment: Moment, is_running: bool) -> bool:
    return is_running or moment.now - night.began_at < BEGINS_WITHIN


def missing_night(ledger: AlertLedger, moment: Moment, *, is_running: bool) -> Found:
    """No night began since the last one that was due, and none for a period and six hours.

    Both: who lets cron run at another hour than DIFY_ETL_SCHEDULE says is not alarmed for it.
    """
    since = ledger.watched_since(moment.now)
    began = [one.began_at for one in ledger.nights() if one.outcome != "skipped"]
    last = max([since, *began])
    is_over = moment.now - last > moment.due.period + GRACE
    if is_over and last < moment.due.last <= moment.now - GRACE and not is_running:
        yield Incident(
            "night_missing", "night", "Last night", f"began {last:%Y-%m-%d %H:%M} UTC or earlier"
        )


def behind_shared(behind: SharedBehind | None, *, is_running: bool) -> Found:
    """The shared warehouse, when what was published last is not in it. A sync that runs is about
    to publish.
    """
    if behind is not None and not is_running:
        text = f"since {behind.since:%Y-%m-%d %H:%M} UTC: {plain_words(behind.reason)}"
        yield Incident("shared_behind", "shared", "the shared warehouse", text)


def stuck_keys(rotations: tuple[Rotation, ...], moment: Moment) -> Found:
    """Targets whose rotation failed, waits for a person, or stands for a week beyond its grace."""
    # One that fails is begun anew night after night: it is the same thing that is wrong.
    of_target = {one.target_id: one for one in stuck_rotations(rotations, moment.now)}
    for one in of_target.values():
        waits = ", and waits for a person" if one.needs_person else ""
        subject = f"{name_of(one.app_name)} / {name_of(one.consumer)}"
        text = f"{one.state} since {one.updated_at:%Y-%m-%d}{waits}"
        yield Incident("rotation_stuck", one.target_id, subject, text)
