"""What the ledger prove of an app that somebody wants to delete."""

from datetime import timedelta
from pathlib import Path

from dify_etl.assembly.sync_proof import LiveSyncProof
from dify_etl.sync.rights import NOT_SHOWN
from dify_etl_tests.sync.small_worlds import app_of, quiet_world
from dify_etl_tests.sync.workplace import NOW, ZONE, Workplace


def test_what_was_never_shown_is_missing_before_a_deletion(tmp_path: Path) -> None:
    """Unproven data may be agreed to; data that the role was not shown are not there at all."""
    place = Workplace(quiet_world("chat"), tmp_path / "home")
    place.world.set_role("normal")
    place.read()
    loader = LiveSyncProof(place.home, ZONE, NOW)
    proof = loader.proof_of(app_of(place.world).id, since=NOW - timedelta(days=5), mode="chat")
    assert any("conversations unproven" in one and NOT_SHOWN in one for one in proof.lacking)
    assert all(NOT_SHOWN not in one for one in proof.unproven)
