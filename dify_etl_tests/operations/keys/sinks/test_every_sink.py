"""What a rotation relies on, asked of each kind of sink."""

import uuid

import pytest
from pydantic import SecretStr

from dify_etl.operations.keys.errors import SinkFailed
from dify_etl.operations.keys.sinks.protocol import Stage
from dify_etl_tests.operations.keys.sinks.conftest import OpenSink

NEW, NEWER = SecretStr("app-new4567890123456789012"), SecretStr("app-newer67890123456789012")


def key_id() -> str:
    return str(uuid.uuid4())


def held(opened: OpenSink, stage: Stage) -> str | None:
    found = opened.sink.read(opened.entry, stage)
    return None if found is None else found.get_secret_value()


def test_current_is_read(opened: OpenSink) -> None:
    """What consumers use today is found, and nothing is pending."""
    assert held(opened, "current") == "old"
    assert held(opened, "pending") is None


def test_staging_changes_nothing_for_consumers(opened: OpenSink) -> None:
    """A pending key is kept, and the current one stays."""
    opened.sink.stage(opened.entry, key_id(), NEW)
    assert held(opened, "pending") == NEW.get_secret_value()
    assert held(opened, "current") == "old"


def test_promotion_moves_all_three(opened: OpenSink) -> None:
    """Pending becomes current, current becomes previous, and nothing is pending any more."""
    key = key_id()
    opened.sink.stage(opened.entry, key, NEW)
    opened.sink.promote(opened.entry, key)
    assert held(opened, "current") == NEW.get_secret_value()
    assert held(opened, "previous") == "old"
    assert held(opened, "pending") is None


def test_restoring_brings_the_old_key_back(opened: OpenSink) -> None:
    """After a promotion the former value can be made current again."""
    key = key_id()
    opened.sink.stage(opened.entry, key, NEW)
    opened.sink.promote(opened.entry, key)
    opened.sink.restore(opened.entry)
    assert held(opened, "current") == "old"


def test_a_second_rotation_follows_the_first(opened: OpenSink) -> None:
    """The former new key is the previous one of the next rotation."""
    for token in (NEW, NEWER):
        key = key_id()
        opened.sink.stage(opened.entry, key, token)
        opened.sink.promote(opened.entry, key)
    assert held(opened, "current") == NEWER.get_secret_value()
    assert held(opened, "previous") == NEW.get_secret_value()


def test_discarded_keys_are_gone(opened: OpenSink) -> None:
    """What was staged can be forgotten; a second time changes nothing."""
    opened.sink.stage(opened.entry, key_id(), NEW)
    opened.sink.discard(opened.entry)
    opened.sink.discard(opened.entry)
    assert held(opened, "pending") is None
    assert held(opened, "current") == "old"


def test_a_newer_pending_key_takes_the_place(opened: OpenSink) -> None:
    """When a pending key had to be made anew, the newer one is promoted."""
    opened.sink.stage(opened.entry, key_id(), NEW)
    newer = key_id()
    opened.sink.stage(opened.entry, newer, NEWER)
    opened.sink.promote(opened.entry, newer)
    assert held(opened, "current") == NEWER.get_secret_value()


def test_nothing_pending_is_not_promoted(opened: OpenSink) -> None:
    """A promotion without a pending key fails and leaves consumers alone."""
    with pytest.raises(SinkFailed):
        opened.sink.promote(opened.entry, key_id())
    assert held(opened, "current") == "old"
