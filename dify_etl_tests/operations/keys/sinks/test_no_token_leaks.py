"""No token stands anywhere but in the sink: every kind of sink, with faults in between."""

import logging
import traceback
from pathlib import Path

import pytest
from pydantic import SecretStr

from dify_etl.assembly.ops_copies import fill_ops_tables
from dify_etl.errors import ActionableError
from dify_etl.home import LIVE
from dify_etl.operations.keys.planning import Asked
from dify_etl.warehouse.database import open_database
from dify_etl_tests.crashes.marked_secrets import MarkedSecrets
from dify_etl_tests.operations.keys.sinks.conftest import OpenSink
from dify_etl_tests.operations.keys.workshop import Workshop
from dify_simulated import Faults

FAULTS = (
    Faults(seed=1, server_errors=0.15),
    Faults(seed=2, lost_answers=0.15),
    Faults(seed=3, truncated=0.1, html=0.1),
    Faults(seed=4, resets=0.2),
)


class Keyring:
    """A workshop whose one consumer reads from any sink, and every token that it ever had."""

    def __init__(self, folder: Path, opened: OpenSink, is_masked: bool) -> None:
        self.shop = Workshop(folder, "1.14.2", mask_keys=is_masked)
        self.marked = MarkedSecrets()
        (self.shop.home / "keys.env").unlink()
        rule = self.shop.policy.targets[0].model_copy(update={"entry": opened.entry})
        self.shop.policy = self.shop.policy.model_copy(update={"targets": (rule,)})
        self.shop.sinks = {"file": opened.sink}
        old = self.shop.named["web"]
        opened.sink.stage(opened.entry, old.id, SecretStr(old.token))
        opened.sink.promote(opened.entry, old.id)
        self.words = ""

    def night(self, faults: Faults, asked: Asked | None = None) -> None:
        """One run, and every word of what stops it."""
        try:
            self.words += repr(self.shop.night(faults, asked))
        except ActionableError as error:
            self.words += "".join(
                traceback.TracebackException.from_exception(error, capture_locals=True).format()
            ) + repr(error)
        for key in self.shop.world.api_keys.values():
            self.marked.values[key.id] = key.token


@pytest.mark.parametrize("is_masked", [False, True])
def test_no_token_is_told_whatever_happens(
    opened: OpenSink,
    is_masked: bool,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Streams, logs, tracebacks and variables, events, ledger, audit and tables are clean."""
    caplog.set_level(logging.DEBUG)
    ring = Keyring(tmp_path, opened, is_masked)
    for faults in FAULTS * 3:
        ring.night(faults)
        ring.shop.pass_time(hours=14)
    last = ring.shop.ledger.rotations()[-1]
    ring.night(Faults(), Asked(compromised=frozenset({last.new_key_id or ""})))
    with open_database(ring.shop.home / LIVE) as database:
        fill_ops_tables(database, ring.shop.home)
        assert database.value("SELECT count(*) FROM ops.key_rotations")
    held = opened.sink.read(opened.entry, "current")
    streams = "".join(capfd.readouterr())
    told = (caplog.text, streams, ring.words, repr(ring.shop.told), repr(opened.sink))
    assert held is not None
    assert held.get_secret_value() in ring.marked.values.values()
    assert len(ring.marked.values) > 1
    assert "HTTP Request" in caplog.text
    assert ring.marked.found_in("".join(told).encode()) == []
    assert ring.marked.found_in_files(ring.shop.home) == []
