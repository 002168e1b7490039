"""What the histories promise can be broken: a fault planted behind the read is found."""

from dataclasses import dataclass

import pytest

from dify_etl.sync.run import Sync
from dify_etl.warehouse.database import Database
from dify_etl_tests.histories.history import Change, History, Night
from dify_etl_tests.histories.playing import Player

TALK = Night(before=(Change("ask", count=2), Change("ask", after=60.0)))
# The list of conversations of the only app answers 500; a message has odd figures.
REFUSED = Change("refuse_app", pick=1, count=1, after=600.0)
ODD = Change("answer_odd", pick=1, count=1, after=600.0)


@dataclass(frozen=True)
class Fault:
    """What happens, and SQL that is run behind each night's read."""

    nights: tuple[Night, ...]
    sql: str
    found: str


TELL_ALL_PROVEN = "UPDATE ops.slices SET state = 'proven', reason = NULL, in_quarantine = NULL"
FAULTS = {
    "a message is lost": Fault(
        (TALK,),
        "DELETE FROM raw.messages WHERE message_id = (SELECT min(message_id) FROM raw.messages)",
        "proven, but messages lacks",
    ),
    "a figure is wrong": Fault(
        (TALK,), "UPDATE raw.messages SET answer_tokens = 7", "answer_tokens is 7, expected"
    ),
    "a refused list is proven": Fault(
        (Night(before=(*TALK.before, REFUSED)),), TELL_ALL_PROVEN, "proven, but conversations lacks"
    ),
    "a failed slice is forgotten": Fault(
        (Night(before=(*TALK.before, REFUSED)),),
        "DELETE FROM ops.slices WHERE state <> 'proven'",
        "no slice speaks of conversations",
    ),
    "a deletion is not seen": Fault(
        (TALK, Night(before=(Change("delete"),))),
        "UPDATE raw.conversations SET absent_since = NULL",
        "which Dify has no more",
    ),
    "a row in quarantine is forgotten": Fault(
        (Night(before=(*TALK.before, ODD)),),
        f"{TELL_ALL_PROVEN}; UPDATE ops.quarantine SET resolved_at = seen_at",
        "proven, but",
    ),
    "what is well again is not read": Fault(
        (Night(before=(*TALK.before, REFUSED)),),
        "UPDATE ops.slices SET state = 'unproven', is_settled = true WHERE state <> 'proven'; "
        "DELETE FROM raw.conversations",
        "conversations",
    ),
}


class FaultyPlayer(Player):
    """Reads as the sync does, and spoils what came of it."""

    sql = ""

    def read(self, sync: Sync) -> None:
        """Plant the fault behind the read."""
        super().read(sync)
        for statement in self.sql.split("; "):
            sync.database.execute(statement)


@pytest.mark.parametrize("name", FAULTS)
def test_planted_fault_is_found(name: str, database: Database) -> None:
    """The same history is well without it."""
    fault = FAULTS[name]
    history = History("talk", ("chat",), fault.nights)
    Player(history, database).play()
    player = FaultyPlayer(history, database)
    player.sql = fault.sql
    with pytest.raises(AssertionError, match=fault.found):
        player.play()
